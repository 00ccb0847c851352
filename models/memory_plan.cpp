#include <fmt/format.h>

#include <tenet/models/memory_plan.h>
#include <tenet/models/progress.h>
#include <tenet/models/reformer.h>

#include <algorithm>

namespace tenet {
namespace {

constexpr int64_t word = 4;  // bytes of f32, fixed32 and an index

/// What attention over chunks keeps of its scores: about six tensors of them.
int64_t score_bytes(const ReformerConfig& c, AttentionKind kind, int64_t rows) {
  if (!c.has_chunks() || kind == AttentionKind::full) return 0;
  const bool lsh = kind == AttentionKind::lsh;
  const int64_t window =
      lsh ? c.lsh_attn_chunk_length * (1 + c.lsh_num_chunks_before + c.lsh_num_chunks_after)
          : c.local_attn_chunk_length * (1 + c.local_num_chunks_before + c.local_num_chunks_after);
  return 6 * word * rows * c.num_attention_heads * (lsh ? c.num_hashes : 1) * window;
}

/// What the graph of one attention block keeps between its replay and its backward pass, and the
/// gradients at its peak: normalised input, projections, output of the heads and of the block; per
/// round an order and a log-sum-exp per head.
int64_t attention_bytes(const ReformerConfig& c, AttentionKind kind, int64_t rows) {
  const int64_t heads = c.num_attention_heads * c.attention_head_size;
  const int64_t projections = kind == AttentionKind::lsh ? 2 : 3;
  const int64_t rounds = kind == AttentionKind::lsh ? c.num_hashes : 1;
  const int64_t wide = 4 * c.hidden_size + (2 * projections + 3) * heads;
  return word * rows * (wide + 3 * rounds * c.num_attention_heads) + score_bytes(c, kind, rows);
}

/// The same for the feed-forward block, whose inner width counts for one chunk of positions only;
/// `at_once` are differentiated together.
int64_t feed_forward_bytes(const ReformerConfig& c, int64_t rows, int64_t at_once) {
  const int64_t chunk = std::min(
      at_once, c.chunk_size_feed_forward > 0 ? std::min(c.chunk_size_feed_forward, rows) : rows);
  return word * (5 * rows * c.hidden_size + 4 * chunk * c.feed_forward_size);
}

}  // namespace

int64_t MemoryPlan::total() const {
  return parameters + gradients + optimizer + std::max(streams + layers, head);
}

MemoryPlan plan_memory(const ReformerConfig& config, int64_t parameters, int64_t batch,
                       int64_t length, bool reversible, double optimizer_floats) {
  const int64_t rows = batch * length;
  const int64_t stream = word * rows * config.hidden_size;
  MemoryPlan plan;
  plan.parameters = plan.gradients = word * parameters;
  plan.optimizer = static_cast<int64_t>(static_cast<double>(word * parameters) * optimizer_floats);
  plan.streams = 4 * stream;
  for (AttentionKind kind : config.attn_layers) {
    const int64_t attention = attention_bytes(config, kind, rows);
    const int64_t layer =
        std::max(attention, feed_forward_bytes(config, rows, Reformer::feed_forward_rows));
    const int64_t kept = (attention + feed_forward_bytes(config, rows, rows)) / 2;
    plan.layers = reversible ? std::max(plan.layers, layer) : plan.layers + kept;
  }
  plan.head = 10 * stream + word * 1024 * config.vocab_size;
  return plan;
}

std::string to_string(const MemoryPlan& plan) {
  std::string text;
  const auto line = [&](const char* name, int64_t bytes) {
    text += fmt::format("  {:<28}{:>12}\n", name, readable_bytes(bytes));
  };
  line("parameters", plan.parameters);
  line("gradients", plan.gradients);
  line("optimizer (Adam)", plan.optimizer);
  line("streams and gradients", plan.streams);
  line("layer activations", plan.layers);
  line("head (not at the same time)", plan.head);
  line("predicted peak", plan.total());
  return text;
}

}  // namespace tenet
