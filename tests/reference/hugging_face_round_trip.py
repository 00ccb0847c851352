"""What Tenet writes, transformers loads: trains small models with the program `reformer`, opens their folders in
transformers and compares the logits on tokens of several lengths, with transformers' hash rotations in both.

    python tests/reference/hugging_face_round_trip.py build/release/reformer   # needs torch, "transformers<5", safetensors

Prints the worst difference of each model, in units of the largest logit, and ends with status 1 above 1e-5.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import ReformerModelWithLMHead

PROGRAM = sys.argv[1]
BASE = dict(model_type="reformer", vocab_size=258, hidden_size=24, num_attention_heads=2, attention_head_size=9,
            feed_forward_size=40, attn_layers=["local", "lsh"], axial_pos_embds=False, max_position_embeddings=96,
            local_attn_chunk_length=8, lsh_attn_chunk_length=12, num_hashes=2, num_buckets=8, is_decoder=True,
            hidden_dropout_prob=0.0, local_attention_probs_dropout_prob=0.0, initializer_range=0.2,
            tenet=dict(lsh_preset="hugging_face", residual="float"))
MODELS = {
    "learned": {},
    "axial": dict(axial_pos_embds=True, axial_pos_shape=[8, 12], axial_pos_embds_dim=[10, 14], hidden_act="gelu_new"),
    "factors": dict(num_buckets=[4, 2], num_hashes=4, attn_layers=["lsh", "lsh", "local"], chunk_size_feed_forward=1),
    "open": dict(num_buckets=None, hidden_act="silu", layer_norm_eps=1e-5),
    "local": dict(attn_layers=["local", "local"], local_num_chunks_before=2),
}


def train(folder, options):
    (folder / "config.json").write_text(json.dumps(BASE | options))
    (folder / "text").write_bytes(Path(__file__).read_bytes() * 2)
    subprocess.run([PROGRAM, "train", "--config", folder / "config.json", "--text", folder / "text", "--out",
                    folder / "out", "--steps", "20", "--length", "50", "--batch", "2"], check=True, capture_output=True)
    return folder / "out"


def difference(folder, model, length):
    """The largest difference of the logits of both, over the largest logit."""
    tokens = torch.randint(2, 258, (2, length))
    drawn, original = [], torch.randn
    torch.randn = lambda *a, **k: drawn.append(original(*a, **k)) or drawn[-1]
    try:
        with torch.no_grad():
            want = model(input_ids=tokens, use_cache=False).logits
    finally:
        torch.randn = original
    layers = [i for i, kind in enumerate(model.config.attn_layers) if kind == "lsh"]
    rotations = {f"rotation.{i}": r.contiguous() for i, r in zip(layers, drawn)}
    save_file({"input_ids": tokens, **rotations}, folder / "in.safetensors")
    subprocess.run([PROGRAM, "score", "--model", folder, "--io", folder / "in.safetensors", "--out",
                    folder / "out.safetensors"], check=True)
    got = load_file(folder / "out.safetensors")["logits"]
    return ((got - want).abs().max() / want.abs().max()).item()


torch.manual_seed(1)
overall = 0.0
for name, options in MODELS.items():
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(Path(scratch), options)
        model, report = ReformerModelWithLMHead.from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"], report
        worst = max(difference(folder, model.eval(), length) for length in (96, 61, 48, 8, 1))
        print(f"{name}: {worst:.1e}")
        overall = max(overall, worst)
print(f"worst: {overall:.1e}")
sys.exit(overall > 1e-5)
