/// A program outside the tree: trains a small module and a reversible function, and checks what
/// comes out. Built and run in every way that docs/packaging.md names.
#include <tenet/tenet.h>

#include <cmath>
#include <cstdio>

namespace {

struct Line : tenet::nn::Module {
  tenet::nn::Linear layer{1, 1};
  void fields(tenet::nn::Fields& f) override { f("layer", layer); }
};

/// Learns y = 3 x - 1; the squared error of the last step.
float trained_error() {
  tenet::Generator generator(1);
  Line line;
  tenet::optim::Adam adam(line.parameters(), {.learning_rate = 0.1});
  float error = 0;
  for (int step = 0; step < 200; ++step) {
    const tenet::Tensor x = tenet::rand({32, 1}, generator);
    const tenet::Tensor loss = mean(square(line.layer(x) - (x * 3 - 1)));
    backward(loss);
    adam.step();
    adam.clear_grad();
    error = loss.item<float>();
  }
  return error;
}

struct Shear : tenet::ReversibleFunction {
  tenet::Tensors forward(const tenet::Tensors& x) override { return {x[1], x[0] + tanh(x[1])}; }
  tenet::Tensors inverse(const tenet::Tensors& y) override { return {y[1] - tanh(y[0]), y[0]}; }
};

/// Products and softmax of a size that runs in blocks.
bool attention_rows_sum_to_one() {
  tenet::Generator generator(2);
  const tenet::Tensor q = tenet::randn({1, 2, 100, 16}, generator);
  const tenet::Tensor y = tenet::softmax(matmul(q, transpose(q, 2, 3)), -1);
  return max(abs(sum(y, -1) - 1)).item<float>() < 1e-5F;
}

bool refuses_wrong_shapes() {
  try {
    matmul(tenet::ones({2, 3}), tenet::ones({4, 5}));
  } catch (const tenet::Error&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  tenet::Tensor a = tenet::ones({4}).set_requires_grad(true);
  tenet::Tensors y = tenet::reversible(std::make_shared<Shear>(), a * 1, a * 2);
  backward(sum(y[1]));
  const double slope = 1 + 2 * (1 - std::tanh(2.0) * std::tanh(2.0));
  const bool reversed = max(abs(a.grad() - slope)).item<float>() < 1e-5F;
  const float error = trained_error();
  std::printf("tenet %s, %s kernels: error %.1e\n", tenet::version(), tenet::cpu_level(), error);
  return reversed && error < 1e-3F && attention_rows_sum_to_one() && refuses_wrong_shapes() ? 0 : 1;
}
