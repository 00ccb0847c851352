/// Continuing sequences of tokens: greedy, drawn, or by beam search.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/models/reformer.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace tenet {

/// Tokens `first` to `first + count - 1`; all of the vocabulary if count is 0.
struct TokenRange {
  int64_t first = 0;  // the smallest token
  int64_t count = 0;  // how many
};

/// How sequences are continued.
struct GenerationOptions {
  int64_t tokens = 256;            // how many to add at most
  double temperature = 1.0;        // 0 takes the most probable token
  int64_t top_k = 0;               // keep the k most probable; 0 keeps all
  double top_p = 1.0;              // keep the fewest tokens whose probabilities add up to p
  std::vector<int64_t> stop = {};  // tokens that end a sequence
  /// Above 1, nothing is drawn: of `beams` continuations at a time those of the largest sum of log
  /// probabilities go on, and the one of the largest sum / (its length, with the stop token)^
  /// length_penalty is returned.
  int64_t beams = 1;
  double length_penalty = 1.0;
  TokenRange range = {};     // what may be chosen
  bool cache = true;         // false evaluates the whole sequence for every token
  bool approximate = false;  // of preset hugging_face: transformers' cache, see ReformerCache

  /// Error: a value out of range, named.
  void validate() const;
};

/// One token of options.range drawn from logits [V]. Errors: a logit that is not finite, an option
/// out of range.
int64_t sample(const Tensor& logits, const GenerationOptions& options, Generator& generator);

/// Is handed each new token as soon as it is chosen (by beam search: at the end); false ends its
/// sequence.
using EmitToken = std::function<bool(int64_t row, int64_t token)>;

/// What follows each of the prompts, which may differ in length, without a stop token. Rows do not
/// depend on each other: row i draws from `generator` moved i streams on, which afterwards stands
/// behind the draws of row 0.
///
/// A model of preset windowed keeps what it needs of earlier tokens (ReformerCache): O(1) work for
/// a token in local layers, O(rounds window) in LSH layers, O(length) in full ones. Of the others
/// the whole sequence is evaluated for every token, unless options.approximate. Errors: an encoder,
/// an empty prompt, a token outside the vocabulary, more tokens than positions, an option out of
/// range, sample()'s.
std::vector<std::vector<int64_t>> generate(Reformer& model,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationOptions& options, Generator& generator,
                                           const EmitToken& emit = {});

}  // namespace tenet
