"""Tokens per second that a transformer in PyTorch generates with a cache of keys and values, as a line of JSON. In bf16
the weights are bf16 too."""
import common
import torch
from transformer import Transformer

args = common.generation_flags(__doc__).parse_args()
torch.manual_seed(0)
dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
model = Transformer(common.VOCABULARY, args.layers, args.d_model, args.heads, args.d_ff, args.context + args.tokens)
model.to(dtype).eval()
caches, position = model.make_caches(args.batch, dtype), 0


def next_logits(tokens):
    global position
    logits = model(tokens, caches, position)
    position += tokens.shape[1]
    return logits[:, -1]


args.dtype = "f32"  # nothing is left to cast
common.measure_generation(next_logits, args)
