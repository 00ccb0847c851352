#include <ops/recorded_ops.h>
#include <tenet/ops/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/index.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/views.h>

namespace tenet::test {
namespace {

using Call = RecordedCall;
using Table = std::map<std::string, Call>;

Call of(Tensor (*f)(const Tensor&)) {
  return [f](const Tensors& x, const RecordedCase&) { return Tensors{f(x[0])}; };
}
Call of(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [f](const Tensors& x, const RecordedCase&) { return Tensors{f(x[0], x[1])}; };
}

/// The argument as a number of its own category: true, 2 and 2.5 differ in promotion.
Scalar number_of(const RecordedCase& c, const char* name) {
  const auto& value = c.args.at(name);
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  return value.get<double>();
}

/// f of two tensors, or of one and the number "scalar", which stands on the left if "left".
template <class F>
Call arithmetic(F f) {
  return [f](const Tensors& x, const RecordedCase& c) {
    if (x.size() == 2) return Tensors{f(x[0], x[1])};
    const Scalar number = number_of(c, "scalar");
    return Tensors{c.arg("left", false) ? f(number, x[0]) : f(x[0], number)};
  };
}

/// The same for what takes a number on the right alone.
template <class F>
Call right(F f) {
  return [f](const Tensors& x, const RecordedCase& c) {
    return Tensors{x.size() == 2 ? f(x[0], x[1]) : f(x[0], number_of(c, "scalar"))};
  };
}

template <class F>
Call reduction(F f) {
  return [f](const Tensors& x, const RecordedCase& c) {
    const Axes axes = c.args.at("all") ? Axes() : Axes(c.args.at("axes").get<std::vector<int>>());
    return Tensors{f(x[0], axes, c.args.at("keepdim").get<bool>(), c)};
  };
}

/// f(x, argument).
template <class T>
Call with(const char* name, Tensor (*f)(const Tensor&, T)) {
  return [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{f(x[0], c.args.at(name).get<std::decay_t<T>>())};
  };
}

Shape shape_of(const RecordedCase& c) {
  Shape shape;
  for (const int64_t size : c.args.at("shape")) shape.push_back(size);
  return shape;
}

void add_elementwise(Table& t) {
  for (const auto& [name, f] : std::map<std::string, Tensor (*)(const Tensor&)>{
           {"neg", neg},           {"abs", abs},
           {"sign", sign},         {"exp", exp},
           {"log", log},           {"sqrt", sqrt},
           {"rsqrt", rsqrt},       {"square", square},
           {"sin", sin},           {"cos", cos},
           {"tanh", tanh},         {"erf", erf},
           {"relu", relu},         {"gelu", gelu},
           {"silu", silu},         {"gelu_tanh", gelu_tanh},
           {"selu", selu},         {"sigmoid", sigmoid},
           {"mish", mish},         {"softplus", softplus},
           {"floor", floor},       {"reciprocal", reciprocal},
           {"ceil", ceil},         {"hardsigmoid", hardsigmoid},
           {"round", round},       {"hardswish", hardswish},
           {"isnan", isnan},       {"log_sigmoid", log_sigmoid},
           {"isfinite", isfinite}, {"logical_not", logical_not}}) {
    t[name] = of(f);
  }
  t["leaky_relu"] = with("slope", leaky_relu);
  t["elu"] = with("alpha", elu);
  t["glu"] = with("axis", glu);
  t["clamp"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{clamp(x[0], number_of(c, "low"), number_of(c, "high"))};
  };
}

void add_arithmetic(Table& t) {
  t["add"] = arithmetic([](const auto& a, const auto& b) { return add(a, b); });
  t["sub"] = arithmetic([](const auto& a, const auto& b) { return sub(a, b); });
  t["mul"] = arithmetic([](const auto& a, const auto& b) { return mul(a, b); });
  t["div"] = arithmetic([](const auto& a, const auto& b) { return div(a, b); });
  t["pow"] = arithmetic([](const auto& a, const auto& b) { return pow(a, b); });
  t["equal"] = right([](const auto& a, const auto& b) { return equal(a, b); });
  t["not_equal"] = right([](const auto& a, const auto& b) { return not_equal(a, b); });
  t["less"] = right([](const auto& a, const auto& b) { return less(a, b); });
  t["less_equal"] = right([](const auto& a, const auto& b) { return less_equal(a, b); });
  t["greater"] = right([](const auto& a, const auto& b) { return greater(a, b); });
  t["greater_equal"] = right([](const auto& a, const auto& b) { return greater_equal(a, b); });
  for (const auto& [name, f] :
       std::map<std::string, Tensor (*)(const Tensor&, const Tensor&)>{{"maximum", maximum},
                                                                       {"minimum", minimum},
                                                                       {"logical_and", logical_and},
                                                                       {"logical_or", logical_or},
                                                                       {"matmul", matmul},
                                                                       {"embedding", embedding}}) {
    t[name] = of(f);
  }
  t["where"] = [](const Tensors& x, const RecordedCase&) {
    return Tensors{where(x[0], x[1], x[2])};
  };
  t["masked_fill"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{masked_fill(x[0], x[1], number_of(c, "value"))};
  };
  t["linear"] = [](const Tensors& x, const RecordedCase&) {
    return Tensors{linear(x[0], x[1], x.size() > 2 ? x[2] : Tensor())};
  };
}

void add_reductions(Table& t) {
  using Reduce = Tensor (*)(const Tensor&, const Axes&, bool);
  for (const auto& [name, f] : std::map<std::string, Reduce>{{"sum", sum},
                                                             {"mean", mean},
                                                             {"norm", norm},
                                                             {"logsumexp", logsumexp},
                                                             {"max", max},
                                                             {"min", min},
                                                             {"argmax", argmax},
                                                             {"argmin", argmin}}) {
    t[name] = reduction([f = f](const Tensor& x, const Axes& axes, bool keep, const RecordedCase&) {
      return f(x, axes, keep);
    });
  }
  t["var"] = reduction([](const Tensor& x, const Axes& axes, bool keep, const RecordedCase& c) {
    return var(x, axes, keep, c.args.at("correction").get<int>());
  });
  t["cumsum"] = with("axis", cumsum);
  t["softmax"] = with("axis", softmax);
  t["log_softmax"] = with("axis", log_softmax);
}

void add_views(Table& t) {
  const auto number = [](const RecordedCase& c, const char* name) {
    return c.args.at(name).get<int64_t>();
  };
  const auto axis = [](const RecordedCase& c) { return c.args.at("axis").get<int>(); };
  t["reshape"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{reshape(transpose(x[0], 0, 1), shape_of(c))};
  };
  t["view"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{view(x[0].contiguous(), shape_of(c))};
  };
  t["flatten"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{
        flatten(x[0], static_cast<int>(number(c, "start")), static_cast<int>(number(c, "end")))};
  };
  t["permute"] = with<const std::vector<int>&>("axes", permute);
  t["transpose"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{
        transpose(x[0], static_cast<int>(number(c, "a")), static_cast<int>(number(c, "b")))};
  };
  t["slice"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{slice(x[0], axis(c), number(c, "start"), number(c, "stop"), number(c, "step"))};
  };
  t["select"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{select(x[0], axis(c), number(c, "index"))};
  };
  t["chunk"] = [=](const Tensors& x, const RecordedCase& c) {
    return chunk(x[0], number(c, "count"), axis(c));
  };
  t["expand"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{expand(x[0], shape_of(c))};
  };
  t["squeeze"] = [](const Tensors& x, const RecordedCase& c) {
    if (c.args.at("all")) return Tensors{squeeze(x[0])};
    return Tensors{squeeze(x[0], c.args.at("axes").get<std::vector<int>>())};
  };
  t["unsqueeze"] = with("axis", unsqueeze);
}

void add_places(Table& t) {
  const auto axis = [](const RecordedCase& c) { return c.args.at("axis").get<int>(); };
  t["concatenate"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{concatenate(x, axis(c))};
  };
  t["stack"] = [=](const Tensors& x, const RecordedCase& c) { return Tensors{stack(x, axis(c))}; };
  t["split"] = [=](const Tensors& x, const RecordedCase& c) {
    return split(x[0], c.args.at("sizes").get<std::vector<int64_t>>(), axis(c));
  };
  t["pad"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{pad(x[0], axis(c), c.args.at("before").get<int64_t>(),
                       c.args.at("after").get<int64_t>(), number_of(c, "value"))};
  };
  t["flip"] = with("axis", flip);
  t["roll"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{roll(x[0], c.args.at("shift").get<int64_t>(), axis(c))};
  };
  t["index_select"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{index_select(x[0], axis(c), x[1])};
  };
  t["gather"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{gather(x[0], x[1], axis(c))};
  };
  t["take_along"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{take_along(x[0], x[1], axis(c))};
  };
  t["scatter_add"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{scatter_add(x[0], x[1], x[2], axis(c))};
  };
  t["one_hot"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{one_hot(x[0], c.args.at("classes").get<int64_t>(), DType::f64)};
  };
  t["sort"] = [=](const Tensors& x, const RecordedCase& c) {
    const Sorted s = sort(x[0], axis(c), c.args.at("descending").get<bool>());
    return Tensors{s.values, s.indices};
  };
  t["argsort"] = [=](const Tensors& x, const RecordedCase& c) {
    return Tensors{argsort(x[0], axis(c), c.args.at("descending").get<bool>())};
  };
  t["top_k"] = [=](const Tensors& x, const RecordedCase& c) {
    const Sorted s = top_k(x[0], c.args.at("k").get<int64_t>(), axis(c));
    return Tensors{s.values, s.indices};
  };
}

TensorOptions made(const RecordedCase& c) {
  static const std::map<std::string, DType> types{{"torch.float64", DType::f64},
                                                  {"torch.uint8", DType::u8},
                                                  {"torch.int32", DType::i32},
                                                  {"torch.int64", DType::i64},
                                                  {"torch.bool", DType::boolean}};
  return {.dtype = types.at(c.arg<std::string>("dtype", "torch.float64"))};
}

void add_creation(Table& t) {
  t["arange"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{
        arange(number_of(c, "start"), number_of(c, "stop"), number_of(c, "step"), made(c))};
  };
  t["eye"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{
        eye(c.args.at("rows").get<int64_t>(), c.args.at("columns").get<int64_t>(), made(c))};
  };
  t["full"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{full(shape_of(c), number_of(c, "value"), made(c))};
  };
  t["zeros"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{zeros(shape_of(c), made(c))};
  };
  t["ones"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{ones(shape_of(c), made(c))};
  };
  t["zeros_like"] = of(zeros_like);
  t["ones_like"] = of(ones_like);
  t["full_like"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{full_like(x[0], number_of(c, "value"))};
  };
  t["bernoulli"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{bernoulli(shape_of(c), c.args.at("p").get<double>())};
  };
  t["randint"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{
        randint(shape_of(c), c.args.at("low").get<int64_t>(), c.args.at("high").get<int64_t>())};
  };
  t["dropout"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{dropout(x[0], c.args.at("p").get<double>(), c.args.at("training").get<bool>())};
  };
}

/// x[0] after `write`, in place.
template <class F>
Call in_place(F write) {
  return [write](const Tensors& x, const RecordedCase& c) {
    const Tensor y = x[0].clone();
    write(y, x, c);
    return Tensors{y};
  };
}

void add_in_place(Table& t) {
  t["add_"] = in_place([](const Tensor& y, const Tensors& x, const RecordedCase& c) {
    add_(y, x[1], number_of(c, "alpha"));
  });
  t["mul_"] = in_place([](const Tensor& y, const Tensors&, const RecordedCase& c) {
    mul_(y, number_of(c, "value"));
  });
  t["fill_"] = in_place([](const Tensor& y, const Tensors&, const RecordedCase& c) {
    fill_(y, number_of(c, "value"));
  });
  t["copy_"] =
      in_place([](const Tensor& y, const Tensors& x, const RecordedCase&) { copy_(y, x[1]); });
}

}  // namespace

std::map<std::string, RecordedCall> recorded_ops() {
  Table t;
  add_elementwise(t);
  add_arithmetic(t);
  add_reductions(t);
  add_views(t);
  add_places(t);
  add_recorded_layers(t);
  add_creation(t);
  add_in_place(t);
  return t;
}

}  // namespace tenet::test
