/// Promise: windowed, local and full attention are exactly causal and independent of length.
#include "small_reformer.h"

#include <tenet/core/grad_mode.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// For a model of length L: row 0 holds the tokens, row t + 1 the same tokens with token t changed.
struct Perturbed {
  std::vector<float> logits;  // [L + 1, L, V]
  int64_t length, vocabulary;

  bool differs(int64_t row, int64_t position) const {
    const size_t bytes = static_cast<size_t>(vocabulary) * sizeof(float);
    const float* base = logits.data() + position * vocabulary;
    return std::memcmp(base, base + row * length * vocabulary, bytes) != 0;
  }
};

Perturbed perturb(Reformer& model, int64_t length) {
  const std::vector<int64_t> tokens =
      random_tokens({length}, static_cast<uint64_t>(length)).to_vector<int64_t>();
  std::vector<int64_t> rows;
  for (int64_t row = 0; row <= length; ++row) {
    rows.insert(rows.end(), tokens.begin(), tokens.end());
    if (row > 0) {
      int64_t& changed = rows[static_cast<size_t>(row * length + row - 1)];
      changed = (changed + 1 + row % 30) % 32;
    }
  }
  const NoGrad scope;
  const Tensor logits =
      model.logits(from_vector(rows, {length + 1, length}, {DType::i64, test_device()}));
  return {logits.to_vector<float>(), length, logits.size(2)};
}

/// Counts the t for which no logit at or after t changed; fails if one before t did.
int64_t check_causal(Reformer& model, int64_t length) {
  const Perturbed result = perturb(model, length);
  int64_t without_effect = 0;
  for (int64_t t = 0; t < length; ++t) {
    bool effect = false;
    for (int64_t position = 0; position < length; ++position) {
      const bool differs = result.differs(t + 1, position);
      REQUIRE_MESSAGE(!(differs && position < t),
                      "L " << length << ": token " << t << " moves the logits at " << position);
      effect = effect || (differs && position >= t);
    }
    without_effect += effect ? 0 : 1;
  }
  return without_effect;
}

void check_lengths(const std::string& attention, const std::vector<int64_t>& lengths) {
  Reformer model(small_config({.attention = attention, .length = 300}));
  model.to(test_device());
  model.eval();
  int64_t changes = 0, without_effect = 0;
  for (int64_t length : lengths) {
    without_effect += check_causal(model, length);
    changes += length;
  }
  MESSAGE(attention << ": " << changes << " changes of a token, none moves an earlier logit; "
                    << without_effect << " move none at all");
  CHECK(without_effect * 100 <= changes);
}

}  // namespace

TEST_CASE("a later token never moves an earlier logit") {
  std::vector<int64_t> lengths = range(1, 40);
  for (int64_t length : {63, 64, 65, 100, 127, 128, 150}) lengths.push_back(length);
  for (const char* attention : {"lsh", "local", "full", "local,lsh"})
    check_lengths(attention, lengths);
}

TEST_CASE("a later token never moves an earlier logit, every length to 300" *
          doctest::test_suite("slow")) {
  for (const char* attention : {"lsh", "local", "full"}) check_lengths(attention, range(1, 300));
}

TEST_CASE("the logits of a prefix are the prefix of the logits") {
  const int64_t length = 300;
  const Tensor tokens = random_tokens({1, length}, 5);
  for (const char* attention : {"lsh", "local", "full"}) {
    Reformer model(small_config({.attention = attention, .length = length}));
    model.to(test_device());
    model.eval();
    const NoGrad scope;
    const Tensor whole = model.logits(tokens);
    for (int64_t t = 1; t <= length; ++t) {
      const Tensor part = model.logits(slice(tokens, 1, 0, t));
      REQUIRE_MESSAGE(same_bits(part, slice(whole, 1, 0, t)), attention << " prefix " << t);
    }
  }
}
