/// Every op that PyTorch has too, against its recorded numbers: forward and gradients, f32 and f64,
/// contiguous and strided inputs.
#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/recorded_ops.h>
#include <tenet/core/autograd.h>
#include <tenet/ops/creation.h>

#include <set>

using namespace tenet;
using namespace tenet::test;

namespace {

void compare(const RecordedCall& call, const RecordedCase& c, DType dtype, bool strided,
             WorstFigures& figures) {
  Tensors xs, leaves, ys, cotangents;
  std::vector<std::string> gradients;
  for (size_t i = 0; i < c.inputs; ++i) {
    Tensor x = c.input(i, dtype).detach().clone();
    if (strided) x = strided_copy(x);
    if (c.has("d" + std::to_string(i))) {
      x.set_requires_grad(true);
      leaves.push_back(x);
      gradients.push_back("d" + std::to_string(i));
    }
    xs.push_back(x);
  }
  const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-5;
  const char* layout = strided ? " of strided inputs" : "";
  const Tensors all = call(xs, c);
  REQUIRE(all.size() == c.outputs);
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = std::to_string(i);
    figures.note(c, "y" + at + layout, dtype, recorded_error(all[i], c.at("y" + at)), tolerance);
    if (!c.has("c" + at) || leaves.empty()) continue;
    ys.push_back(all[i]);
    cotangents.push_back(c.at("c" + at).to(all[i].dtype()));
  }
  if (leaves.empty()) return;
  const Tensors dxs = grad(ys, leaves, {.dy = cotangents, .allow_unused = true});
  for (size_t i = 0; i < dxs.size(); ++i) {
    const Tensor want = c.at(gradients[i]);
    const Tensor got = dxs[i].defined() ? dxs[i] : zeros_like(want);
    figures.note(c, gradients[i] + layout, dtype, recorded_error(got, want), tolerance);
  }
}

}  // namespace

TEST_CASE("ops give PyTorch's numbers") {
  WorstFigures figures("ops");
  const auto calls = recorded_ops();
  const RecordedFile file = load_recorded("ops");
  std::set<std::string> seen;
  for (const RecordedCase& c : file.cases) {
    const auto call = calls.find(c.op);
    REQUIRE_MESSAGE(call != calls.end(), "no entry for " << c.op);
    seen.insert(c.op);
    for (const DType dtype : {DType::f32, DType::f64}) {
      compare(call->second, c, dtype, false, figures);
      compare(call->second, c, dtype, true, figures);
    }
  }
  CHECK(seen.size() == calls.size());
}
