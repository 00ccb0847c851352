/// The ops of networks among those of recorded_ops.h: losses, attention, normalisation, images.
#include <ops/recorded_ops.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/loss.h>
#include <tenet/ops/pool2d.h>

namespace tenet::test {
namespace {

using Table = std::map<std::string, RecordedCall>;

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

void add_normalisation(Table& t) {
  t["layer_norm"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{layer_norm(x[0], x.size() > 1 ? x[1] : Tensor(), x.size() > 2 ? x[2] : Tensor(),
                              c.args.at("eps").get<double>())};
  };
  t["batch_norm"] = [](const Tensors& x, const RecordedCase& c) {
    const bool given = c.args.at("given");
    const size_t k = given ? 3 : 1;
    const BatchNormOptions options{.weight = x.size() > k ? x[k] : Tensor(),
                                   .bias = x.size() > k + 1 ? x[k + 1] : Tensor(),
                                   .epsilon = c.args.at("eps").get<double>()};
    return Tensors{given ? batch_norm(x[0], x[1], x[2], options) : batch_norm(x[0], options).y};
  };
}

Size2d size_of(const RecordedCase& c, const char* name) {
  const auto& size = c.args.at(name);
  return {size.at(0).get<int64_t>(), size.at(1).get<int64_t>()};
}

void add_images(Table& t) {
  t["conv2d"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{conv2d(x[0], x[1], x.size() > 2 ? x[2] : Tensor(),
                          {.stride = size_of(c, "stride"),
                           .padding = size_of(c, "padding"),
                           .dilation = size_of(c, "dilation"),
                           .groups = c.args.at("groups").get<int64_t>()})};
  };
  t["max_pool2d"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{max_pool2d(x[0], size_of(c, "kernel"),
                              {.stride = size_of(c, "stride"), .padding = size_of(c, "padding")})};
  };
  t["avg_pool2d"] = [](const Tensors& x, const RecordedCase& c) {
    return Tensors{avg_pool2d(x[0], size_of(c, "kernel"),
                              {.stride = size_of(c, "stride"),
                               .padding = size_of(c, "padding"),
                               .count_include_pad = c.args.at("count").get<bool>()})};
  };
}

}  // namespace

void add_recorded_layers(std::map<std::string, RecordedCall>& table) {
  add_losses(table);
  add_attention(table);
  add_normalisation(table);
  add_images(table);
}

}  // namespace tenet::test
