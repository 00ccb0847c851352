#include <tenet/core/replay.h>
#include <tenet/nn/module.h>

#include <doctest/doctest.h>

#include <type_traits>

using namespace tenet;

namespace {

Tensor weights(std::vector<float> values, Shape shape) {
  Tensor tensor = from_vector(values, shape);
  tensor.set_requires_grad(true);
  return tensor;
}

struct Dense : nn::Module {
  Tensor weight = weights({1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor bias = weights({7, 8}, {2});
  void fields(nn::Fields& f) override {
    f.parameter("weight", weight);
    f.parameter("bias", bias);
  }
};

struct Scale : nn::Module {
  Tensor factor = weights({2}, {1});
  Tensor count = from_vector<int64_t>({3}, {1});
  Tensor none;
  void fields(nn::Fields& f) override {
    f.parameter("factor", factor);
    f.parameter("none", none);
    f.buffer("count", count);
  }
};

struct Net : nn::Module {
  Dense first;
  std::vector<Scale> scales = std::vector<Scale>(2);
  std::shared_ptr<Dense> shared = std::make_shared<Dense>();
  std::shared_ptr<Dense> again = shared;
  std::unique_ptr<Dense> absent;
  std::optional<Scale> maybe = std::nullopt;
  Tensor tied = first.weight;

  void fields(nn::Fields& f) override {
    f("first", first);
    f("scales", scales);
    f("shared", shared);
    f("again", again);
    f("absent", absent);
    f("maybe", maybe);
    f.parameter("tied", tied);
  }
};

struct Copyable : nn::Module {
  Dense first;
  std::vector<Scale> scales = std::vector<Scale>(2);
  std::shared_ptr<Dense> shared = std::make_shared<Dense>();
  std::shared_ptr<Dense> again = shared;
  Tensor tied = first.weight;

  void fields(nn::Fields& f) override {
    f("first", first);
    f("scales", scales);
    f("shared", shared);
    f("again", again);
    f.parameter("tied", tied);
  }
};

struct Inline : nn::Module {
  Dense inner;
  void fields(nn::Fields& f) override { f("", inner); }
};

struct Deep : nn::Module {
  std::vector<std::shared_ptr<Inline>> layers{std::make_shared<Inline>(),
                                              std::make_shared<Inline>()};
  void fields(nn::Fields& f) override { f("layers", layers); }
};

struct HeldByBase : nn::Module {
  std::shared_ptr<nn::Module> inner = std::make_shared<Dense>();
  void fields(nn::Fields& f) override { f("inner", inner); }
};

struct HeldByReference : nn::Module {
  std::shared_ptr<Dense> inner = std::make_shared<Dense>();
  void fields(nn::Fields& f) override { f("inner", *inner); }
};

std::vector<std::string> names(const nn::NamedTensors& tensors) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : tensors) result.push_back(name);
  return result;
}

using Names = std::vector<std::string>;

template <class A, class B>
struct Twice : nn::Module {
  void fields(nn::Fields&) override {}
};

}  // namespace

TEST_CASE("fields name every tensor once, with its path") {
  Net net;
  CHECK(names(net.named_parameters()) == Names{"first.weight", "first.bias", "scales.0.factor",
                                               "scales.1.factor", "shared.weight", "shared.bias"});
  CHECK(names(net.named_buffers()) == Names{"scales.0.count", "scales.1.count"});
  CHECK(net.parameter_count() == 8 + 2 + 8);
  CHECK(net.parameters().size() == 6);
  CHECK(net.buffers().size() == 2);
  net.maybe.emplace();
  CHECK(net.parameters().size() == 7);
  CHECK(names(Deep().named_parameters()) ==
        Names{"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"});
}

TEST_CASE("modules in a map are listed by name") {
  struct Heads : nn::Module {
    std::map<std::string, Dense> heads;
    void fields(nn::Fields& f) override { f("heads", heads); }
  };
  Heads module;
  module.heads["value"];
  module.heads["policy"];
  CHECK(names(module.named_parameters()) == Names{"heads.policy.weight", "heads.policy.bias",
                                                  "heads.value.weight", "heads.value.bias"});
  CHECK(names(nn::clone(module).named_parameters()) == names(module.named_parameters()));
}

TEST_CASE("frozen modules need no gradients") {
  Net net;
  net.first.set_requires_grad(false);
  CHECK_FALSE(net.first.weight.requires_grad());
  CHECK_FALSE(net.tied.requires_grad());
  CHECK(net.shared->weight.requires_grad());
  CHECK(net.parameter_count() == 18);
  CHECK(net.first.to_string() == "Dense, 8 parameters, frozen\n");
  CHECK(nn::clone(net.first).to_string() == net.first.to_string());
  net.to(DType::f64);
  CHECK_FALSE(net.first.weight.requires_grad());
  net.set_requires_grad(true);
  CHECK(net.first.weight.requires_grad());
  CHECK(fmt::format("{}", net.first) == "Dense, 8 parameters\n");
}

TEST_CASE("train and eval reach every module, and a replay sees the first run's flag") {
  Net net;
  CHECK(net.scales[1].training());
  net.eval();
  CHECK_FALSE(net.training());
  CHECK_FALSE(net.scales[1].training());
  CHECK_FALSE(net.shared->training());
  net.train();
  CHECK(net.shared->training());

  detail::ReplayRecord record;
  {
    const detail::ReplayScope scope(record, detail::ReplayScope::Mode::record);
    CHECK(net.training());
  }
  net.eval();
  const detail::ReplayScope scope(record, detail::ReplayScope::Mode::replay);
  CHECK(net.training());
}

TEST_CASE("to(dtype) changes the tensors that handles share") {
  Net net;
  const std::vector<Tensor> before = net.parameters();
  before[0].set_grad(from_vector<float>({1, 1, 1, 1, 1, 1}, {2, 3}));
  net.to(DType::f64);
  CHECK(before[0].dtype() == DType::f64);
  CHECK(before[0].to_vector<double>() == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(before[0].grad().dtype() == DType::f64);
  CHECK(before[0].requires_grad());
  CHECK(net.tied.dtype() == DType::f64);
  CHECK(net.scales[0].count.dtype() == DType::i64);
  CHECK_THROWS_WITH_AS(net.to(DType::i32),
                       "to: parameters cannot be i32; use a floating-point type", Error);
  net.to(Device::cpu());
  CHECK(before[0].dtype() == DType::f64);
}

TEST_CASE("parameters stay counted as parameters when converted") {
  const int64_t before = memory::stats(Device::cpu(), memory::Category::parameter).live;
  Dense dense;
  dense.to(DType::f64);
  CHECK(memory::stats(Device::cpu(), memory::Category::parameter).live >= before + 8 * 8);
}

TEST_CASE("load_state_dict copies into the tensors that handles share") {
  Net net, other;
  const Tensor handle = net.first.weight;
  nn::StateDict state = other.state_dict();
  CHECK(state.size() == 8);
  state["first.weight"] = from_vector<double>({6, 5, 4, 3, 2, 1}, {2, 3});
  state["scales.1.count"] = from_vector<int64_t>({9}, {1});
  const nn::LoadReport report = net.load_state_dict(state);
  CHECK(report.missing.empty());
  CHECK(handle.to_vector<float>() == std::vector<float>{6, 5, 4, 3, 2, 1});
  CHECK(handle.dtype() == DType::f32);
  CHECK(handle.requires_grad());
  CHECK(net.scales[1].count.item<int64_t>() == 9);
}

TEST_CASE("a tensor with two names loads under either") {
  Net net;
  nn::StateDict state = net.state_dict();
  state.erase("first.weight");
  state["tied"] = from_vector<float>({0, 0, 0, 0, 0, 1}, {2, 3});
  net.load_state_dict(state);
  CHECK(net.first.weight.to_vector<float>()[5] == 1);
  CHECK(net.first.weight.to_vector<float>()[0] == 0);
}

TEST_CASE("load_state_dict names everything that is wrong and changes nothing") {
  Net net;
  nn::StateDict state = Net().state_dict();
  state.erase("first.bias");
  state.erase("scales.0.factor");
  state["first.weight"] = from_vector<float>({1, 2}, {2});
  state["scales.0.count"] = from_vector<float>({1}, {1});
  state["shared.bias"] = from_vector<float>({0, 0}, {2});
  state["third"] = from_vector<float>({0}, {1});
  CHECK_THROWS_WITH_AS(net.load_state_dict(state),
                       "load_state_dict: missing first.bias, scales.0.factor; unexpected third; "
                       "first.weight has shape (2,), the module's (2, 3); "
                       "scales.0.count is f32, the module's i64",
                       Error);
  CHECK(net.shared->bias.to_vector<float>() == std::vector<float>{7, 8});
  CHECK_THROWS_WITH_AS(net.load_state_dict(state, false),
                       "load_state_dict: first.weight has shape (2,), the module's (2, 3); "
                       "scales.0.count is f32, the module's i64",
                       Error);

  state.erase("first.weight");
  state.erase("scales.0.count");
  const nn::LoadReport report = net.load_state_dict(state, false);
  CHECK(report.missing == Names{"first.weight", "first.bias", "scales.0.factor", "scales.0.count"});
  CHECK(report.unexpected == Names{"third"});
  CHECK(net.shared->bias.to_vector<float>() == std::vector<float>{0, 0});
}

TEST_CASE("a state shares its elements with the module") {
  Dense dense;
  const nn::StateDict state = dense.state_dict();
  dense.bias.mutable_data<float>()[0] = -1;
  CHECK(state.at("bias").to_vector<float>()[0] == -1);
  CHECK_FALSE(state.at("bias").requires_grad());
}

TEST_CASE("modules move and are not copied") {
  CHECK(std::is_nothrow_move_constructible_v<Dense>);
  CHECK_FALSE(std::is_copy_assignable_v<Dense>);
  Dense dense;
  const Tensor weight = dense.weight;
  const Dense moved = std::move(dense);
  CHECK(&moved.weight.body() == &weight.body());
  CHECK_THROWS_WITH_AS(Dense copy(moved),
                       "module: modules are not copied; use std::move or nn::clone", Error);
}

TEST_CASE("clone copies values, flags and sharing") {
  Copyable net;
  net.first.weight.set_grad(from_vector<float>({1, 1, 1, 1, 1, 1}, {2, 3}));
  net.shared->eval();
  Copyable copy = nn::clone(net);
  CHECK(names(copy.named_parameters()) == names(net.named_parameters()));
  CHECK(copy.first.weight.to_vector<float>() == net.first.weight.to_vector<float>());
  CHECK(copy.first.weight.requires_grad());
  CHECK_FALSE(copy.first.weight.grad().defined());
  CHECK(&copy.tied.body() == &copy.first.weight.body());
  CHECK(copy.shared == copy.again);
  CHECK(copy.shared != net.shared);
  CHECK_FALSE(copy.again->training());
  CHECK(copy.training());

  for (const Tensor& parameter : copy.parameters()) parameter.mutable_data<float>()[0] = -5;
  copy.scales[0].count.mutable_data<int64_t>()[0] = -5;
  for (const Tensor& parameter : net.parameters()) CHECK(parameter.to_vector<float>()[0] != -5);
  CHECK(net.scales[0].count.item<int64_t>() == 3);
  CHECK(net.first.weight.grad().defined());
}

TEST_CASE("clone refuses what it cannot follow") {
  CHECK_THROWS_WITH_AS(nn::clone(HeldByBase()),
                       "clone: a Dense is held as its base or has members that cannot be copied; "
                       "hold it by its own type",
                       Error);
  CHECK_THROWS_WITH_AS(
      nn::clone(HeldByReference()),
      "clone: inner is held by a pointer that clone() cannot follow; list the pointer itself",
      Error);
}

TEST_CASE("clear_grad drops every gradient") {
  Dense dense;
  dense.bias.set_grad(from_vector<float>({1, 1}, {2}));
  dense.clear_grad();
  CHECK_FALSE(dense.bias.grad().defined());
}

TEST_CASE("to_string is a tree with parameter counts") {
  CHECK(Copyable().to_string() ==
        "Copyable, 18 parameters\n"
        "  first: Dense, 8 parameters\n"
        "  scales.0: Scale, 1 parameter\n"
        "  scales.1: Scale, 1 parameter\n"
        "  shared: Dense, 8 parameters\n"
        "  again: Dense, 8 parameters\n");
  Dense wide;
  wide.weight = empty({1234, 1000});
  CHECK(wide.to_string() == "Dense, 1,234,002 parameters\n");
  CHECK(Twice<nn::Fields, Dense>().describe() == "Twice<Fields,Dense>");
}
