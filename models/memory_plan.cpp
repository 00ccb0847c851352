#include <fmt/format.h>

#include <tenet/core/parallel.h>
#include <tenet/models/memory_plan.h>
#include <tenet/models/progress.h>
#include <tenet/models/reformer.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>
#include <tenet/ops/attention/detail/operand.h>

#include <algorithm>

namespace tenet {
namespace {

constexpr int64_t word = 4;          // bytes of f32, fixed32 and an index
constexpr int64_t loss_rows = 1024;  // linear_cross_entropy()'s rows at a time
constexpr int64_t tile_bytes = 288
                               << 10;  // about what a thread packs for a product or for attention

/// Scratch of the kernel of the attention's backward pass: per head two row statistics and, of LSH,
/// what is known of each key; tiles of each thread; copies of the rows of a head where they fit
/// (HeadCopies in ops/attention/detail/lsh.h); sums of f32 beside narrow gradients that no thread
/// keeps for itself; narrow operands widened if the kernel does not multiply them as they are. LSH
/// of narrow operands takes heads that are too long to copy one at a time.
int64_t attention_workspace(const ReformerConfig& c, AttentionKind kind, int64_t batch,
                            int64_t length, DType dtype) {
  const bool lsh = kind == AttentionKind::lsh, narrow = dtype != DType::f32;
  const bool widened = narrow && !detail::multiplies(dtype);
  const int64_t element = widened ? word : itemsize(dtype);
  const int64_t copies = length * c.attention_head_size * (3 * element + 2 * word);
  const bool copied = lsh && copies <= detail::tiles::kHeadCopyBytes;
  const int64_t all_heads = batch * c.num_attention_heads;
  const int64_t heads = lsh && narrow && !copied ? 1 : all_heads;  // at a time
  const int64_t wide = word * length * heads * c.attention_head_size;
  int64_t bytes = word * length * heads + num_threads() * tile_bytes;
  if (lsh) bytes += (2 * word + 1) * length * heads;
  if (copied) bytes += num_threads() * copies;
  if (widened) {
    bytes += (lsh ? 5 : 8) * wide;
  } else if (narrow && !lsh) {
    bytes += wide;
  } else if (narrow && (!copied || all_heads % num_threads() != 0)) {
    bytes += 2 * wide;
  }
  return bytes;
}

/// The bytes of the tensors of one step. Each function that says "kept" counts what the graph saves
/// between a part's forward and its backward pass.
class Step {
 public:
  Step(const ReformerConfig& config, int64_t parameters, const MemoryPlanOptions& o)
      : c_(config),
        o_(o),
        length_(config.padded_length(o.length)),
        rows_(o.batch * length_),
        width_(config.num_attention_heads * config.attention_head_size),
        stream_(word * rows_ * config.hidden_size),
        input_(itemsize(o.dtype) * rows_ * config.hidden_size),
        heads_(itemsize(o.dtype) * rows_ * width_),
        narrow_(o.dtype != DType::f32),
        exact_(config.residual == "exact") {
    all_gradients_ = word * parameters;
  }

  std::vector<MemoryMoment> moments() {
    int64_t kept = 0;
    for (const AttentionKind kind : c_.attn_layers) {
      if (!o_.reversible) kept += attention_kept(kind) + feed_forward_kept(rows_);
    }
    if (!o_.reversible) add({"forward", 0, kept + last_forward(), products()});
    add({"loss", 0, kept + loss(), products()});
    int64_t gradients = head_gradients();
    for (size_t i = c_.attn_layers.size(); i-- > 0;) {
      const AttentionKind kind = c_.attn_layers[i];
      if (!o_.reversible) kept -= attention_kept(kind) + feed_forward_kept(rows_);
      feed_forward_backward(kind, gradients, kept);
      gradients += feed_forward_gradients() + output_gradient();
      attention_backward(kind, gradients, kept);
      gradients += attention_gradients(kind) - output_gradient();
    }
    add({"embedding", all_gradients_, 3 * stream_, 0});
    return std::move(moments_);
  }

 private:
  /// Keeps the fullest of a name.
  void add(MemoryMoment moment) {
    for (MemoryMoment& known : moments_) {
      if (known.name != moment.name) continue;
      if (known.bytes() < moment.bytes()) known = std::move(moment);
      return;
    }
    moments_.push_back(std::move(moment));
  }

  /// What a product packs: tiles of each thread, or in bf16 its right operand.
  int64_t products() const { return num_threads() * tile_bytes; }
  int64_t inner_products(int64_t rows) const {
    return products() + (detail::multiplies(o_.dtype) ? inner(rows) : 0);
  }
  int64_t projections(AttentionKind kind) const { return kind == AttentionKind::lsh ? 2 : 3; }
  int64_t output_gradient() const { return word * c_.hidden_size * width_; }
  int64_t attention_gradients(AttentionKind kind) const {
    return (projections(kind) + 1) * output_gradient() + 2 * word * c_.hidden_size;
  }
  int64_t feed_forward_gradients() const {
    return word *
           (2 * c_.hidden_size * c_.feed_forward_size + c_.feed_forward_size + 3 * c_.hidden_size);
  }
  int64_t head_gradients() const {
    return word * (2 * c_.hidden_size * c_.vocab_size + c_.vocab_size + 4 * c_.hidden_size);
  }
  /// What attention over chunks keeps of its scores: about six tensors of them.
  int64_t scores_kept(AttentionKind kind) const {
    if (!c_.has_chunks() || kind == AttentionKind::full) return 0;
    const bool lsh = kind == AttentionKind::lsh;
    const int64_t window =
        lsh ? c_.lsh_attn_chunk_length * (1 + c_.lsh_num_chunks_before + c_.lsh_num_chunks_after)
            : c_.local_attn_chunk_length *
                  (1 + c_.local_num_chunks_before + c_.local_num_chunks_after);
    return 6 * word * rows_ * c_.num_attention_heads * (lsh ? c_.num_hashes : 1) * window;
  }

  /// The numbers that the norm reads and gives, and its row statistics.
  int64_t norm_kept(int64_t rows) const { return 2 * stream_ / rows_ * rows + 2 * word * rows; }
  /// Queries, keys and values, what the heads give, per head an order of each round and the log of
  /// a sum.
  int64_t attention_kept(AttentionKind kind) const {
    const int64_t rounds = kind == AttentionKind::lsh ? c_.num_hashes : 0;
    return norm_kept(rows_) + (projections(kind) + 1) * heads_ +
           word * rows_ * c_.num_attention_heads * (1 + rounds) + scores_kept(kind);
  }
  /// The inner numbers of `rows` positions, of which a chunk is there at a time if there are any.
  int64_t inner(int64_t rows) const {
    const int64_t chunk = c_.chunk_size_feed_forward;
    const int64_t at_once = chunk > 0 ? std::min(rows, o_.batch * chunk) : rows;
    return itemsize(o_.dtype) * at_once * c_.feed_forward_size;
  }
  /// relu keeps what it gives, which the product behind it keeps too; others what they read.
  int64_t inner_kept(int64_t rows) const { return (c_.hidden_act == "relu" ? 1 : 2) * inner(rows); }
  int64_t feed_forward_kept(int64_t rows) const { return norm_kept(rows) + inner_kept(rows); }
  /// Positions that pass through a feed-forward part at a time.
  int64_t piece() const { return std::min(Reformer::feed_forward_rows, rows_); }

  /// The positions of the last piece, which may be a short one.
  int64_t last_piece() const { return (rows_ - 1) % piece() + 1; }

  /// The last feed-forward part of a forward pass that keeps all, in its last piece or the one
  /// before that: both streams before it, one behind it, the numbers that relu reads, and what the
  /// part gives.
  int64_t last_forward() const {
    const int64_t last = last_piece();
    const int64_t before = last < rows_ ? inner(piece()) - feed_forward_kept(last) : 0;
    return 3 * stream_ + std::max(inner(last), before) + (last < rows_ ? 2 : 1) * input_;
  }

  /// Both streams after the last layer if they are to be rebuilt from; the same as numbers.
  /// Forward: normalised, with a rounded copy of it and the weight, the gradient of that, and of
  /// some rows the logits and what these give of the weight's gradient. Backward: the gradient, as
  /// f32, and scaled.
  int64_t loss() const {
    const int64_t logits = word * std::min(loss_rows, rows_) * c_.vocab_size;
    const int64_t forward = (narrow_ ? 4 : 2) * input_ + 2 * stream_ + head_gradients() +
                            (narrow_ ? head_gradients() / 2 : 0) + logits;
    const int64_t backward = 2 * input_ + (narrow_ ? 4 : 2) * stream_ + head_gradients();
    return (o_.reversible ? 4 : 2) * stream_ + head_gradients() + std::max(forward, backward);
  }

  void feed_forward_backward(AttentionKind kind, int64_t gradients, int64_t kept) {
    const int64_t weight = word * c_.hidden_size * c_.feed_forward_size;
    const int64_t all = feed_forward_gradients();
    if (!o_.reversible) {
      // The last piece comes first, and frees what it kept.
      const int64_t last = last_piece();
      kept += attention_kept(kind) + feed_forward_kept(rows_) + 2 * stream_ + 2 * input_;
      add({"feed-forward", gradients + weight, kept + inner(last), inner_products(last)});
      if (last == rows_) return;
      kept += inner(piece()) - inner_kept(last);
      return add({"feed-forward", gradients + all + weight, kept, inner_products(piece())});
    }
    // The gradients of both streams and the one that the part was added to; the other is what the
    // norm keeps.
    const int64_t at_work = feed_forward_kept(piece()) + inner(piece());
    if (rows_ <= piece()) {
      return add(
          {"feed-forward", gradients + weight, 3 * stream_ + at_work, inner_products(piece())});
    }
    const int64_t joined = 2 * stream_;  // what is rebuilt, and the gradient through the part
    const int64_t seen = stream_ / rows_ * piece();  // the norm reads a view
    add({"feed-forward", gradients + all + weight, 4 * stream_ + joined + at_work - seen,
         inner_products(piece())});
  }

  void attention_backward(AttentionKind kind, int64_t gradients, int64_t kept) {
    // Gradients of both streams; of what the heads give, of queries, keys and values.
    int64_t activations =
        kept + attention_kept(kind) + 2 * stream_ + (1 + projections(kind)) * heads_;
    // LSH writes one gradient over what the heads gave.
    if (kind == AttentionKind::lsh) activations -= heads_;
    // The other rebuilt stream. The last block's gradients lie in one tensor unless they were
    // decoded, and adding to one takes a copy.
    if (o_.reversible) activations += (exact_ ? 1 : 2) * stream_;
    add({"attention", gradients, activations,
         attention_workspace(c_, kind, o_.batch, length_, o_.dtype)});
  }

  const ReformerConfig& c_;
  const MemoryPlanOptions& o_;
  const int64_t length_, rows_, width_;
  const int64_t stream_, input_, heads_;  // of f32 or fixed32; of what products read; of all heads
  const bool narrow_, exact_;
  int64_t all_gradients_ = 0;
  std::vector<MemoryMoment> moments_;
};

}  // namespace

const MemoryMoment& MemoryPlan::fullest() const {
  return *std::max_element(
      moments.begin(), moments.end(),
      [](const MemoryMoment& a, const MemoryMoment& b) { return a.bytes() < b.bytes(); });
}

MemoryPlan plan_memory(const ReformerConfig& config, int64_t parameters,
                       const MemoryPlanOptions& options) {
  MemoryPlan plan;
  plan.parameters = word * parameters;
  plan.optimizer =
      static_cast<int64_t>(static_cast<double>(plan.parameters) * options.optimizer_floats);
  plan.moments = Step(config, parameters, options).moments();
  return plan;
}

std::string to_string(const MemoryPlan& plan) {
  std::string text;
  const auto line = [&](const std::string& name, int64_t bytes) {
    text += fmt::format("  {:<28}{:>12}\n", name, readable_bytes(bytes));
  };
  const MemoryMoment& most = plan.fullest();
  line("parameters", plan.parameters);
  line("optimizer (Adam)", plan.optimizer);
  line("gradients", most.gradients);
  line("activations", most.activations);
  line("workspace", most.workspace);
  line("predicted peak", plan.total());
  text += fmt::format("  the peak is in: {}\n", most.name);
  return text;
}

}  // namespace tenet
