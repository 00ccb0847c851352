/// Every module that PyTorch has too, against its recorded numbers: output, gradients of inputs and
/// parameters, f32 and f64.
#include <doctest/doctest.h>
#include <recorded.h>
#include <tenet/core/autograd.h>
#include <tenet/nn/activation.h>
#include <tenet/nn/attention.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/embedding.h>
#include <tenet/nn/feed_forward.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/loss.h>
#include <tenet/nn/sequential.h>

#include <functional>
#include <memory>
#include <set>

using namespace tenet;
using namespace tenet::test;

namespace {

/// A module and how it is called with a case's inputs.
struct Built {
  std::shared_ptr<nn::Module> module;
  std::function<Tensor(const Tensors&)> call;
};
using Build = std::function<Built(const RecordedCase&)>;
using Table = std::map<std::string, Build>;

template <class M>
Built of_one(M module) {
  auto held = std::make_shared<M>(std::move(module));
  return {held, [held](const Tensors& x) { return (*held)(x[0]); }};
}
template <class M>
Built of_two(M module) {
  auto held = std::make_shared<M>(std::move(module));
  return {held, [held](const Tensors& x) { return (*held)(x[0], x[1]); }};
}

template <class M>
Build plain() {
  return [](const RecordedCase&) { return of_one(M()); };
}

int64_t size_of(const RecordedCase& c, size_t i) { return c.args.at("sizes").at(i).get<int64_t>(); }

Built attention(const RecordedCase& c) {
  auto module = std::make_shared<nn::MultiHeadAttention>(
      nn::MultiHeadAttentionOptions{.size = {.d_model = 6, .heads = 2},
                                    .causal = c.args.at("causal").get<bool>(),
                                    .d_memory = c.arg("memory", int64_t{0})});
  return {module, [module](const Tensors& x) {
            if (x.size() == 3) return (*module)(x[0], x[1], x[2]);
            return (*module)(x[0], x.size() > 1 ? x[1] : Tensor());
          }};
}

void add_layers(Table& t) {
  t["Linear"] = [](const RecordedCase& c) {
    return of_one(
        nn::Linear(size_of(c, 0), size_of(c, 1), {.bias = c.args.at("bias").get<bool>()}));
  };
  t["Embedding"] = [](const RecordedCase& c) {
    return of_one(nn::Embedding(size_of(c, 0), size_of(c, 1)));
  };
  t["LayerNorm"] = [](const RecordedCase& c) {
    return of_one(nn::LayerNorm(size_of(c, 0), {.epsilon = c.arg("eps", 1e-5)}));
  };
  t["Dropout"] = [](const RecordedCase&) { return of_one(nn::Dropout(0.5)); };
  t["Flatten"] = plain<nn::Flatten>();
  t["Sequential"] = [](const RecordedCase&) {
    return of_one(nn::Sequential(nn::Linear(4, 6), nn::Gelu(), nn::LayerNorm(6), nn::Linear(6, 2)));
  };
  t["FeedForward"] = [](const RecordedCase&) {
    return of_one(nn::FeedForward({.d_model = 4, .d_ff = 6}));
  };
  t["MultiHeadAttention"] = attention;
}

void add_activations(Table& t) {
  t["Relu"] = plain<nn::Relu>();
  t["Gelu"] = plain<nn::Gelu>();
  t["GeluTanh"] = plain<nn::GeluTanh>();
  t["Silu"] = plain<nn::Silu>();
  t["Tanh"] = plain<nn::Tanh>();
  t["Sigmoid"] = plain<nn::Sigmoid>();
  t["LogSigmoid"] = plain<nn::LogSigmoid>();
  t["Softplus"] = plain<nn::Softplus>();
  t["Selu"] = plain<nn::Selu>();
  t["Mish"] = plain<nn::Mish>();
  t["Hardsigmoid"] = plain<nn::Hardsigmoid>();
  t["Hardswish"] = plain<nn::Hardswish>();
  t["LeakyRelu"] = plain<nn::LeakyRelu>();
  t["Elu"] = plain<nn::Elu>();
  t["Softmax"] = [](const RecordedCase& c) { return of_one(nn::Softmax(c.args.at("axis"))); };
  t["LogSoftmax"] = [](const RecordedCase& c) { return of_one(nn::LogSoftmax(c.args.at("axis"))); };
  t["Glu"] = [](const RecordedCase& c) { return of_one(nn::Glu(c.args.at("axis"))); };
}

void add_losses(Table& t) {
  t["CrossEntropyLoss"] = [](const RecordedCase& c) {
    return of_two(nn::CrossEntropyLoss({.label_smoothing = c.args.at("smoothing").get<double>()}));
  };
  t["NllLoss"] = [](const RecordedCase&) { return of_two(nn::NllLoss()); };
  t["MseLoss"] = [](const RecordedCase&) { return of_two(nn::MseLoss()); };
  t["L1Loss"] = [](const RecordedCase&) { return of_two(nn::L1Loss()); };
  t["HuberLoss"] = [](const RecordedCase& c) { return of_two(nn::HuberLoss(c.args.at("delta"))); };
  t["SmoothL1Loss"] = [](const RecordedCase& c) {
    return of_two(nn::SmoothL1Loss(c.args.at("beta")));
  };
  t["BceWithLogitsLoss"] = [](const RecordedCase& c) {
    const auto weight = c.args.at("pos_weight").get<std::vector<double>>();
    return of_two(nn::BceWithLogitsLoss(
        {.pos_weight = from_vector(weight, {static_cast<int64_t>(weight.size())})}));
  };
  t["KlDivLoss"] = [](const RecordedCase&) { return of_two(nn::KlDivLoss()); };
}

/// The recorded tensors whose names begin with `prefix`, without it.
nn::StateDict part(const RecordedCase& c, const std::string& prefix) {
  nn::StateDict state;
  for (const auto& [name, tensor] : c.tensors) {
    if (name.starts_with(prefix)) state.emplace(name.substr(prefix.size()), tensor);
  }
  return state;
}

void compare(const Build& build, const RecordedCase& c, DType dtype, WorstFigures& figures) {
  const Built built = build(c);
  built.module->eval();
  built.module->to(dtype);
  nn::StateDict state = part(c, "p.");
  for (auto& [name, buffer] : built.module->named_buffers()) state.emplace(name, buffer);
  built.module->load_state_dict(state);
  Tensors xs, leaves;
  std::vector<std::string> names;
  for (size_t i = 0; i < c.inputs; ++i) {
    xs.push_back(c.input(i, dtype).clone());
    const std::string name = "d" + std::to_string(i);
    if (!c.has(name)) continue;
    leaves.push_back(xs.back().set_requires_grad(true));
    names.push_back(name);
  }
  for (const auto& [name, parameter] : built.module->named_parameters()) {
    leaves.push_back(parameter);
    names.push_back("d." + name);
  }
  const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-5;
  const Tensor y = built.call(xs);
  figures.note(c, "y0", dtype, recorded_error(y, c.at("y0")), tolerance);
  const Tensors gradients = grad({y}, leaves, {.dy = {c.at("c0").to(y.dtype())}});
  for (size_t i = 0; i < leaves.size(); ++i) {
    figures.note(c, names[i], dtype, recorded_error(gradients[i], c.at(names[i])), tolerance);
  }
}

}  // namespace

TEST_CASE("modules give PyTorch's numbers") {
  WorstFigures figures("modules");
  Table builders;
  add_layers(builders);
  add_activations(builders);
  add_losses(builders);
  std::set<std::string> seen;
  for (const RecordedCase& c : load_recorded("modules").cases) {
    const auto build = builders.find(c.op);
    REQUIRE_MESSAGE(build != builders.end(), "no entry for " << c.op);
    seen.insert(c.op);
    for (const DType dtype : {DType::f32, DType::f64}) compare(build->second, c, dtype, figures);
  }
  CHECK(seen.size() == builders.size());
}
