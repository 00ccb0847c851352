/// Ten steps of every optimizer and the schedules against the numbers recorded from PyTorch and
/// Hugging Face's transformers.
#include <doctest/doctest.h>
#include <recorded.h>
#include <tenet/optim/adafactor.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/plateau.h>
#include <tenet/optim/rmsprop.h>
#include <tenet/optim/schedule.h>
#include <tenet/optim/sgd.h>

#include <cmath>
#include <functional>
#include <memory>

using namespace tenet;
using namespace tenet::test;

namespace {

using Made = std::unique_ptr<optim::Optimizer>;
using Rate = std::function<double(int64_t)>;

constexpr int64_t steps = 10;
constexpr int64_t recorded_steps[] = {0, 2, 9};

/// The weights that every case starts from.
Tensors weights(const RecordedFile& file, DType dtype) {
  Tensors result;
  for (size_t k = 0; file.shared.contains("w" + std::to_string(k)); ++k) {
    const Tensor w = file.shared.at("w" + std::to_string(k));
    result.push_back(w.clone().to(dtype).detach().set_requires_grad(true));
  }
  return result;
}

template <class Adaptive, class Options>
Made adaptive(const RecordedCase& c, const Tensors& w) {
  Options o;
  o.learning_rate = c.args.at("learning_rate");
  o.beta1 = c.arg("beta1", o.beta1);
  o.beta2 = c.arg("beta2", o.beta2);
  o.eps = c.arg("eps", o.eps);
  o.weight_decay = c.arg("weight_decay", typeid(Options) == typeid(optim::AdamWOptions) ? 0.01 : 0);
  return std::make_unique<Adaptive>(w, o);
}

Made sgd(const RecordedCase& c, const Tensors& w) {
  return std::make_unique<optim::Sgd>(
      w, optim::SgdOptions{.learning_rate = c.args.at("learning_rate"),
                           .momentum = c.arg("momentum", 0.0),
                           .dampening = c.arg("dampening", 0.0),
                           .nesterov = c.arg("nesterov", false),
                           .weight_decay = c.arg("weight_decay", 0.0)});
}

Made rmsprop(const RecordedCase& c, const Tensors& w) {
  return std::make_unique<optim::RmsProp>(
      w, optim::RmsPropOptions{.learning_rate = c.args.at("learning_rate"),
                               .alpha = c.arg("alpha", 0.99),
                               .eps = c.arg("eps", 1e-8),
                               .weight_decay = c.arg("weight_decay", 0.0),
                               .momentum = c.arg("momentum", 0.0),
                               .centered = c.arg("centered", false)});
}

Made adafactor(const RecordedCase& c, const Tensors& w) {
  return std::make_unique<optim::Adafactor>(
      w, optim::AdafactorOptions{.learning_rate = c.arg("learning_rate", 1.0),
                                 .multiply_by_parameter_scale = c.arg("scaled", true),
                                 .clipping_threshold = c.arg("clipping_threshold", 1.0),
                                 .decay_exponent = c.arg("decay_exponent", 0.8),
                                 .eps1 = c.arg("eps1", 1e-30),
                                 .eps2 = c.arg("eps2", 1e-3),
                                 .weight_decay = c.arg("weight_decay", 0.0),
                                 .scale_weight_decay = true,
                                 .beta1 = c.arg("beta1", 0.0)});
}

Made groups(const RecordedCase& c, const Tensors& w) {
  const optim::ParameterList list{{.parameters = Tensors{w[0]},
                                   .learning_rate = c.args.at("group_rate").get<double>(),
                                   .weight_decay = c.args.at("group_decay").get<double>()},
                                  {.parameters = Tensors(w.begin() + 1, w.end())}};
  return std::make_unique<optim::AdamW>(
      list, optim::AdamWOptions{.learning_rate = c.args.at("learning_rate"),
                                .weight_decay = c.args.at("weight_decay")});
}

Made make(const RecordedCase& c, const Tensors& w) {
  if (c.op == "Sgd") return sgd(c, w);
  if (c.op == "Adam") return adaptive<optim::Adam, optim::AdamOptions>(c, w);
  if (c.op == "AdamW") return adaptive<optim::AdamW, optim::AdamWOptions>(c, w);
  if (c.op == "RmsProp") return rmsprop(c, w);
  if (c.op == "groups") return groups(c, w);
  REQUIRE_MESSAGE(c.op.starts_with("Adafactor"), "no entry for " << c.op);
  return adafactor(c, w);
}

/// The learning rate of a step, if the case changes it.
Rate rate_of(const RecordedCase& c) {
  if (c.args.contains("factor")) {
    return [rate = c.args.at("learning_rate").get<double>(),
            factor = c.args.at("factor").get<double>()](int64_t step) {
      return optim::exponential(rate, factor, step);
    };
  }
  if (c.args.contains("relative")) {
    const double most = c.args.at("relative");
    if (most == 0.01) return [](int64_t step) { return optim::adafactor_rate(step); };
    return [most](int64_t step) {
      return std::min(most, 1 / std::sqrt(static_cast<double>(step + 1)));
    };
  }
  if (c.args.contains("warm_up"))
    return [](int64_t step) { return optim::adafactor_rate(step, true); };
  return {};
}

void compare(const RecordedFile& file, const RecordedCase& c, DType dtype, WorstFigures& figures) {
  const Tensors w = weights(file, dtype);
  const Made optimizer = make(c, w);
  const Rate rate = rate_of(c);
  int64_t record = 0;
  for (int64_t step = 0; step < steps; ++step) {
    for (size_t k = 0; k < w.size(); ++k) {
      w[k].set_grad(file.shared.at(fmt::format("g{}.{}", step, k)).to(dtype));
    }
    if (rate) optimizer->set_learning_rate(rate(step));
    optimizer->step();
    if (step != recorded_steps[record]) continue;
    for (size_t k = 0; k < w.size(); ++k) {
      const Tensor all = c.at("y" + std::to_string(k));
      const Tensor want =
          tenet::detail::view_of(all, w[k].shape(), w[k].strides(), record * w[k].numel());
      figures.note(c, fmt::format("weights {} after step {}", k, step + 1), dtype,
                   recorded_error(w[k], want), dtype == DType::f64 ? 1e-12 : 1e-5);
    }
    ++record;
  }
}

/// The schedule of a case, starting at 0.5.
Rate schedule_of(const RecordedCase& c) {
  const auto number = [&](const char* name) { return c.args.at(name).get<double>(); };
  const auto count = [&](const char* name) { return c.args.at(name).get<int64_t>(); };
  const double final_rate = c.arg("final", 0.0);
  using namespace optim;
  if (c.op == "step_decay") {
    return [f = number("factor"), every = count("every")](int64_t t) {
      return step_decay(0.5, f, every, t);
    };
  }
  if (c.op == "milestones") {
    return [f = number("factor"), m = c.args.at("milestones").get<std::vector<int64_t>>()](
               int64_t t) { return step_decay(0.5, f, m, t); };
  }
  if (c.op == "exponential") {
    return [f = number("factor")](int64_t t) { return exponential(0.5, f, t); };
  }
  if (c.op == "cosine") {
    return [=, n = count("steps")](int64_t t) { return cosine(0.5, 0, n, t, final_rate); };
  }
  if (c.op == "linear") {
    return [=, n = count("steps")](int64_t t) { return linear(0.5, 0, n, t, final_rate); };
  }
  if (c.op == "polynomial") {
    return [n = count("steps"), p = number("power")](int64_t t) {
      return polynomial(0.5, 0, n, t, p);
    };
  }
  if (c.op == "cosine_restarts") {
    return [=, n = count("period"), f = number("factor")](int64_t t) {
      return cosine_restarts(0.5, n, t, f, final_rate);
    };
  }
  if (c.op == "plateau") {
    const PlateauOptions options{.factor = number("factor"),
                                 .patience = count("patience"),
                                 .threshold = number("threshold"),
                                 .cooldown = count("cooldown"),
                                 .final_rate = final_rate,
                                 .larger_is_better = c.arg("larger", false)};
    return [rate = ReduceOnPlateau(0.5, options),
            measures = c.args.at("measures").get<std::vector<double>>()](int64_t t) mutable {
      return t == 0 ? rate.rate() : rate.update(measures[static_cast<size_t>(t - 1)]);
    };
  }
  if (c.op == "one_cycle") {
    return [n = count("steps")](int64_t t) { return one_cycle(0.5, n, t); };
  }
  return {};
}

}  // namespace

TEST_CASE("optimizers and schedules give PyTorch's numbers") {
  WorstFigures figures("optimizers");
  const RecordedFile file = load_recorded("optim");
  for (const RecordedCase& c : file.cases) {
    if (!c.has("rates")) {
      for (const DType dtype : {DType::f32, DType::f64}) compare(file, c, dtype, figures);
      continue;
    }
    const Rate schedule = schedule_of(c);
    REQUIRE_MESSAGE(schedule, "no entry for " << c.op);
    std::vector<double> rates;
    for (int64_t step = 0; step < c.at("rates").numel(); ++step) rates.push_back(schedule(step));
    figures.note(c, "rates", DType::f64,
                 recorded_error(from_vector(rates, c.at("rates").shape()), c.at("rates")), 1e-12);
  }
}
