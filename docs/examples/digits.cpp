// A multilayer perceptron that reads handwritten digits: data from a file, batches, training,
// a held-out test.
//
//     digits [DATA [RUN]]
//
// DATA is data/digits.safetensors by default. With RUN, the initial weights, the batches of the
// first steps and their losses are saved there; bench/peers/digits_twin.py repeats them in
// PyTorch.
#include <tenet/tenet.h>

#include <chrono>

using namespace tenet;

namespace {

struct Digits {
  Tensor images;  // (N, 64) f32, near mean 0
  Tensor labels;  // (N,) i64

  Digits at(const Tensor& rows) const {
    return {index_select(images, 0, rows), index_select(labels, 0, rows)};
  }
};

Digits load(const std::string& path) {
  const auto tensors = safetensors::load(path).tensors;
  return {flatten((tensors.at("images").to(DType::f32) - 5) / 16, 1),
          tensors.at("labels").to(DType::i64)};
}

double accuracy(const nn::Sequential& model, const Digits& digits) {
  const NoGrad scope;
  return mean(equal(argmax(model(digits.images), 1), digits.labels)).item<double>();
}

}  // namespace

int main(int argc, char** argv) {
  const auto start = std::chrono::steady_clock::now();
  const Digits all = load(argc > 1 ? argv[1] : "data/digits.safetensors");
  const Tensor number = arange(all.labels.numel());
  const Tensor held_out = slice(number, 0, 4, number.numel(), 5);  // every fifth
  std::vector<int64_t> rest;
  for (int64_t i = 0; i < number.numel(); ++i) {
    if (i % 5 != 4) rest.push_back(i);
  }
  const Tensor training = from_vector(rest, {static_cast<int64_t>(rest.size())});

  set_seed(1);
  nn::Sequential model(nn::Linear(64, 128), nn::Relu(), nn::Linear(128, 10));
  nn::init::kaiming_normal_(model.get<nn::Linear>(0).weight);
  fmt::print("{}", model);
  std::map<std::string, Tensor> run;
  for (const auto& [name, tensor] : model.state_dict()) run[name] = tensor.clone();

  optim::AdamW adam(model.parameters(), {.learning_rate = 3e-3});
  constexpr int64_t epochs = 20, batch = 64, recorded = 100;
  Tensors batches, losses;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    const Tensor order = index_select(training, 0, argsort(rand({training.numel()})));
    double total = 0;
    for (int64_t first = 0; first + batch <= order.numel(); first += batch) {
      const Tensor rows = slice(order, 0, first, first + batch);
      const Digits digits = all.at(rows);
      const Tensor loss = cross_entropy(model(digits.images), digits.labels);
      backward(loss), adam.step(), adam.clear_grad();
      total += loss.item<double>();
      if (adam.steps() <= recorded) batches.push_back(rows), losses.push_back(loss.detach());
    }
    if (epoch % 10 == 9) {
      fmt::print("epoch {}: loss {:.4f}\n", epoch + 1, total * batch / training.numel());
    }
  }

  const double correct = accuracy(model, all.at(held_out));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print("{:.1f} % of {} held-out digits are right, after {:.1f} s\n", 100 * correct,
             held_out.numel(), seconds.count());
  if (argc > 2) {
    run["batches"] = stack(batches, 0);
    run["losses"] = stack(losses, 0);
    safetensors::save(argv[2], run);
  }
  return correct >= 0.96 ? 0 : 1;
}
