// Training that is interrupted, saved with the optimizer's state as a safetensors file, loaded into
// new objects and continued: it ends at the same bits as training that was never interrupted.
#include <tenet/tenet.h>

using namespace tenet;

namespace {

const char* const path = "save_and_load.safetensors";

struct Net : nn::Module {
  nn::Linear up{8, 32}, down{32, 1};
  nn::Dropout dropout{0.1};
  Tensor operator()(const Tensor& x) const { return down(dropout(gelu(up(x)))); }
  void fields(nn::Fields& f) override { f("up", up), f("dropout", dropout), f("down", down); }
};

void train(Net& net, optim::Optimizer& optimizer, int steps) {
  for (int i = 0; i < steps; ++i) {
    const Tensor x = randn({64, 8});
    backward(mean(square(net(x) - sum(x, 1, true))));
    optimizer.step();
    optimizer.clear_grad();
  }
}

/// One file holds the model, the optimizer and the place in the random stream.
void save(const Net& net, const optim::Optimizer& optimizer) {
  std::map<std::string, Tensor> all;
  for (const auto& [name, tensor] : net.state_dict()) all["model." + name] = tensor;
  for (const auto& [name, tensor] : optimizer.state()) all["optimizer." + name] = tensor;
  safetensors::save(path, all, {{"random_offset", std::to_string(default_generator().offset())}});
}

void load(Net& net, optim::Optimizer& optimizer) {
  const safetensors::File file = safetensors::load(path);
  const auto part = [&](const std::string& prefix) {
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, tensor] : file.tensors) {
      if (name.starts_with(prefix)) tensors[name.substr(prefix.size())] = tensor;
    }
    return tensors;
  };
  net.load_state_dict(part("model."));
  optimizer.load_state(part("optimizer."));
  default_generator().set_offset(std::stoull(file.metadata.at("random_offset")));
}

}  // namespace

int main() {
  set_seed(1);
  Net net;
  optim::AdamW adam(net.parameters());
  train(net, adam, 50);
  save(net, adam);
  train(net, adam, 50);

  Net other;  // other initial weights, and the random stream stands elsewhere
  optim::AdamW other_adam(other.parameters());
  load(other, other_adam);
  train(other, other_adam, 50);

  bool same = true;
  for (const auto& [name, tensor] : net.state_dict()) {
    same = same && tensor.to_vector<float>() == other.state_dict().at(name).to_vector<float>();
  }
  fmt::print("{} parameters, {} optimizer steps: {}\n", other.parameter_count(), other_adam.steps(),
             same ? "equal to the bit" : "different");

  // What does not fit is refused as a whole, by name.
  nn::StateDict wrong = net.state_dict();
  wrong.erase("up.bias");
  wrong["down.scale"] = ones({1});
  std::string refusal;
  try {
    other.load_state_dict(wrong);
  } catch (const Error& error) {
    refusal = error.what();
    fmt::print("{}\n", refusal);
  }
  std::remove(path);
  return same && other_adam.steps() == 100 && refusal.find("up.bias") != std::string::npos ? 0 : 1;
}
