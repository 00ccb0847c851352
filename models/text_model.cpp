#include <tenet/core/grad_mode.h>
#include <tenet/models/text_model.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace tenet {
namespace {

/// Puts the model in evaluation mode while it lives.
class Evaluation {
 public:
  explicit Evaluation(Reformer& model) : model_(model), training_(model.training()) {
    model_.train(false);
  }
  ~Evaluation() { model_.train(training_); }
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

 private:
  Reformer& model_;
  bool training_;
  NoGrad no_grad_;
};

struct Candidate {
  double probability;
  int64_t token;
};

/// Softmax at the temperature, most probable first, cut to top_k and top_p; not renormalised.
std::vector<Candidate> candidates(const std::vector<float>& logits, const SamplingOptions& options,
                                  int64_t first_allowed) {
  std::vector<Candidate> list;
  for (int64_t token = first_allowed; token < std::ssize(logits); ++token) {
    list.push_back({logits[static_cast<size_t>(token)] / options.temperature, token});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.probability > b.probability; });
  if (options.top_k > 0 && options.top_k < std::ssize(list)) {
    list.resize(static_cast<size_t>(options.top_k));
  }
  const double top = list[0].probability;
  double sum = 0;
  for (Candidate& c : list) sum += c.probability = std::exp(c.probability - top);
  double kept = 0;
  size_t count = 0;
  while (count < list.size() && kept < options.top_p * sum) kept += list[count++].probability;
  list.resize(std::max<size_t>(count, 1));
  return list;
}

}  // namespace

TokenTensors to_tensors(const TokenBatch& batch) {
  const Shape shape{batch.rows, batch.length};
  return {from_vector(batch.input, shape), from_vector(batch.target, shape)};
}

TextScore evaluate(Reformer& model, std::span<const uint8_t> text, int64_t length, int64_t rows,
                   const std::function<void(double)>& progress) {
  const Evaluation scope(model);
  const BatchOptions options{rows, length, model.config().byte_offset};
  const int64_t batches = evaluation_batch_count(text, options);
  double nats = 0;
  TextScore score;
  for (int64_t i = 0; i < batches; ++i) {
    const TokenBatch batch = evaluation_batch(text, options, i);
    const TokenTensors tensors = to_tensors(batch);
    const int64_t count = batch.rows * batch.length;
    nats += static_cast<double>(count) * model.loss(tensors.input, tensors.target).item<double>();
    score.bytes += count;
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(batches));
  }
  score.bits_per_byte =
      nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(score.bytes, 1));
  return score;
}

int64_t sample(const Tensor& logits, const SamplingOptions& options, int64_t first_allowed,
               Generator& generator) {
  const std::vector<float> values = logits.to_vector<float>();
  if (options.temperature == 0) {
    return std::max_element(values.begin() + first_allowed, values.end()) - values.begin();
  }
  const std::vector<Candidate> list = candidates(values, options, first_allowed);
  double sum = 0;
  for (const Candidate& c : list) sum += c.probability;
  double left = philox_uniform(generator.take(1), 0) * sum;
  for (const Candidate& c : list) {
    left -= c.probability;
    if (left < 0) return c.token;
  }
  return list.back().token;
}

void generate(Reformer& model, const std::string& prompt, const SamplingOptions& options,
              Generator& generator, const std::function<void(char)>& emit) {
  const ReformerConfig& config = model.config();
  const auto given = static_cast<int64_t>(prompt.size());
  check(given > 0, "generate: the prompt is empty; give at least one character");
  check(given < config.max_position_embeddings,
        "generate: the prompt has {} bytes, the model {} positions; shorten it", given,
        config.max_position_embeddings);
  check(options.temperature >= 0, "generate: temperature {} is negative", options.temperature);
  check(options.top_p > 0 && options.top_p <= 1, "generate: top-p {} is not in (0, 1]",
        options.top_p);
  check(options.top_k >= 0, "generate: top-k {} is negative", options.top_k);
  check(options.tokens >= 0 && given + options.tokens <= config.max_position_embeddings,
        "generate: {} prompt bytes and {} new tokens exceed the model's {} positions", given,
        options.tokens, config.max_position_embeddings);
  const Evaluation scope(model);
  std::vector<int64_t> tokens;
  for (char byte : prompt) tokens.push_back(static_cast<uint8_t>(byte) + config.byte_offset);
  for (int64_t i = 0; i < options.tokens; ++i) {
    const auto length = std::ssize(tokens);
    const Tensor logits = model.next_logits(from_vector(tokens, {1, length}));
    const int64_t token = sample(select(logits, 0, 0), options, config.byte_offset, generator);
    tokens.push_back(token);
    emit(static_cast<char>(token - config.byte_offset));
  }
}

}  // namespace tenet
