"""A training step of a transformer with full attention in PyTorch on random bytes, as a line of JSON. --hashes and
--chunk have no meaning here."""
import common
import torch
from transformer import Transformer

args = common.step_flags(__doc__).parse_args()
torch.manual_seed(0)
model = Transformer(common.VOCABULARY, args.layers, args.d_model, args.heads, args.d_ff, args.length)
step = common.Step(model, args.dtype)
common.measure_steps(step, args, lambda: step(1, min(args.length, 64)))
