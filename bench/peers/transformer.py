"""A decoder with full attention in plain PyTorch: pre-norm, learned positions, scaled_dot_product_attention."""
import torch
from torch import nn
from torch.nn import functional as F


class KeyValueCache:
    """Keys and values of one layer, in place for all positions from the start."""

    def __init__(self, batch, heads, length, width, dtype):
        self.keys = torch.zeros(batch, heads, length, width, dtype=dtype)
        self.values = torch.zeros_like(self.keys)

    def append(self, position, k, v):
        end = position + k.shape[2]
        self.keys[:, :, position:end] = k
        self.values[:, :, position:end] = v
        return self.keys[:, :, :end], self.values[:, :, :end]


class Block(nn.Module):
    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model, bias=False), nn.Linear(d_model, d_model, bias=False)
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def attention(self, x, cache, position):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.append(position, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)
        return self.out(y.transpose(1, 2).flatten(2))

    def forward(self, x, cache=None, position=0):
        x = x + self.attention(self.norm1(x), cache, position)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, vocabulary, layers, d_model, heads, d_ff, length):
        super().__init__()
        self.heads = heads
        self.tokens, self.positions = nn.Embedding(vocabulary, d_model), nn.Embedding(length, d_model)
        self.blocks = nn.ModuleList(Block(d_model, heads, d_ff) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, vocabulary)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def make_caches(self, batch, dtype):
        length, d_model = self.positions.weight.shape
        return [KeyValueCache(batch, self.heads, length, d_model // self.heads, dtype) for _ in self.blocks]

    def forward(self, tokens, caches=None, position=0):
        """Logits (batch, length, vocabulary); with caches those of the last of the given tokens, which follow
        `position` earlier ones."""
        x = self.tokens(tokens) + self.positions.weight[position:position + tokens.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, caches and caches[i], position)
        return self.head(self.norm(x if caches is None else x[:, -1:]))
