#include <tenet/core/grad_mode.h>
#include <tenet/models/detail/beam_search.h>
#include <tenet/models/detail/continuing.h>
#include <tenet/models/detail/evaluation.h>
#include <tenet/models/generation.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tenet {
namespace {

struct Candidate {
  double probability;
  int64_t token;
};

/// Softmax at the temperature, most probable first, cut to top_k and top_p; not renormalised.
std::vector<Candidate> candidates(std::span<const float> logits, const GenerationOptions& options) {
  std::vector<Candidate> list;
  for (size_t token = 0; token < logits.size(); ++token) {
    list.push_back({logits[token] / options.temperature, static_cast<int64_t>(token)});
  }
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  });
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

void check_prompt(const std::vector<int64_t>& prompt, size_t row, const ReformerConfig& config,
                  int64_t tokens) {
  check(!prompt.empty(), "generate: prompt {} is empty; give at least one token", row);
  const int64_t positions = config.max_position_embeddings, given = std::ssize(prompt);
  check(given <= positions && tokens <= positions - given,
        "generate: the {} tokens of prompt {} and {} new ones exceed the model's {} positions; ask "
        "for {} at most",
        given, row, tokens, positions, std::max<int64_t>(positions - given, 0));
  for (const int64_t token : prompt) {
    check(token >= 0 && token < config.vocab_size,
          "generate: prompt {} has token {}, the vocabulary {} tokens", row, token,
          config.vocab_size);
  }
}

void check_generation(const ReformerConfig& config,
                      const std::vector<std::vector<int64_t>>& prompts,
                      const GenerationOptions& options) {
  check(config.is_decoder,
        "generate: \"is_decoder\" is false, so the model sees the tokens that it predicts");
  options.validate();
  for (size_t row = 0; row < prompts.size(); ++row) {
    check_prompt(prompts[row], row, config, options.tokens);
  }
}

/// Sequences that draw their next tokens together.
class Drawing {
 public:
  Drawing(Reformer& model, const std::vector<std::vector<int64_t>>& prompts,
          const GenerationOptions& options, const Generator& generator, const EmitToken& emit)
      : continuing_(model, prompts, options), options_(options), emit_(emit) {
    for (size_t row = 0; row < prompts.size(); ++row) {
      generators_.emplace_back(generator.seed(), generator.stream() + row);
      if (row == 0) generators_[0].set_offset(generator.offset());
      active_.push_back(row);
    }
    results_.resize(prompts.size());
  }

  std::vector<std::vector<int64_t>> run() {
    for (int64_t i = 0; i < options_.tokens && !active_.empty(); ++i) {
      const Tensor logits = continuing_.next_logits();
      std::vector<int64_t> going;  // places in active_
      std::vector<int64_t> tokens;
      for (size_t place = 0; place < active_.size(); ++place) {
        const int64_t token = draw(logits, place);
        if (!goes_on(active_[place], token)) continue;
        going.push_back(static_cast<int64_t>(place));
        tokens.push_back(token);
      }
      continuing_.go_on(going, tokens);
      std::vector<size_t> active;
      active.reserve(going.size());
      for (const int64_t place : going) active.push_back(active_[static_cast<size_t>(place)]);
      active_ = std::move(active);
    }
    return std::move(results_);
  }
  const Generator& first_generator() const { return generators_[0]; }

 private:
  int64_t draw(const Tensor& logits, size_t place) {
    return sample(select(logits, 0, static_cast<int64_t>(place)), options_,
                  generators_[active_[place]]);
  }
  bool goes_on(size_t row, int64_t token) {
    if (std::find(options_.stop.begin(), options_.stop.end(), token) != options_.stop.end()) {
      return false;
    }
    results_[row].push_back(token);
    return !emit_ || emit_(static_cast<int64_t>(row), token);
  }

  detail::Continuing continuing_;
  const GenerationOptions& options_;
  const EmitToken& emit_;
  std::vector<Generator> generators_;
  std::vector<size_t> active_;  // the rows that go on
  std::vector<std::vector<int64_t>> results_;
};

}  // namespace

void GenerationOptions::validate() const {
  check(!std::isnan(temperature), "generate: temperature {} is not a number", temperature);
  check(temperature >= 0, "generate: temperature {} is negative", temperature);
  check(top_p > 0 && top_p <= 1, "generate: top-p {} is not in (0, 1]", top_p);
  check(top_k >= 0, "generate: top-k {} is negative", top_k);
  check(tokens >= 0, "generate: {} new tokens; the number must not be negative", tokens);
  check(beams >= 1, "generate: {} beams; at least 1 is needed", beams);
  check(std::isfinite(length_penalty), "generate: length penalty {} is not finite", length_penalty);
}

int64_t sample(const Tensor& logits, const GenerationOptions& options, Generator& generator) {
  options.validate();
  const int64_t first = options.range.first;
  const std::vector<float> all = logits.to_vector<float>();
  const auto values = detail::within(all, options.range);
  if (options.temperature == 0) {
    return first + (std::max_element(values.begin(), values.end()) - values.begin());
  }
  const std::vector<Candidate> list = candidates(values, options);
  double sum = 0;
  for (const Candidate& c : list) sum += c.probability;
  double left = philox_uniform(generator.take(1), 0) * sum;
  for (const Candidate& c : list) {
    left -= c.probability;
    if (left < 0) return first + c.token;
  }
  return first + list.back().token;
}

std::vector<std::vector<int64_t>> generate(Reformer& model,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationOptions& options, Generator& generator,
                                           const EmitToken& emit) {
  check_generation(model.config(), prompts, options);
  if (prompts.empty()) return {};
  const detail::Evaluation scope(model);
  if (options.beams == 1) {
    Drawing drawing(model, prompts, options, generator, emit);
    std::vector<std::vector<int64_t>> results = drawing.run();
    generator = drawing.first_generator();
    return results;
  }
  std::vector<std::vector<int64_t>> results;
  for (size_t row = 0; row < prompts.size(); ++row) {
    results.push_back(detail::beam_search(model, prompts[row], options));
    for (const int64_t token : results.back()) {
      if (emit && !emit(static_cast<int64_t>(row), token)) break;
    }
  }
  return results;
}

}  // namespace tenet
