#include <tenet/models/detail/continuing.h>
#include <tenet/ops/concatenate.h>

#include <algorithm>
#include <cmath>

namespace tenet::detail {

std::span<const float> within(const std::vector<float>& logits, TokenRange range) {
  const int64_t V = std::ssize(logits), count = range.count > 0 ? range.count : V - range.first;
  check(range.first >= 0 && range.first <= V && count > 0 && count <= V - range.first,
        "generate: {} tokens from {} on may be chosen, of a vocabulary of {}", count, range.first,
        V);
  const auto values =
      std::span(logits).subspan(static_cast<size_t>(range.first), static_cast<size_t>(count));
  for (const float value : values) {
    check(std::isfinite(value), "generate: a logit is {}; train with a lower --lr", value);
  }
  return values;
}

Continuing::Continuing(Reformer& model, const std::vector<std::vector<int64_t>>& prompts,
                       const GenerationOptions& options)
    : model_(model),
      cache_(options.approximate),
      cached_(options.cache && cache_.serves(model.config())),
      sequences_(prompts) {}

Tensor Continuing::next_logits() {
  if (!cached_) return next_logits_anew();
  std::vector<int64_t> counts;
  for (size_t row = 0; row < sequences_.size(); ++row) {
    const int64_t done = cache_.rows() > 0 ? cache_.length(static_cast<int64_t>(row)) : 0;
    counts.push_back(std::ssize(sequences_[row]) - done);
  }
  const int64_t B = std::ssize(counts), L = *std::max_element(counts.begin(), counts.end());
  std::vector<int64_t> tokens(static_cast<size_t>(B * L), 0);
  std::vector<uint8_t> used(static_cast<size_t>(B * L), 0);
  for (int64_t b = 0; b < B; ++b) {
    const auto count = counts[static_cast<size_t>(b)];
    std::copy_n(sequences_[static_cast<size_t>(b)].end() - count, count, tokens.begin() + b * L);
    std::fill_n(used.begin() + b * L, count, uint8_t{1});
  }
  const bool ragged = std::any_of(counts.begin(), counts.end(), [&](int64_t n) { return n < L; });
  const TensorOptions options{DType::i64, model_.device()};
  const Tensor mask = ragged ? from_vector(used, {B, L}, options).to(DType::boolean) : Tensor();
  return model_.next_logits(from_vector(tokens, {B, L}, options), {.mask = mask, .cache = &cache_});
}

Tensor Continuing::next_logits_anew() {
  Tensors rows;
  for (const std::vector<int64_t>& sequence : sequences_) {
    rows.push_back(model_.next_logits(
        from_vector(sequence, {1, std::ssize(sequence)}, {DType::i64, model_.device()})));
  }
  return concatenate(rows, 0);
}

void Continuing::go_on(const std::vector<int64_t>& rows, const std::vector<int64_t>& tokens) {
  bool same = rows.size() == sequences_.size();
  for (size_t i = 0; i < rows.size(); ++i) same = same && rows[i] == static_cast<int64_t>(i);
  if (!same) {
    if (cached_) cache_.select(rows);
    std::vector<std::vector<int64_t>> next;
    next.reserve(rows.size());
    for (const int64_t row : rows) next.push_back(sequences_[static_cast<size_t>(row)]);
    sequences_ = std::move(next);
  }
  for (size_t i = 0; i < rows.size(); ++i) sequences_[i].push_back(tokens[i]);
}

}  // namespace tenet::detail
