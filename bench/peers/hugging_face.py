"""The Reformer of Hugging Face's transformers with the sizes that the command line gives."""
import math
import warnings

import torch

warnings.filterwarnings("ignore", category=FutureWarning)

from transformers import ReformerConfig, ReformerModelWithLMHead, logging  # noqa: E402

logging.set_verbosity_error()


def axial_shape(length):
    """Two factors of a product of `length`, as near to each other as there are."""
    rows = next(n for n in range(math.isqrt(length), 0, -1) if length % n == 0)
    return rows, length // rows


def num_buckets(length, chunk):
    """About 2 length / chunk, a power of two; more than 128 as two factors."""
    bits = max(1, round(math.log2(max(2.0, 2 * length / chunk))))
    return 2**bits if bits <= 7 else [2**(bits // 2), 2**(bits - bits // 2)]


def make_model(args, length, dtype=torch.float32):
    torch.manual_seed(0)
    config = ReformerConfig(
        attn_layers=["lsh"] * args.layers, hidden_size=args.d_model, num_attention_heads=args.heads,
        attention_head_size=args.d_model // args.heads, feed_forward_size=args.d_ff, hidden_act="relu",
        num_hashes=args.hashes, lsh_attn_chunk_length=args.chunk, num_buckets=num_buckets(length, args.chunk),
        max_position_embeddings=length, axial_pos_shape=axial_shape(length),
        axial_pos_embds_dim=(args.d_model // 4, args.d_model - args.d_model // 4), vocab_size=258, is_decoder=True,
        hidden_dropout_prob=0.0, lsh_attention_probs_dropout_prob=0.0, local_attention_probs_dropout_prob=0.0)
    return ReformerModelWithLMHead(config).to(dtype)
