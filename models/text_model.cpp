#include <tenet/models/detail/evaluation.h>
#include <tenet/models/text_model.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tenet {
namespace {

/// The options in tokens.
GenerationOptions in_tokens(GenerationOptions options, const ReformerConfig& config) {
  options.range = {config.byte_offset, 256};
  for (int64_t& stop : options.stop) {
    check(stop >= 0 && stop < 256, "generate: stop {} is not a byte", stop);
    stop += config.byte_offset;
  }
  return options;
}

std::vector<int64_t> tokens_of(const std::string& text, const ReformerConfig& config) {
  std::vector<int64_t> tokens;
  for (const char byte : text) tokens.push_back(static_cast<uint8_t>(byte) + config.byte_offset);
  return tokens;
}

}  // namespace

TokenTensors to_tensors(const TokenBatch& batch, Device device) {
  const Shape shape{batch.rows, batch.length};
  const TensorOptions options{DType::i64, device};
  return {from_vector(batch.input, shape, options), from_vector(batch.target, shape, options)};
}

void check_byte_model(const ReformerConfig& config, std::string_view op) {
  check(config.is_decoder,
        "{}: \"is_decoder\" is false, so the model sees the bytes that it predicts; set "
        "\"is_decoder\" to true in config.json",
        op);
  check(config.byte_offset >= 0,
        "{}: a vocabulary of {} without \"tenet.byte_offset\" is not known to be bytes; if a token "
        "is a byte + n, set it to n in config.json",
        op, config.vocab_size);
  check(config.byte_offset <= config.vocab_size - 256,
        "{}: \"vocab_size\" is {}, too few for 256 bytes from \"tenet.byte_offset\" {} on; set "
        "\"vocab_size\" to at least 256 more than that",
        op, config.vocab_size, config.byte_offset);
}

TextScore evaluate(Reformer& model, std::span<const uint8_t> text, int64_t length, int64_t rows,
                   const std::function<void(double)>& progress) {
  check_byte_model(model.config(), "eval");
  const detail::Evaluation scope(model);
  const BatchOptions options{rows, length, model.config().byte_offset};
  const int64_t batches = evaluation_batch_count(text, options);
  double nats = 0;
  TextScore score;
  for (int64_t i = 0; i < batches; ++i) {
    const TokenBatch batch = evaluation_batch(text, options, i);
    const TokenTensors tensors = to_tensors(batch, model.device());
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

void check_generation(const ReformerConfig& config, const std::string& prompt,
                      const GenerationOptions& options) {
  check_byte_model(config, "generate");
  const auto given = static_cast<int64_t>(prompt.size());
  check(given > 0, "generate: the prompt is empty; give at least one character");
  check(given < config.max_position_embeddings,
        "generate: the prompt has {} bytes, the model {} positions; shorten it", given,
        config.max_position_embeddings);
  check(options.tokens >= 0, "generate: --tokens is {}; it must not be negative", options.tokens);
  const int64_t most = config.max_position_embeddings - given;
  check(options.tokens <= most,
        "generate: {} prompt bytes and {} new tokens exceed the model's {} positions; give "
        "--tokens {} at most",
        given, options.tokens, config.max_position_embeddings, most);
  options.validate();
}

void generate(Reformer& model, const std::string& prompt, const GenerationOptions& options,
              Generator& generator, const std::function<void(char)>& emit) {
  const ReformerConfig& config = model.config();
  check_generation(config, prompt, options);
  generate(model, {tokens_of(prompt, config)}, in_tokens(options, config), generator,
           [&](int64_t, int64_t token) {
             emit(static_cast<char>(token - config.byte_offset));
             return true;
           });
}

std::vector<std::string> generate(Reformer& model, const std::vector<std::string>& prompts,
                                  const GenerationOptions& options, Generator& generator) {
  const ReformerConfig& config = model.config();
  std::vector<std::vector<int64_t>> tokens;
  for (const std::string& prompt : prompts) {
    check_generation(config, prompt, options);
    tokens.push_back(tokens_of(prompt, config));
  }
  std::vector<std::string> texts;
  for (const auto& row : generate(model, tokens, in_tokens(options, config), generator)) {
    std::string& text = texts.emplace_back();
    for (const int64_t token : row) text += static_cast<char>(token - config.byte_offset);
  }
  return texts;
}

}  // namespace tenet
