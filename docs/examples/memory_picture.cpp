// Looks inside one training step of a reversible stack and of the same stack with every activation
// kept. Writes
//   memory.svg   both over time: what is freed forwards and rebuilt backwards
//   trace.json   the reversible step in Chrome's format, for https://ui.perfetto.dev
//   graph.dot    its graph; `dot -Tsvg graph.dot -o graph.svg` draws it
#include <tenet/tenet.h>

#include <fstream>

using namespace tenet;

namespace {

constexpr int64_t batch = 2048, width = 64;
constexpr int blocks = 12;

struct Branch : nn::Module {
  nn::LayerNorm norm{width};
  nn::Linear up{width, 2 * width}, down{2 * width, width};
  Tensor operator()(const Tensor& x) { return down(gelu(up(norm(x)))); }
  void fields(nn::Fields& f) override { f("norm", norm), f("up", up), f("down", down); }
};

nn::ReversibleSequence make_stack(bool reversible) {
  set_seed(1);
  nn::ReversibleSequence layers({.reversible = reversible});
  for (int i = 0; i < blocks; ++i) {
    layers.add(std::make_shared<Branch>(), std::make_shared<Branch>());
  }
  return layers;
}

Tensor loss_of(nn::ReversibleSequence& layers, const Tensor& x) {
  auto [y1, y2] = layers(x);
  return mean(square(y1 + y2 - 1));
}

}  // namespace

int main() {
  const Tensor x = randn({batch, width});
  nn::ReversibleSequence reversible = make_stack(true), kept = make_stack(false);
  for (auto* layers : {&reversible, &kept})
    backward(loss_of(*layers, x));  // the first step warms up

  auto trace = trace::record();
  const Tensor loss = loss_of(reversible, x);
  std::ofstream("graph.dot") << graph::dot(loss, {.leaves = false});
  backward(loss);
  trace.stop();

  auto other = trace::record();
  backward(loss_of(kept, x));
  other.stop();

  trace::save_svg("memory.svg", {{fmt::format("{} reversible blocks", blocks), &trace},
                                 {"the same blocks, every activation kept", &other}});
  trace.save_json("trace.json");
  fmt::print("{}\n\n{}", explain(loss, reversible.named_parameters()), trace.to_string());

  const auto peak = [](const trace::Trace& t) {
    int64_t most = 0;
    for (const trace::Sample& sample : t.samples()) most = std::max(most, sample.working());
    return most;
  };
  fmt::print("\npeak {:.1f} MB, with every activation kept {:.1f} MB\n", 1e-6 * double(peak(trace)),
             1e-6 * double(peak(other)));
  check(3 * peak(trace) < peak(other), "the reversible step takes too much memory");
}
