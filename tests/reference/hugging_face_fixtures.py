"""Records what transformers' Reformer computes: a folder per case in hugging_face/ beside this file.

    python tests/reference/hugging_face_fixtures.py [CASE ...]   # needs torch, "transformers<5" and safetensors

Run by hand when a case is added; the tests only read the files. config.json and model.safetensors are what
save_pretrained writes, input.safetensors what `reformer score` reads, output.safetensors logits, loss and, of the
cases that transformers can train (no padding, or its check lifted), every gradient.
"""
import itertools
import shutil
import sys
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
SMALL = dict(vocab_size=11, hidden_size=8, attention_head_size=3, feed_forward_size=10, max_position_embeddings=32)
CASES |= {
    "hashes": dict(SMALL, length=24, attn_layers=["lsh"], num_hashes=16, num_buckets=[2, 4, 2], hidden_act="silu",
                   lsh_num_chunks_before=2),
    "mixed": dict(SMALL, length=24, attn_layers=["lsh", "local", "local", "lsh"], num_hashes=1, hidden_act="quick_gelu",
                  local_num_chunks_before=0, lsh_num_chunks_before=0, chunk_size_feed_forward=8, chunk_size_lm_head=12),
    "ahead": dict(SMALL, length=24, is_decoder=False, local_num_chunks_after=2, lsh_num_chunks_after=2,
                  hidden_act="laplace", mask=[(3, 5), (9, 11)], scored=3),
    "cube": dict(SMALL, length=24, axial_pos_embds=True, axial_pos_shape=[2, 3, 4], axial_pos_embds_dim=[3, 1, 4],
                 hidden_act="gelu_10", num_buckets=[4, 2]),
    "places": dict(SMALL, length=24, num_hashes=1, hidden_act="mish", shift=5, call_hashes=3),
    "left": dict(SMALL, length=19, mask=[(0, 7), (4, 6)], hidden_act="relu6", lift=True),
}


def record_rotations(run):
    """run()'s result and the normal numbers drawn in it, in order."""
    drawn, original = [], torch.randn
    torch.randn = lambda *a, **k: drawn.append(original(*a, **k)) or drawn[-1]
    try:
        return run(), drawn
    finally:
        torch.randn = original


def record(name, length, mask=None, scored=1, shift=0, call_hashes=None, lift=False, **options):
    """scored: every n-th token has a label. shift: of explicit position_ids. call_hashes: rounds of this call.
    lift: gradients in evaluation, by raising the flag that transformers asserts."""
    torch.manual_seed(len(name))
    seeds = itertools.count(1)
    torch.seed = lambda: next(seeds)  # from which layers draw in training; else every run would differ
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
    inputs["labels"][:, torch.arange(length) % scored > 0] = -100
    if shift:
        inputs["position_ids"] = (torch.arange(length) + torch.tensor([[0], [shift]])).contiguous()
    if call_hashes:  # the argument of forward() does not reach transformers' backward pass
        for layer in model.reformer.encoder.layers:
            layer.attention.self_attention.num_hashes = call_hashes
    chunks = {"local": config.local_attn_chunk_length, "lsh": config.lsh_attn_chunk_length}
    trained = length <= min(chunks.values()) or all(length % c == 0 for c in chunks.values())
    model.train(trained)
    with torch.set_grad_enabled(trained or lift):
        extra = {"use_cache": False} if lift else {}  # a cache would hash again in the backward pass
        output, rotations = record_rotations(lambda: model(**inputs, **extra))
    lsh = [i for i, kind in enumerate(config.attn_layers) if kind == "lsh"]
    inputs.update({f"rotation.{i}": rotation for i, rotation in zip(lsh, rotations)})
    outputs = {"logits": output.logits.detach(), "loss": output.loss.detach()}
    if lift:
        for layer in model.reformer.encoder.layers:
            layer.training, layer.attention_seed, layer.feed_forward_seed = True, 0, 0
    if trained or lift:
        output.loss.backward()
        outputs.update({f"grad.{key}": p.grad for key, p in model.named_parameters()})
    model.save_pretrained(FOLDER / name)
    (FOLDER / name / "generation_config.json").unlink(missing_ok=True)
    save_file({k: v.contiguous() for k, v in inputs.items()}, FOLDER / name / "input.safetensors")
    save_file({k: v.contiguous().clone() for k, v in outputs.items()}, FOLDER / name / "output.safetensors")
    print(f"{name}: loss {output.loss.item():.4f}, {'trained' if trained else 'evaluated'}")


for name in sys.argv[1:] or CASES:
    shutil.rmtree(FOLDER / name, ignore_errors=True)
    record(name, **CASES[name])
