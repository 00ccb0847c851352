#include <ops/recorded_ops.h>
#include <tenet/ops/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/index.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/loss.h>
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

/// f of two tensors, or of one and the number "scalar", which stands on the left if "left".
template <class F>
Call arithmetic(F f) {
  return [f](const Tensors& x, const RecordedCase& c) {
    if (x.size() == 2) return Tensors{f(x[0], x[1])};
    const double number = c.args.at("scalar");
    return Tensors{c.arg("left", false) ? f(number, x[0]) : f(x[0], number)};
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
    return Tensors{clamp(x[0], c.args.at("low").get<double>(), c.args.at("high").get<double>())};
  };
}

void add_arithmetic(Table& t) {
  t["add"] = arithmetic([](const auto& a, const auto& b) { return add(a, b); });
  t["sub"] = arithmetic([](const auto& a, const auto& b) { return sub(a, b); });
  t["mul"] = arithmetic([](const auto& a, const auto& b) { return mul(a, b); });
  t["div"] = arithmetic([](const auto& a, const auto& b) { return div(a, b); });
  t["pow"] = arithmetic([](const auto& a, const auto& b) { return pow(a, b); });
  for (const auto& [name, f] : std::map<std::string, Tensor (*)(const Tensor&, const Tensor&)>{
           {"maximum", maximum},
           {"minimum", minimum},
           {"equal", equal},
           {"not_equal", not_equal},
           {"less", less},
           {"less_equal", less_equal},
           {"greater", greater},
           {"greater_equal", greater_equal},
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
    return Tensors{masked_fill(x[0], x[1], c.args.at("value").get<double>())};
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
  t["layer_norm"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{layer_norm(x[0], x.size() > 1 ? x[1] : Tensor(), x.size() > 2 ? x[2] : Tensor(),
                              c.args.at("eps").get<double>())};
  };
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
                       c.args.at("after").get<int64_t>(), c.args.at("value").get<double>())};
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

Reduction reduction_of(const RecordedCase& c) {
  const std::string name = c.arg<std::string>("reduction", "mean");
  return name == "none" ? Reduction::none : name == "sum" ? Reduction::sum : Reduction::mean;
}

/// The f64 vector of an argument; undefined if there is none.
Tensor vector_of(const RecordedCase& c, const char* name) {
  if (!c.args.contains(name)) return {};
  const auto values = c.args.at(name).get<std::vector<double>>();
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

void add_losses(Table& t) {
  t["mse_loss"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{mse_loss(x[0], x[1], reduction_of(c))};
  };
  t["l1_loss"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{l1_loss(x[0], x[1], reduction_of(c))};
  };
  t["huber_loss"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{huber_loss(x[0], x[1], c.args.at("delta"), reduction_of(c))};
  };
  t["smooth_l1_loss"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{smooth_l1_loss(x[0], x[1], c.args.at("beta"), reduction_of(c))};
  };
  t["binary_cross_entropy_with_logits"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{binary_cross_entropy_with_logits(x[0], x[1],
                                                    {.weight = vector_of(c, "weight"),
                                                     .pos_weight = vector_of(c, "pos_weight"),
                                                     .reduction = reduction_of(c)})};
  };
  t["kl_div"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{
        kl_div(x[0], x[1],
               {.log_target = c.args.at("log_target").get<bool>(), .reduction = reduction_of(c)})};
  };
  t["nll_loss"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{
        nll_loss(x[0], x[1], {.reduction = reduction_of(c), .weight = vector_of(c, "weight")})};
  };
  t["cross_entropy"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{cross_entropy(x[0], x[1],
                                 {.reduction = reduction_of(c),
                                  .weight = vector_of(c, "weight"),
                                  .label_smoothing = c.arg("smoothing", 0.0)})};
  };
  t["linear_cross_entropy"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{linear_cross_entropy(x[0], x[1], x[2], x[3],
                                        {.chunk_rows = c.args.at("chunk").get<int64_t>()})};
  };
}

void add_attention(Table& t) {
  t["attention"] = [](const Tensors& x, const RecordedCase& c) {
    AttentionOptions options{.causal = c.args.at("causal").get<bool>()};
    if (c.args.contains("scale")) options.scale = c.args.at("scale").get<double>();
    if (x.size() > 3) options.mask = x[3];
    return Tensors{attention(x[0], x[1], x[2], options)};
  };
  t["local_attention"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{local_attention(x[0], x[1], x[2], {.chunk = c.args.at("chunk").get<int64_t>()})};
  };
}

void add_creation(Table& t) {
  static constexpr TensorOptions f64{.dtype = DType::f64};
  t["arange"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{arange(c.args.at("start").get<double>(), c.args.at("stop").get<double>(),
                          c.args.at("step").get<double>(), f64)};
  };
  t["eye"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{eye(c.args.at("rows").get<int64_t>(), c.args.at("columns").get<int64_t>(), f64)};
  };
  t["full"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{full(shape_of(c), c.args.at("value").get<double>(), f64)};
  };
  t["zeros"] = [](const Tensors&, const RecordedCase& c) {
    return Tensors{zeros(shape_of(c), f64)};
  };
  t["ones"] = [](const Tensors&, const RecordedCase& c) { return Tensors{ones(shape_of(c), f64)}; };
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
    add_(y, x[1], c.args.at("alpha").get<double>());
  });
  t["mul_"] = in_place([](const Tensor& y, const Tensors&, const RecordedCase& c) {
    mul_(y, c.args.at("value").get<double>());
  });
  t["fill_"] = in_place([](const Tensor& y, const Tensors&, const RecordedCase& c) {
    fill_(y, c.args.at("value").get<double>());
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
  add_losses(t);
  add_attention(t);
  add_creation(t);
  add_in_place(t);
  return t;
}

}  // namespace tenet::test
