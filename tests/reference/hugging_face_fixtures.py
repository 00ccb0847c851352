"""Records what transformers' Reformer computes: a folder per case in hugging_face/ beside this file.

    python tests/reference/hugging_face_fixtures.py     # needs torch, "transformers<5" and safetensors

Run by hand when a case is added; the tests only read the files. config.json and model.safetensors are what
save_pretrained writes, input.safetensors what `reformer score` reads, output.safetensors logits, loss and, of the
cases that transformers can train (no padding), every gradient.
"""
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import ReformerConfig, ReformerForMaskedLM, ReformerModelWithLMHead

FOLDER = Path(__file__).parent / "hugging_face"
BASE = dict(vocab_size=29, hidden_size=12, num_attention_heads=2, attention_head_size=5, feed_forward_size=18,
            attn_layers=["local", "lsh"], axial_pos_embds=False, max_position_embeddings=48,
            local_attn_chunk_length=4, lsh_attn_chunk_length=6, num_hashes=2, num_buckets=4, is_decoder=True,
            hidden_dropout_prob=0.0, local_attention_probs_dropout_prob=0.0, hidden_act="gelu_new",
            initializer_range=0.3)
CASES = {
    "decoder": dict(length=24),
    "padded": dict(length=19, attn_layers=["lsh", "local", "lsh"], num_hashes=3, num_buckets=[2, 4]),
    "masked": dict(length=24, mask=[(0, 7), (15, 24)]),
    "encoder": dict(length=24, is_decoder=False, local_num_chunks_after=1, lsh_num_chunks_after=1, hidden_act="gelu"),
    "axial": dict(length=36, axial_pos_embds=True, axial_pos_shape=[4, 9], axial_pos_embds_dim=[5, 7],
                  chunk_size_feed_forward=6, num_buckets=None, lsh_attn_chunk_length=4, hidden_act="relu"),
    "short": dict(length=3),
}


def record_rotations(run):
    """run()'s result and the normal numbers drawn in it, in order."""
    drawn, original = [], torch.randn
    torch.randn = lambda *a, **k: drawn.append(original(*a, **k)) or drawn[-1]
    try:
        return run(), drawn
    finally:
        torch.randn = original


def record(name, length, mask=None, **options):
    torch.manual_seed(len(name))
    config = ReformerConfig(**{**BASE, **options})
    model = (ReformerModelWithLMHead if config.is_decoder else ReformerForMaskedLM)(config)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 1.0 if parameter.mean() == 1 else 0.0, 0.2)
    rows = 2
    inputs = {"input_ids": torch.randint(0, config.vocab_size, (rows, length))}
    inputs["labels"] = inputs["input_ids"].clone()
    if mask:
        inputs["attention_mask"] = torch.ones(rows, length, dtype=torch.long)
        for row, (begin, end) in enumerate(mask):
            inputs["attention_mask"][row, begin:end] = 0
        inputs["labels"][inputs["attention_mask"] == 0] = -100
    chunks = {"local": config.local_attn_chunk_length, "lsh": config.lsh_attn_chunk_length}
    trained = length <= min(chunks.values()) or all(length % c == 0 for c in chunks.values())
    model.train(trained)
    with torch.set_grad_enabled(trained):
        output, rotations = record_rotations(lambda: model(**inputs))
    lsh = [i for i, kind in enumerate(config.attn_layers) if kind == "lsh"]
    inputs.update({f"rotation.{i}": rotation for i, rotation in zip(lsh, rotations)})
    outputs = {"logits": output.logits.detach(), "loss": output.loss.detach()}
    if trained:
        output.loss.backward()
        outputs.update({f"grad.{key}": p.grad for key, p in model.named_parameters()})
    model.save_pretrained(FOLDER / name)
    (FOLDER / name / "generation_config.json").unlink(missing_ok=True)
    save_file({k: v.contiguous() for k, v in inputs.items()}, FOLDER / name / "input.safetensors")
    save_file({k: v.contiguous().clone() for k, v in outputs.items()}, FOLDER / name / "output.safetensors")
    print(f"{name}: loss {output.loss.item():.4f}, {'trained' if trained else 'evaluated'}")


shutil.rmtree(FOLDER, ignore_errors=True)
for name, case in CASES.items():
    record(name, **case)
