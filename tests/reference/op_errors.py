"""Inputs that PyTorch refuses."""
import torch
import torch.nn.functional as F

from op_numbers import op, ops
from recording import integers, uniform, wide


def refused(what, name, f, *inputs, **args):
    try:
        f(*inputs)
    except (RuntimeError, IndexError, ValueError, TypeError):
        i = len(ops.cases)
        for k, x in enumerate(inputs):
            ops.tensors[f"{i}.x{k}"] = wide(x)
        ops.cases.append({"op": name, "kind": "errors", "args": {"what": what, **args}, "inputs": len(inputs), "outputs": 0})
        return
    raise AssertionError(f"PyTorch takes {name} of {what}")


def index(*numbers):
    return torch.tensor(numbers)


a, b = uniform(2, 3), uniform(4, 3)
for name in "add sub mul div pow maximum minimum less equal logical_and".split():
    refused("shapes that do not broadcast", name, getattr(torch, dict(less="lt", equal="eq").get(name, name)), a, b)
refused("shapes that do not broadcast", "where", torch.where, integers(2, 2, 3).bool(), a, b)
refused("a condition of numbers", "where", torch.where, a, a, a)
refused("a mask of another shape", "masked_fill", lambda x, m: x.masked_fill(m, 1), a, integers(2, 4, 3).bool(), value=1)
refused("a mask of numbers", "masked_fill", lambda x, m: x.masked_fill(m, 1), a, a, value=1)
refused("boolean", "neg", torch.neg, a > 0)
refused("boolean", "sub", torch.sub, a > 0, a > 0)
refused("an integer to a negative power", "pow", lambda x: x**-1, integers(5, 3), scalar=-1)
refused("integers", "mean", lambda x: torch.mean(x), integers(5, 3), axes=[], all=True, keepdim=False)
refused("integers", "var", lambda x: torch.var(x), integers(5, 3), axes=[], all=True, keepdim=False, correction=1)
refused("integers", "norm", lambda x: torch.linalg.vector_norm(x), integers(5, 3), axes=[], all=True, keepdim=False)
refused("integers", "softmax", lambda x: torch.softmax(x, 0), integers(5, 3), axis=0)
refused("integers", "layer_norm", lambda x: F.layer_norm(x, (3,)), integers(5, 3), eps=1e-5)
for name, f in dict(gelu=F.gelu, silu=F.silu, softplus=F.softplus, log_sigmoid=F.logsigmoid, mish=F.mish, selu=F.selu, hardswish=F.hardswish).items():
    refused("integers", name, f, integers(5, 3))
for name, f in dict(sum=torch.sum, mean=torch.mean, logsumexp=torch.logsumexp, max=torch.amax, min=torch.amin).items():
    refused("an axis too high", name, lambda x: f(x, dim=[2]), a, axes=[2], all=False, keepdim=False)
    refused("an axis too low", name, lambda x: f(x, dim=[-3]), a, axes=[-3], all=False, keepdim=False)
    refused("an axis given twice", name, lambda x: f(x, dim=[1, -1]), a, axes=[1, -1], all=False, keepdim=False)
for name in ("max", "min"):
    refused("no elements", name, lambda x: getattr(torch, "a" + name)(x, dim=[0]), uniform(0, 3), axes=[0], all=False, keepdim=False)
for name in ("argmax", "argmin"):
    refused("no elements", name, lambda x: getattr(torch, name)(x, dim=0), uniform(0, 3), axes=[0], all=False, keepdim=False)
    refused("an axis too high", name, lambda x: getattr(torch, name)(x, dim=2), a, axes=[2], all=False, keepdim=False)
for name, f in dict(cumsum=torch.cumsum, softmax=torch.softmax, log_softmax=torch.log_softmax, unsqueeze=torch.unsqueeze,
                    glu=F.glu, flip=lambda x, k: torch.flip(x, [k])).items():
    for what, axis in {"an axis too high": 3, "an axis too low": -4}.items():
        refused(what, name, lambda x: f(x, axis), a, axis=axis)
refused("an odd size", "glu", lambda x: F.glu(x, 1), a, axis=1)
refused("low above high by shape", "clamp", lambda x: torch.clamp(x, torch.ones(5), torch.ones(5)), a, low=1.0, high=-1.0)

for x, y in [((2, 3), (4, 5)), ((2, 3, 4), (3, 4, 5)), ((3,), (4,)), ((), (3,)), ((3,), ())]:
    refused(f"{x} x {y}", "matmul", torch.matmul, uniform(*x), uniform(*y))
refused("boolean", "matmul", torch.matmul, uniform(2, 2) > 0, uniform(2, 2) > 0)
refused("types that differ", "matmul", torch.matmul, uniform(2, 3).float(), uniform(3, 2))
refused("types that differ", "linear", F.linear, uniform(2, 3).float(), uniform(5, 3))
refused("another width", "linear", F.linear, uniform(2, 3), uniform(5, 4))
refused("a bias of another length", "linear", F.linear, uniform(2, 4), uniform(5, 4), uniform(3))

refused("another number of elements", "reshape", lambda x: x.T.reshape(4, -1), a, shape=[4, -1])
refused("two sizes of -1", "reshape", lambda x: x.T.reshape(-1, -1), a, shape=[-1, -1])
refused("another number of elements", "view", lambda x: x.view(7), a, shape=[7])
refused("axes out of order", "flatten", lambda x: torch.flatten(x, 1, 0), a, start=1, end=0)
refused("an axis missing", "permute", lambda x: x.permute(0), a, axes=[0])
refused("an axis given twice", "permute", lambda x: x.permute(0, 0), a, axes=[0, 0])
refused("an axis too high", "transpose", lambda x: x.transpose(0, 2), a, a=0, b=2)
refused("a step of 0", "slice", lambda x: x[::0], a, axis=0, start=0, stop=2, step=0)
refused("a step of -1", "slice", lambda x: x[::-1], a, axis=0, start=0, stop=2, step=-1)
refused("an index too high", "select", lambda x: x.select(1, 3), a, axis=1, index=3)
refused("an index too low", "select", lambda x: x.select(1, -4), a, axis=1, index=-4)
refused("no parts", "chunk", lambda x: torch.chunk(x, 0, 1), a, count=0, axis=1)
refused("a size that does not fit", "expand", lambda x: x.expand(4, 3), a, shape=[4, 3])
refused("fewer axes", "expand", lambda x: x.expand(3), a, shape=[3])
refused("an axis too high", "squeeze", lambda x: x.squeeze(2), a, axes=[2], all=False)
refused("shapes that differ", "concatenate", lambda *x: torch.cat(x, 0), a, uniform(2, 4), axis=0)
refused("numbers of axes that differ", "concatenate", lambda *x: torch.cat(x, 0), a, uniform(3), axis=0)
refused("scalars", "concatenate", lambda *x: torch.cat(x, 0), uniform(), uniform(), axis=0)
refused("no tensors", "concatenate", lambda: torch.cat([], 0), axis=0)
refused("no tensors", "stack", lambda: torch.stack([], 0), axis=0)
refused("shapes that differ", "stack", lambda *x: torch.stack(x, 0), a, b, axis=0)
refused("sizes that do not add up", "split", lambda x: torch.split(x, [1, 1], 1), a, sizes=[1, 1], axis=1)
refused("a negative size", "split", lambda x: torch.split(x, [4, -1], 1), a, sizes=[4, -1], axis=1)
refused("an axis too high", "roll", lambda x: torch.roll(x, 1, 2), a, shift=1, axis=2)
refused("more cut off than there is", "pad", lambda x: F.pad(x, (-4, 0)), a, axis=-1, before=-4, after=0, value=0)

for what, i in {"an index too high": index(3), "a negative index": index(-4), "an index of numbers": torch.tensor([0.0])}.items():
    refused(what, "index_select", lambda x, i: torch.index_select(x, 1, i), a, i, axis=1)
    refused(what, "gather", lambda x, i: torch.gather(x, 1, i), a, i.reshape(1, 1), axis=1)
    if i.is_floating_point():  # PyTorch does not check the others
        refused(what, "take_along", lambda x, i: torch.take_along_dim(x, i, 1), a, i.reshape(1, 1), axis=1)
    refused(what, "scatter_add", lambda x, i, s: x.scatter_add(1, i, s), a, i.reshape(1, 1), uniform(1, 1), axis=1)
    refused(what, "embedding", lambda w, i: F.embedding(i, w), a, i)
    refused(what, "one_hot", lambda i: F.one_hot(i, 3), i, classes=3)
refused("an index with two axes", "index_select", lambda x, i: torch.index_select(x, 0, i), a, index(0, 1).reshape(2, 1), axis=0)
refused("an index with fewer axes", "gather", lambda x, i: torch.gather(x, 0, i), a, index(0), axis=0)
refused("an index longer than x", "gather", lambda x, i: torch.gather(x, 0, i), a, torch.zeros(1, 4, dtype=torch.int64), axis=0)
refused("a source smaller than the index", "scatter_add", lambda x, i, s: x.scatter_add(0, i, s), a, torch.zeros(2, 3, dtype=torch.int64), uniform(1, 3), axis=0)
refused("a source of another type", "scatter_add", lambda x, i, s: x.scatter_add(0, i, s), integers(5, 2, 3), torch.zeros(2, 3, dtype=torch.int64), a, axis=0)
refused("a table with one axis", "embedding", lambda w, i: F.embedding(i, w), uniform(3), index(0))
refused("a k above the size", "top_k", lambda x: torch.topk(x, 4, -1), a, k=4, axis=-1)
refused("a negative k", "top_k", lambda x: torch.topk(x, -1, -1), a, k=-1, axis=-1)
for name in ("sort", "argsort"):
    refused("an axis too high", name, lambda x: getattr(torch, name)(x, dim=2), a, axis=2, descending=False)

refused("a weight of another length", "layer_norm", lambda x, w: F.layer_norm(x, (3,), w), a, uniform(2), eps=1e-5)
refused("a class too high", "cross_entropy", F.cross_entropy, a, index(0, 3))
refused("a negative class", "cross_entropy", F.cross_entropy, a, index(0, -1))
refused("targets of i32", "cross_entropy", F.cross_entropy, a, index(0, 1).int())
refused("targets of another shape", "cross_entropy", F.cross_entropy, a, index(0, 1, 2))
refused("smoothing above 1", "cross_entropy", lambda x, t: F.cross_entropy(x, t, label_smoothing=1.5), a, index(0, 1), smoothing=1.5)
refused("a weight of another length", "cross_entropy", lambda x, t: F.cross_entropy(x, t, torch.ones(2).double()), a, index(0, 1), weight=[1.0, 1.0])
refused("a class too high", "nll_loss", F.nll_loss, a, index(0, 3))
refused("targets of another shape", "nll_loss", F.nll_loss, a, index(0, 1, 2))
refused("shapes that differ", "binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, a, b)
refused("shapes that do not broadcast", "mse_loss", F.mse_loss, a, b)
refused("shapes that do not broadcast", "l1_loss", F.l1_loss, a, b)
refused("shapes that do not broadcast", "huber_loss", F.huber_loss, a, b, delta=1.0)
refused("shapes that do not broadcast", "smooth_l1_loss", F.smooth_l1_loss, a, b, beta=1.0)
refused("shapes that do not broadcast", "kl_div", F.kl_div, a, b, log_target=False)
refused("a negative delta", "huber_loss", lambda x, t: F.huber_loss(x, t, delta=-1.0), a, a, delta=-1.0)
refused("a negative beta", "smooth_l1_loss", lambda x, t: F.smooth_l1_loss(x, t, beta=-1.0), a, a, beta=-1.0)

attention = F.scaled_dot_product_attention
refused("widths that differ", "attention", attention, uniform(1, 1, 2, 3), uniform(1, 1, 2, 4), uniform(1, 1, 2, 4), causal=False)
refused("heads that differ", "attention", attention, uniform(1, 2, 2, 4), uniform(1, 3, 2, 4), uniform(1, 3, 2, 4), causal=False)
plain = dict(stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1)
refused("other channels", "conv2d", F.conv2d, uniform(1, 2, 4, 4), uniform(3, 3, 2, 2), **plain)
refused("a kernel larger than the image", "conv2d", F.conv2d, uniform(1, 2, 2, 2), uniform(3, 2, 3, 3), **plain)
refused("a bias of another length", "conv2d", F.conv2d, uniform(1, 2, 4, 4), uniform(3, 2, 2, 2), uniform(2), **plain)
refused("a stride of 0", "conv2d", lambda x, w: F.conv2d(x, w, stride=0), uniform(1, 2, 4, 4), uniform(3, 2, 2, 2), **{**plain, "stride": [0, 0]})
refused("groups that do not divide", "conv2d", lambda x, w: F.conv2d(x, w, groups=2), uniform(1, 3, 4, 4), uniform(4, 1, 2, 2), **{**plain, "groups": 2})
for name in ("max_pool2d", "avg_pool2d"):
    pool = getattr(F, name)
    refused("padding above half", name, lambda x: pool(x, 3, 3, 2), uniform(1, 1, 4, 4), kernel=[3, 3], stride=[3, 3], padding=[2, 2], count=True)
    refused("a window larger than the image", name, lambda x: pool(x, 5), uniform(1, 1, 4, 4), kernel=[5, 5], stride=[5, 5], padding=[0, 0], count=True)
refused("one value per channel", "batch_norm", lambda x: F.batch_norm(x, None, None, None, None, True), uniform(1, 3), given=False, eps=1e-5)
refused("a weight of another length", "batch_norm", lambda x, w: F.batch_norm(x, None, None, w, None, True), uniform(2, 3), uniform(2), given=False, eps=1e-5)

refused("p above 1", "dropout", lambda x: F.dropout(x, 1.5), a, p=1.5, training=True)
refused("p below 0", "dropout", lambda x: F.dropout(x, -0.5), a, p=-0.5, training=True)
refused("p above 1", "bernoulli", lambda: torch.full((2, 3), 1.5).bernoulli(), shape=[2, 3], p=1.5)
refused("an empty range", "randint", lambda: torch.randint(3, 3, (2, 3)), shape=[2, 3], low=3, high=3)
refused("a step of 0", "arange", lambda: torch.arange(0, 3, 0), start=0, stop=3, step=0)
refused("a step away from stop", "arange", lambda: torch.arange(0, 3, -1), start=0, stop=3, step=-1)
for name in ("zeros", "ones"):
    refused("a negative size", name, lambda: getattr(torch, name)(2, -1), shape=[2, -1])
refused("a negative size", "full", lambda: torch.full((2, -1), 1.0), shape=[2, -1], value=1.0)
refused("a negative size", "eye", lambda: torch.eye(-2, 3), rows=-2, columns=3)
refused("a source larger than x", "add_", lambda x, y: x.add_(y), uniform(3), a, alpha=1)
refused("a result of another type", "add_", lambda x, y: x.add_(y), integers(5, 2, 3), a, alpha=1)
refused("a result of another type", "mul_", lambda x: x.mul_(1.5), integers(5, 2, 3), value=1.5)
refused("a source larger than x", "copy_", lambda x, y: x.copy_(y), uniform(3), a)
