"""Repeats the first steps of docs/examples/digits.cpp in PyTorch, from the same weights on the same batches:

    digits docs/examples/data/digits.safetensors run.safetensors
    python bench/peers/digits_twin.py docs/examples/data/digits.safetensors run.safetensors

Prints the largest difference between the losses and fails above 1e-4."""
import sys

import torch
from safetensors.torch import load_file

data, run = load_file(sys.argv[1]), load_file(sys.argv[2])
images, labels = (data["images"].flatten(1).float() - 5) / 16, data["labels"].long()
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
model.load_state_dict({name: run[name] for name in model.state_dict()})
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

worst = 0.0
for rows, expected in zip(run["batches"], run["losses"].tolist(), strict=True):
    loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
    worst = max(worst, abs(loss.item() - expected))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{len(run['losses'])} steps, last loss {loss.item():.6f}, largest difference {worst:.2e}")
sys.exit(worst > 1e-4)
