/// What a training run's options may be, and what is made of them.
#include <tenet/models/detail/run.h>
#include <tenet/optim/adafactor.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/schedule.h>
#include <tenet/optim/sgd.h>

#include <cmath>

namespace tenet::detail {

void check_options(const TrainOptions& o) {
  check_byte_model(o.config, "train");
  check(o.steps > 0 || o.minutes > 0, "train: neither steps nor minutes given");
  check(o.batch >= 1 && o.length >= 1, "train: batch {} and length {} must be at least 1", o.batch,
        o.length);
  check(o.batch <= most_step_tokens / o.length,
        "train: --batch {} of --length {} is more than {} bytes a step; give less", o.batch,
        o.length, with_commas(most_step_tokens));
  check(std::isfinite(o.learning_rate) && o.learning_rate >= 0,
        "train: --lr is {}; it must be finite and at least 0", o.learning_rate);
  autocast_of(o.dtype);
  check(o.clip >= 0, "train: --clip is {}; it must be at least 0, which is no limit", o.clip);
  for (const auto& [flag, value] :
       {std::pair("--warmup", o.warmup), std::pair("--evaluate-every", o.evaluate_every),
        std::pair("--save-every", o.save_every)}) {
    check(value >= 0, "train: {} is {}; it must be at least 0", flag, value);
  }
}

std::optional<DType> autocast_of(const std::string& dtype, const char* command) {
  if (dtype == "bf16") return DType::bf16;
  if (dtype == "f16") return DType::f16;
  check(dtype == "f32", "{}: dtype \"{}\"; use f32, bf16 or f16", command, dtype);
  return {};
}

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainOptions& options, Reformer& model) {
  const double rate = options.learning_rate;
  if (options.optimizer == "adafactor") {
    return std::make_unique<optim::Adafactor>(model.named_parameters(),
                                              optim::AdafactorOptions{.learning_rate = rate});
  }
  if (options.optimizer == "adamw") {
    return std::make_unique<optim::AdamW>(
        model.named_parameters(), optim::AdamWOptions{.learning_rate = rate, .beta2 = 0.98});
  }
  if (options.optimizer == "sgd") {
    return std::make_unique<optim::Sgd>(model.named_parameters(),
                                        optim::SgdOptions{.learning_rate = rate});
  }
  check(options.optimizer == "adam", "train: optimizer \"{}\"; use adam, adamw, adafactor or sgd",
        options.optimizer);
  return std::make_unique<optim::Adam>(model.named_parameters(),
                                       optim::AdamOptions{.learning_rate = rate, .beta2 = 0.98});
}

double learning_rate_at(const TrainOptions& options, int64_t step) {
  if (options.schedule == "constant") {
    return optim::warmup(options.learning_rate, options.warmup, step);
  }
  if (options.schedule == "inverse_sqrt") {
    return optim::inverse_sqrt(options.learning_rate, options.warmup, step);
  }
  check(options.schedule != "cosine" || options.steps > 0,
        "train: schedule cosine needs --steps; with --minutes add --schedule inverse_sqrt");
  check(options.schedule == "cosine",
        "train: schedule \"{}\"; use constant, inverse_sqrt, or cosine with a number of steps",
        options.schedule);
  return optim::cosine(options.learning_rate, options.warmup, options.steps, step);
}

}  // namespace tenet::detail
