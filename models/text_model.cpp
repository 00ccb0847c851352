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
  int64_t byte;
};

/// Softmax at the temperature, most probable first, cut to top_k and top_p; not renormalised.
std::vector<Candidate> candidates(std::span<const float> logits, const SamplingOptions& options) {
  std::vector<Candidate> list;
  for (size_t byte = 0; byte < logits.size(); ++byte) {
    list.push_back({logits[byte] / options.temperature, static_cast<int64_t>(byte)});
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

void check_byte_model(const ReformerConfig& config, std::string_view op) {
  check(config.is_decoder,
        "{}: \"is_decoder\" is false, so the model sees the bytes that it predicts; set "
        "\"is_decoder\" to true in config.json",
        op);
  check(config.byte_offset <= config.vocab_size - 256,
        "{}: \"vocab_size\" is {}, too few for 256 bytes from \"tenet.byte_offset\" {} on; set "
        "\"vocab_size\" to at least 256 more than that",
        op, config.vocab_size, config.byte_offset);
}

TextScore evaluate(Reformer& model, std::span<const uint8_t> text, int64_t length, int64_t rows,
                   const std::function<void(double)>& progress) {
  check_byte_model(model.config(), "eval");
  const Evaluation scope(model);
  const BatchOptions options{rows, length, model.config().byte_offset};
  const int64_t batches = evaluation_batch_count(text, options);
  double nats = 0;
  TextScore score;
  for (int64_t i = 0; i < batches; ++i) {
    const TokenBatch batch = evaluation_batch(text, options, i);
    const TokenTensors tensors = to_tensors(batch);
    const int64_t count = batch.rows * batch.length;
    const double loss = model.loss(tensors.input, tensors.target).item<double>();
    check(std::isfinite(loss), "eval: the loss is {} after {} bytes; train with a lower --lr", loss,
          score.bytes);
    nats += static_cast<double>(count) * loss;
    score.bytes += count;
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(batches));
  }
  score.bits_per_byte =
      nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(score.bytes, 1));
  return score;
}

int64_t sample(const Tensor& logits, const SamplingOptions& options, int64_t byte_offset,
               Generator& generator) {
  const std::vector<float> all = logits.to_vector<float>();
  const auto tokens = std::span(all).subspan(static_cast<size_t>(byte_offset));
  const auto values = tokens.first(std::min<size_t>(tokens.size(), 256));
  for (const float value : values)
    check(std::isfinite(value), "generate: a logit is {}; train with a lower --lr", value);
  if (options.temperature == 0) {
    return byte_offset + (std::max_element(values.begin(), values.end()) - values.begin());
  }
  const std::vector<Candidate> list = candidates(values, options);
  double sum = 0;
  for (const Candidate& c : list) sum += c.probability;
  double left = philox_uniform(generator.take(1), 0) * sum;
  for (const Candidate& c : list) {
    left -= c.probability;
    if (left < 0) return byte_offset + c.byte;
  }
  return byte_offset + list.back().byte;
}

void check_generation(const ReformerConfig& config, const std::string& prompt,
                      const SamplingOptions& options) {
  check_byte_model(config, "generate");
  const auto given = static_cast<int64_t>(prompt.size());
  check(given > 0, "generate: the prompt is empty; give at least one character");
  check(given < config.max_position_embeddings,
        "generate: the prompt has {} bytes, the model {} positions; shorten it", given,
        config.max_position_embeddings);
  check(!std::isnan(options.temperature), "generate: temperature {} is not a number",
        options.temperature);
  check(options.temperature >= 0, "generate: temperature {} is negative", options.temperature);
  check(options.top_p > 0 && options.top_p <= 1, "generate: top-p {} is not in (0, 1]",
        options.top_p);
  check(options.top_k >= 0, "generate: top-k {} is negative", options.top_k);
  check(options.tokens >= 0, "generate: --tokens is {}; it must not be negative", options.tokens);
  const int64_t most = config.max_position_embeddings - given;
  check(options.tokens <= most,
        "generate: {} prompt bytes and {} new tokens exceed the model's {} positions; give "
        "--tokens {} at most",
        given, options.tokens, config.max_position_embeddings, most);
}

void generate(Reformer& model, const std::string& prompt, const SamplingOptions& options,
              Generator& generator, const std::function<void(char)>& emit) {
  const ReformerConfig& config = model.config();
  check_generation(config, prompt, options);
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
