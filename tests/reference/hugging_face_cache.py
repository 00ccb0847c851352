"""Records the logits that transformers' Reformer gives with its own cache: cached.safetensors in folders of hugging_face/.

    python tests/reference/hugging_face_cache.py    # after hugging_face_fixtures.py

logits.N: of the first row of input.safetensors, from token N - 1 on, with a prompt of N tokens and then one at a time.
"""
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import ReformerModelWithLMHead

FOLDER = Path(__file__).parent / "hugging_face"


def use_rotations(model, rotations):
    """Every layer hashes with its recorded rotations."""
    original = torch.randn
    for i, layer in enumerate(model.reformer.encoder.layers):
        attention = layer.attention.self_attention
        if not hasattr(attention, "_hash_vectors"):
            continue

        def with_rotations(*args, hash_vectors=attention._hash_vectors, rotation=rotations[f"rotation.{i}"], **options):
            torch.randn = lambda *a, **k: rotation
            try:
                return hash_vectors(*args, **options)
            finally:
                torch.randn = original

        attention._hash_vectors = with_rotations


@torch.no_grad()
def logits(model, tokens, prompt):
    output = model(tokens[:, :prompt], use_cache=True)
    rows = [output.logits[:, -1]]
    for i in range(prompt, tokens.shape[1]):
        output = model(tokens[:, i:i + 1], past_buckets_states=output.past_buckets_states, use_cache=True)
        rows.append(output.logits[:, -1])
    return torch.cat(rows)


for name, prompts in {"decoder": [1, 3, 8, 13], "padded": [2, 7], "axial": [3, 20]}.items():
    given = load_file(FOLDER / name / "input.safetensors")
    model = ReformerModelWithLMHead.from_pretrained(FOLDER / name).eval()
    use_rotations(model, given)
    for layer in model.reformer.encoder.layers:
        layer.feed_forward.chunk_size_feed_forward = 0  # a single token cannot be cut
    save_file({f"logits.{n}": logits(model, given["input_ids"][:1], n) for n in prompts},
              FOLDER / name / "cached.safetensors")
