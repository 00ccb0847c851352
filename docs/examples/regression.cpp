// Linear regression by gradient descent, on the whole data set and on mini-batches with momentum.
// The data are y = x w + b + noise with w and b known, and both fits must find them again.
#include <tenet/tenet.h>

using namespace tenet;

namespace {

constexpr int64_t rows = 512, features = 4;

struct Data {
  Tensor x, y;
};

Data make_data(const Tensor& w, double b) {
  const Tensor x = randn({rows, features});
  return {x, matmul(x, w) + b + 0.1 * randn({rows, 1})};
}

double loss_of(const nn::Linear& model, const Data& data) {
  const NoGrad scope;
  return mean(square(model(data.x) - data.y)).item<double>();
}

/// Takes `epochs` passes over the data in batches of `batch` rows.
nn::Linear fit(const Data& data, int64_t batch, int epochs, optim::SgdOptions options) {
  nn::Linear model(features, 1);
  optim::Sgd sgd(model.parameters(), options);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (int64_t start = 0; start < rows; start += batch) {
      const Tensor x = slice(data.x, 0, start, start + batch);
      const Tensor y = slice(data.y, 0, start, start + batch);
      backward(mean(square(model(x) - y)));
      sgd.step();
      sgd.clear_grad();
    }
  }
  return model;
}

double distance(const Tensor& a, const Tensor& b) {
  const NoGrad scope;
  return max(abs(reshape(a, {-1}) - reshape(b, {-1}))).item<double>();
}

}  // namespace

int main() {
  set_seed(1);
  const Tensor w = from_vector<float>({1, -2, 3, 0.5}, {features, 1});
  const Data data = make_data(w, 0.7);

  const nn::Linear whole = fit(data, rows, 100, {.learning_rate = 0.1});
  const nn::Linear batches = fit(data, 32, 20, {.learning_rate = 0.01, .momentum = 0.9});

  fmt::print("true      w {}, b 0.7\n", reshape(w, {-1}));
  for (const auto& [name, model] : {std::pair{"whole set", &whole}, {"batches  ", &batches}}) {
    fmt::print("{} w {}, b {:.4f}, loss {:.5f}\n", name, reshape(model->weight.detach(), {-1}),
               model->bias.item<float>(), loss_of(*model, data));
  }
  // The noise has variance 0.01; an estimate from 512 rows is right to about 0.1 / sqrt(512).
  const bool right = distance(whole.weight, w) < 0.02 && distance(batches.weight, w) < 0.03 &&
                     loss_of(whole, data) < 0.012;
  return right ? 0 : 1;
}
