#include <tenet/models/detail/beam_search.h>
#include <tenet/models/detail/continuing.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tenet::detail {
namespace {

/// Log probabilities of the tokens in range, in double.
std::vector<double> log_probabilities(const Tensor& logits, TokenRange range) {
  const std::vector<float> all = logits.to_vector<float>();
  const std::span<const float> values = within(all, range);
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const float value : values) top = std::max<double>(top, value);
  for (const float value : values) sum += std::exp(value - top);
  std::vector<double> result;
  for (const float value : values) result.push_back(value - top - std::log(sum));
  return result;
}

/// A continuation: its tokens and the sum of their log probabilities.
struct Beam {
  std::vector<int64_t> tokens;
  double sum = 0;
};

/// A beam and a token behind it.
struct Step {
  double sum;
  int64_t beam, token;
};

class BeamSearch {
 public:
  BeamSearch(Reformer& model, const std::vector<int64_t>& prompt, const GenerationOptions& options)
      : continuing_(model, {prompt}, options), options_(options) {}

  std::vector<int64_t> run() {
    for (int64_t i = 0; i < options_.tokens && !live_.empty() && !decided(); ++i) advance();
    for (const Beam& beam : live_) finish(beam, std::ssize(beam.tokens));
    return best_;
  }

 private:
  /// The best steps from all beams; of equal ones the earlier beam's and the smaller token.
  std::vector<Step> steps() {
    const Tensor logits = continuing_.next_logits();
    std::vector<Step> all;
    for (int64_t beam = 0; beam < std::ssize(live_); ++beam) {
      const auto log_p = log_probabilities(select(logits, 0, beam), options_.range);
      for (int64_t token = 0; token < std::ssize(log_p); ++token) {
        const double sum = live_[static_cast<size_t>(beam)].sum + log_p[static_cast<size_t>(token)];
        all.push_back({sum, beam, options_.range.first + token});
      }
    }
    // As many as can be needed if every stop token is among the best of every beam.
    const int64_t beams = std::min<int64_t>(options_.beams, std::ssize(all));
    const int64_t most = beams * (1 + std::ssize(options_.stop));
    const auto end = all.begin() + std::min<int64_t>(most, std::ssize(all));
    std::partial_sort(all.begin(), end, all.end(), [](const Step& a, const Step& b) {
      if (a.sum != b.sum) return a.sum > b.sum;
      return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
    });
    all.erase(end, all.end());
    return all;
  }

  void advance() {
    std::vector<Beam> next;
    std::vector<int64_t> rows, tokens;
    for (const Step& step : steps()) {
      if (std::ssize(next) == options_.beams) break;
      Beam beam = live_[static_cast<size_t>(step.beam)];
      beam.sum = step.sum;
      if (std::find(options_.stop.begin(), options_.stop.end(), step.token) !=
          options_.stop.end()) {
        finish(beam, std::ssize(beam.tokens) + 1);
        continue;
      }
      beam.tokens.push_back(step.token);
      next.push_back(std::move(beam));
      rows.push_back(step.beam);
      tokens.push_back(step.token);
    }
    live_ = std::move(next);
    continuing_.go_on(rows, tokens);
  }

  double score(double sum, int64_t length) const {
    return sum /
           std::pow(static_cast<double>(std::max<int64_t>(length, 1)), options_.length_penalty);
  }
  void finish(const Beam& beam, int64_t length) {
    const double of_beam = score(beam.sum, length);
    if (found_ && of_beam <= best_score_) return;
    found_ = true;
    best_score_ = of_beam;
    best_ = beam.tokens;
  }
  /// Whether no beam can become better than the best finished one: sums only fall, and a penalty
  /// above 0 makes the most of the longest.
  bool decided() const {
    if (!found_) return false;
    const int64_t length =
        options_.length_penalty > 0 ? options_.tokens : std::ssize(live_[0].tokens) + 1;
    return score(live_[0].sum, length) <= best_score_;
  }

  Continuing continuing_;
  const GenerationOptions& options_;
  std::vector<Beam> live_{Beam{}};
  bool found_ = false;
  double best_score_ = 0;
  std::vector<int64_t> best_;
};

}  // namespace

std::vector<int64_t> beam_search(Reformer& model, const std::vector<int64_t>& prompt,
                                 const GenerationOptions& options) {
  return BeamSearch(model, prompt, options).run();
}

}  // namespace tenet::detail
