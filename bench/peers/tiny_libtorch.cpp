/// tiny_op, tiny_chain and mlp_step of bench/ops.cpp in libtorch, as lines of JSON:
/// {"name": ..., "ns": ...}. Built by tiny_libtorch.sh; no part of Tenet's build.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

torch::Tensor leaf(torch::IntArrayRef shape) { return torch::randn(shape, torch::requires_grad()); }

/// Nanoseconds of one call: the median of nine repetitions of a tenth of a second.
template <class F>
double median(F&& run) {
  using clock = std::chrono::steady_clock;
  const auto time = [&](int64_t count) {
    const auto begin = clock::now();
    for (int64_t i = 0; i < count; ++i) run();
    return std::chrono::duration<double, std::nano>(clock::now() - begin).count() /
           static_cast<double>(count);
  };
  time(100);
  const auto count = static_cast<int64_t>(1e8 / time(1000));
  std::vector<double> all;
  for (int i = 0; i < 9; ++i) all.push_back(time(count));
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

template <class F>
void report(const char* name, F&& run) {
  std::printf("{\"name\": \"%s\", \"ns\": %.1f}\n", name, median(run));
  std::fflush(stdout);
}

}  // namespace

int main() {
  torch::manual_seed(1);
  const auto a = leaf({16}), b = leaf({16}), x = leaf({16});
  report("tiny_op", [&] { const auto y = a * b; });
  report("tiny_chain", [&] {
    auto y = x;
    for (int i = 0; i < 8; ++i) y = y * a + b;
    y.sum().backward();
    for (const auto& t : {x, a, b}) t.mutable_grad() = torch::Tensor();
  });

  namespace nn = torch::nn;
  nn::Sequential model(nn::Linear(64, 128), nn::ReLU(), nn::Linear(128, 128), nn::ReLU(),
                       nn::Linear(128, 10));
  torch::optim::Adam optimizer(model->parameters());
  const auto images = torch::randn({32, 64}), targets = torch::randint(0, 10, {32});
  report("mlp_step", [&] {
    optimizer.zero_grad();
    nn::functional::cross_entropy(model->forward(images), targets).backward();
    optimizer.step();
  });
}
