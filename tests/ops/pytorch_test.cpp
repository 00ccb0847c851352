/// Every op that PyTorch has too, against its recorded numbers: outputs and gradients, types,
/// errors, and the differences by design that docs/pytorch.md explains.
#include <doctest/doctest.h>
#include <ops/recorded_compare.h>

#include <set>

using namespace tenet;
using namespace tenet::test;

namespace {

/// Where Tenet gives something else, as "op: where".
const std::set<std::string> differences{
    "binary_cross_entropy_with_logits: -inf",
    "chunk: parts of equal size",
    "clamp: gradient at NaN",
    "clamp: gradient at a bound",
    "cross_entropy: classes along axis 1",
    "cross_entropy: half types",
    "cross_entropy: no position that counts",
    "div: gradient by a subnormal divisor",
    "hardswish: -inf",
    "kl_div: mean over all elements",
    "log_softmax: -inf throughout",
    "masked_fill: boolean with a number",
    "max: gradient at NaN",
    "max: gradient at equal elements",
    "maximum: gradient at NaN",
    "min: gradient at NaN",
    "min: gradient at equal elements",
    "minimum: gradient at NaN",
    "mish: gradient at inf",
    "mse_loss: half types",
    "mse_loss: shapes that broadcast",
    "mul: a scalar of a wider type",
    "nll_loss: no position that counts",
    "pow: a power of 0.5 at -inf",
    "sign: NaN",
    "sign: boolean",
    "softmax: -inf throughout",
};

/// What Tenet takes and PyTorch does not.
const std::set<std::string> accepted{
    "arange: a step away from stop",
    "cross_entropy: targets of i32",
    "gelu: integers",
    "hardswish: integers",
    "linear: types that differ",
    "log_sigmoid: integers",
    "matmul: types that differ",
    "mean: integers",
    "mish: integers",
    "scatter_add: a source of another type",
    "selu: integers",
    "silu: integers",
    "softplus: integers",
};

/// "op: where" of a case of these two lists.
std::string title(const RecordedCase& c) {
  return c.op + ": " + c.args.at("what").get<std::string>();
}

struct Recorded {
  std::map<std::string, RecordedCall> calls = recorded_ops();
  std::vector<RecordedCase> cases = load_recorded("ops").cases;

  template <class F>
  void each(const std::set<std::string>& kinds, F f) const {
    for (const RecordedCase& c : cases) {
      if (!kinds.contains(c.kind)) continue;
      INFO(c.text());
      const auto call = calls.find(c.op);
      REQUIRE(call != calls.end());
      f(call->second, c);
    }
  }
};

}  // namespace

TEST_CASE("ops give PyTorch's numbers") {
  WorstFigures figures("ops");
  std::set<std::string> seen;
  const Recorded recorded;
  recorded.each({"numbers", "extremes"}, [&](const RecordedCall& call, const RecordedCase& c) {
    seen.insert(c.op);
    CHECK_NOTHROW(compare_numbers(call, c, figures));
  });
  recorded.each({"types"}, [&](const RecordedCall& call, const RecordedCase& c) {
    CHECK_NOTHROW(compare_types(call, c, figures));
  });
  CHECK(seen.size() == recorded.calls.size());
}

TEST_CASE("ops refuse what PyTorch's refuse") {
  std::set<std::string> taken;
  int refused = 0;
  const Recorded recorded;
  recorded.each({"errors"}, [&](const RecordedCall& call, const RecordedCase& c) {
    const bool allowed = accepted.contains(title(c));
    CHECK(refuses(call, c) == !allowed);
    if (allowed) taken.insert(title(c));
    refused += !allowed;
  });
  CHECK(taken == accepted);
  MESSAGE("ops refuse ", refused, " of ", refused + static_cast<int>(taken.size()),
          " inputs that PyTorch's refuse");
}

TEST_CASE("ops differ from PyTorch's where it is listed") {
  std::set<std::string> seen;
  Recorded().each({"differs"}, [&](const RecordedCall& call, const RecordedCase& c) {
    CHECK_FALSE(agrees(call, c));
    seen.insert(title(c));
  });
  CHECK(seen == differences);
}
