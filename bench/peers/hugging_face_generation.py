"""Tokens per second that Hugging Face's Reformer generates with its cache of buckets and states, as a line of JSON. In
bf16 the weights are bf16 too."""
import common
import hugging_face
import torch

args = common.generation_flags(__doc__).parse_args()
length = -(-(args.context + args.tokens) // 1024) * 1024
dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
model = hugging_face.make_model(args, length, dtype).eval()
cache = None


def next_logits(tokens):
    global cache
    output = model(tokens, past_buckets_states=cache, use_cache=True)
    cache = output.past_buckets_states
    return output.logits[:, -1]


args.dtype = "f32"  # nothing is left to cast
common.measure_generation(next_logits, args)
