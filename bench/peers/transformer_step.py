"""A training step of a transformer with full attention in PyTorch on random bytes, as a line of JSON. --hashes and
--chunk have no meaning here. --compile runs it through torch.compile, whose time is in the untimed step."""
import common
import torch
from transformer import Transformer

flags = common.step_flags(__doc__)
flags.add_argument("--compile", action="store_true")
args = flags.parse_args()
torch.manual_seed(0)
model = Transformer(common.VOCABULARY, args.layers, args.d_model, args.heads, args.d_ff, args.length)
step = common.Step(model, args.dtype, args.device)
if args.compile:
    step.model = torch.compile(step.model)
common.measure_steps(step, args, lambda: None if args.compile else step(1, min(args.length, 64)))
