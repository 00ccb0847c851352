"""A training step of reformer-pytorch (lucidrains) on random bytes, as a line of JSON."""
import common
import torch
from reformer_pytorch import ReformerLM

flags = common.step_flags(__doc__)
flags.add_argument("--ff-chunks", type=int, default=1, help="its own default, 100, is slower")
args = flags.parse_args()
torch.manual_seed(0)
model = ReformerLM(num_tokens=common.VOCABULARY, dim=args.d_model, depth=args.layers, max_seq_len=args.length,
                   heads=args.heads, dim_head=args.d_model // args.heads, bucket_size=args.chunk, ff_chunks=args.ff_chunks,
                   n_hashes=args.hashes, ff_mult=args.d_ff // args.d_model, causal=True)
step = common.Step(model, args.dtype, backward_in_autocast=True)
shortest = 2 * args.chunk  # that it accepts
common.measure_steps(step, args, lambda: step(1, min(args.length, shortest)))
