"""A training step of reformer-pytorch (lucidrains) on random bytes, as a line of JSON.

Its feed-forward layers are cut into pieces of 128 positions, at most 100 of them. Its default is 100 at any length:
slower where that makes small pieces; without a cut it is no faster and needs more memory.
"""
import common
import torch
from reformer_pytorch import ReformerLM

args = common.step_flags(__doc__).parse_args()
torch.manual_seed(0)
model = ReformerLM(num_tokens=common.VOCABULARY, dim=args.d_model, depth=args.layers, max_seq_len=args.length,
                   heads=args.heads, dim_head=args.d_model // args.heads, bucket_size=args.chunk,
                   n_hashes=args.hashes, ff_mult=args.d_ff // args.d_model, causal=True,
                   ff_chunks=min(100, max(1, args.length // 128)))
step = common.Step(model, args.dtype, args.device, backward_in_autocast=True)
shortest = 2 * args.chunk  # that it accepts
common.measure_steps(step, args, lambda: step(1, min(args.length, shortest)))
