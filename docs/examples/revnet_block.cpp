// Reversible residual blocks y1 = x1 + f(x2), y2 = x2 + g(y1) of any depth at constant memory, and
// the same blocks with every activation kept: the same gradients, to the bit.
#include <tenet/tenet.h>

using namespace tenet;

namespace {

constexpr int64_t batch = 512, width = 64;

struct Branch : nn::Module {
  nn::LayerNorm norm{width};
  nn::Linear up{width, 2 * width}, down{2 * width, width};
  Tensor operator()(const Tensor& x) const { return down(relu(up(norm(x)))); }
  void fields(nn::Fields& f) override { f("norm", norm), f("up", up), f("down", down); }
};

struct Step {
  int64_t peak;
  Tensors gradients;
};

/// One forward and backward pass through `depth` blocks.
Step run(int depth, bool reversible) {
  set_seed(1);
  nn::ReversibleSequence blocks({.reversible = reversible});
  for (int i = 0; i < depth; ++i)
    blocks.add(std::make_shared<Branch>(), std::make_shared<Branch>());
  const Tensor x = randn({batch, width}), target = randn({batch, width});

  memory::reset_peak();
  const int64_t before = memory::stats(Device::cpu(), memory::Category::working).live;
  auto [y1, y2] = blocks(x);
  backward(mean(square((y1 + y2) * 0.5 - target)));
  const int64_t peak = memory::stats(Device::cpu(), memory::Category::working).peak - before;

  Tensors gradients;
  for (const Tensor& w : blocks.parameters()) gradients.push_back(w.grad());
  return {peak, gradients};
}

bool same_bits(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].to_vector<float>() != b[i].to_vector<float>()) return false;
  }
  return a.size() == b.size();
}

}  // namespace

int main() {
  bool right = true;
  int64_t shallow = 0;
  run(2, true);  // the first step also fills the caches of the matrix products
  fmt::print("{:>6} {:>12} {:>12}  gradients\n", "blocks", "reversible", "kept");
  for (const int depth : {2, 8, 32}) {
    const Step rebuilt = run(depth, true), kept = run(depth, false);
    const bool same = same_bits(rebuilt.gradients, kept.gradients);
    fmt::print("{:>6} {:>9} kB {:>9} kB  {}\n", depth, rebuilt.peak / 1000, kept.peak / 1000,
               same ? "equal to the bit" : "differ");
    if (depth == 2) shallow = rebuilt.peak;
    const int64_t activation = batch * width * int64_t(sizeof(float));
    right = right && same && rebuilt.peak < shallow + activation;
  }
  return right ? 0 : 1;
}
