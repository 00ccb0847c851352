"""A training step of Hugging Face's Reformer on random bytes, as a line of JSON."""
import common
import hugging_face
import torch


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        return self.model(tokens, use_cache=False).logits


args = common.step_flags(__doc__).parse_args()
model = hugging_face.make_model(args, args.length)
step = common.Step(Logits(model), args.dtype, args.device, backward_in_autocast=True)


def warm_up():
    """In training mode axial positions take the full length only."""
    positions = model.reformer.embeddings.position_embeddings
    positions.eval()
    step(1, min(args.length, 64))
    positions.train()


common.measure_steps(step, args, warm_up)
