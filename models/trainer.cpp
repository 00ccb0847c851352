#include <tenet/core/autograd.h>
#include <tenet/core/generator.h>
#include <tenet/core/memory.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/config_json.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/source_tree.h>
#include <tenet/models/trainer.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numbers>

namespace tenet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t quick_evaluation_bytes = 65536;

ByteText read_text(const TrainOptions& options) {
  return options.text.empty() ? read_source_tree(source_tree_root()) : read_byte_text(options.text);
}

}  // namespace

namespace detail {

Run::Run(TrainOptions options, std::FILE* log)
    : options_(prepare(std::move(options))), text_(read_text(options_)), progress_(log) {
  check_sequence_length(text_, options_.length);
  check(options_.length <= options_.config.max_position_embeddings,
        "train: length {} exceeds the model's {} positions", options_.length,
        options_.config.max_position_embeddings);
  folder_.prepare();
  if (options_.resume) {
    load();
  } else {
    check(folder_.missing().size() == checkpoint_files().size(),
          "train: \"{}\" already holds a checkpoint; pass --resume to go on, or give another --out",
          options_.out);
    model_ = std::make_unique<Reformer>(options_.config);
    model_->to(options_.device);
    optimizer_ = make_optimizer(options_, *model_);
  }
  model_->set_reversible(options_.reversible);
  graph_ = WorkGraph(options_.device);
  metrics_ = std::make_unique<MetricsLog>(options_.out + "/metrics.jsonl", step_);
  announce();
}

TrainOptions Run::prepare(TrainOptions options) {
  check(!options.out.empty(), "train: no output folder; pass --out");
  folder_ = AtomicFolder(options.out, checkpoint_files());
  if (options.resume) options = resumed_options(options, folder_);
  check_options(options);
  if (options.schedule.empty()) options.schedule = options.steps > 0 ? "cosine" : "inverse_sqrt";
  learning_rate_at(options, 0);  // a schedule that cannot be is an error before the first step
  if (options.evaluate_every == 0) {
    options.evaluate_every = options.steps > 0 ? std::max<int64_t>(options.steps / 10, 1) : 200;
  }
  if (options.save_every == 0) options.save_every = options.evaluate_every;
  return options;
}

void Run::load() {
  model_ = load_model(options_.out);
  model_->to(options_.device);
  optimizer_ = make_optimizer(options_, *model_);
  const std::string path = folder_.path("state.json");
  const nlohmann::json state = read_json_object(path);
  const auto count = [&](const char* key) { return get_state<int64_t>(state, key, path, 0); };
  check(get_state<uint64_t>(state, "text_fingerprint", path, 0) == fingerprint(text_.all),
        "train: {} is not the text that {} was trained on", text_.name, options_.out);
  optimizer_->load_state(load_optimizer_state(folder_));
  step_ = noted_step_ = logged_step_ = count("step");
  tokens_seen_ = count("tokens_seen");
  seconds_ = get_state<double>(state, "seconds", path, 0);
  smoothed_ = get_state<double>(state, "smoothed_bits", path, 0);
  guard_.restore(count("skipped_steps"), count("skipped_in_a_row"));
  if (options_.dtype == "f16") {
    scaler_.restore(get_state<double>(state, "loss_scale", path, 0), count("loss_scale_steps"));
  }
}

std::string Run::remedy() const {
  return folder_.complete()
             ? fmt::format("lower --lr; the last checkpoint in \"{}\" stays valid", options_.out)
             : "lower --lr";
}

void Run::check_weights() const {
  for (const auto& [name, weight] : model_->named_parameters()) {
    const std::vector<float> values = weight.to_vector<float>();
    check(std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }),
          "train: {} is not finite after step {}; not saved; {}", name, step_, remedy());
  }
}

void Run::save() {
  guard_.settle();
  check_weights();
  save_checkpoint(options_.out, *model_, optimizer_->state(), state_json());
  saved_step_ = step_;
}

void Run::announce() {
  progress_.message(
      fmt::format("{}: {} bytes to train on, {} held out; {} parameters in {} layers{}", text_.name,
                  with_commas(std::ssize(text_.train)), with_commas(std::ssize(text_.valid)),
                  with_commas(model_->parameter_count()), options_.config.layers(),
                  step_ > 0 ? fmt::format("; going on from step {}", with_commas(step_)) : ""));
}

Tensor Run::step_loss() {
  const BatchOptions batch{options_.batch, options_.length, model_->config().byte_offset};
  const TokenTensors tensors =
      to_tensors(training_batch(text_.train, batch, options_.seed, step_), options_.device);
  default_generator() = Generator(options_.seed, static_cast<uint64_t>(step_) + 1);
  const Autocast scope(autocast_of(options_.dtype));
  try {
    return model_->loss(tensors.input, tensors.target);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) {
    fail("{}, at step {}; {}", error.what(), step_, remedy());
  }
}

/// One step. Everything random in it is a function of (seed, step).
void Run::take_step() {
  // f16: the scale of the next step needs to know how this one ended.
  if (options_.device.is_cpu() || options_.dtype == "f16") {
    take_step_and_wait();
  } else {
    take_step_ahead();
  }
  ++step_;
  tokens_seen_ += options_.batch * options_.length;
}

void Run::take_step_and_wait() {
  const Tensor loss = step_loss();
  note_loss(loss.item<double>());
  const bool scales = options_.dtype == "f16";
  backward(scales ? scaler_.scaled(loss) : loss);
  if (scales) scaler_.unscale(optimizer_->parameters());
  optimizer_->set_learning_rate(learning_rate_at(options_, step_));
  const bool finite = std::isfinite(guard_.step(*optimizer_, options_.clip));
  if (scales) scaler_.update(finite);
  optimizer_->clear_grad();
}

/// The program reads loss and norm of the step before while this one runs on the GPU.
void Run::take_step_ahead() {
  LateRead late;
  const auto work = [&] {
    const Tensor loss = step_loss();
    late = LateRead(loss);
    backward(loss);
    optimizer_->set_learning_rate(learning_rate_at(options_, step_));
    guard_.step_later(*optimizer_, options_.clip);
    optimizer_->clear_grad();
  };
  if (options_.graph) {
    graph_.run(work);
  } else {
    work();
  }
  settle();
  late_loss_ = std::move(late);
}

void Run::settle() {
  if (!late_loss_.defined()) return;
  LateRead late = std::move(late_loss_);
  late_loss_ = LateRead();
  try {
    note_loss(late.value());
  } catch (const Error& error) {
    fail("{}, at step {}; {}", error.what(), noted_step_, remedy());
  }
}

void Run::catch_up() {
  if (!late_loss_.defined()) return;
  log_metrics({});
  settle();
}

void Run::note_loss(double loss) {
  loss_ = loss;
  check(std::isfinite(loss_), "train: the loss is {} at step {}; {}", loss_, noted_step_, remedy());
  const double bits = loss_ / std::numbers::ln2;
  smoothed_ = noted_step_ == 0 ? bits : 0.98 * smoothed_ + 0.02 * bits;
  ++noted_step_;
}

void Run::report(double step_seconds) {
  const double rate = static_cast<double>(options_.batch * options_.length) / step_seconds;
  rate_ = rate_ == 0 ? rate : 0.9 * rate_ + 0.1 * rate;
  const memory::Stats memory = memory::stats(options_.device);
  Progress line{.step = step_,
                .loss = loss_,
                .bits_per_byte = smoothed_,
                .tokens_per_second = rate_,
                .live_bytes = memory.live,
                .peak_bytes = memory.peak};
  if (options_.steps > 0) {
    line.steps = options_.steps;
    line.seconds_left = static_cast<double>(options_.steps - step_) *
                        static_cast<double>(options_.batch * options_.length) / rate_;
  } else {
    line.seconds_left = std::max(0.0, options_.minutes * 60 - elapsed());
  }
  progress_.update(line);
}

void Run::log_metrics(std::optional<double> valid_bits) {
  if (logged_step_ == noted_step_) return;
  logged_step_ = noted_step_;
  const memory::Stats memory = memory::stats(options_.device);
  metrics_->append({.step = noted_step_,
                    .loss = loss_,
                    .bits_per_byte = loss_ / std::numbers::ln2,
                    .tokens_per_second = rate_,
                    .live_bytes = memory.live,
                    .peak_bytes = memory.peak,
                    .valid_bits_per_byte = valid_bits});
}

double Run::evaluate_part(int64_t most_bytes) {
  const auto bytes =
      text_.valid.first(std::min<size_t>(text_.valid.size(), static_cast<size_t>(most_bytes)));
  const Autocast scope(autocast_of(options_.dtype));
  return evaluate(*model_, bytes, options_.length).bits_per_byte;
}

bool Run::done(const std::atomic<bool>& stop) const {
  if (stop) return true;
  if (options_.steps > 0) return step_ >= options_.steps;
  return elapsed() >= options_.minutes * 60;
}

/// Evaluation, metrics and checkpoint after a step that is not the last.
void Run::record_step() {
  std::optional<double> valid;
  const bool evaluates = step_ % options_.evaluate_every == 0;
  const bool saves = step_ % options_.save_every == 0;
  if (evaluates || saves) catch_up();
  if (evaluates) {
    valid = evaluate_part(quick_evaluation_bytes);
    progress_.message(
        fmt::format("step {}  held out: {:.4f} bits/byte", with_commas(step_), *valid));
  }
  log_metrics(valid);
  if (saves) save();
}

TrainResult Run::go(const std::atomic<bool>& stop) {
  model_->train();
  bool ends = done(stop);
  stepped_ = !ends;
  while (!ends) {
    const Clock::time_point start = Clock::now();
    take_step();
    const double step_seconds = std::chrono::duration<double>(Clock::now() - start).count();
    seconds_ += step_seconds;
    report(step_seconds);
    ends = done(stop);
    if (!ends) record_step();
  }
  return finish(stop);
}

std::optional<double> Run::final_evaluation(const std::atomic<bool>& stop) {
  struct Stopped {};
  const auto go_on = [&](double) {
    if (stop) throw Stopped();
  };
  if (stop) return {};
  const Autocast scope(autocast_of(options_.dtype));
  try {
    return evaluate(*model_, text_.valid, options_.length, 1, go_on).bits_per_byte;
  } catch (const Stopped&) {
    return {};
  }
}

TrainResult Run::finish(const std::atomic<bool>& stop) {
  catch_up();
  if (saved_step_ != step_) save();
  progress_.finish();
  const std::optional<double> valid = final_evaluation(stop);
  const TrainResult result{.step = step_,
                           .tokens_seen = tokens_seen_,
                           .skipped_steps = guard_.skipped(),
                           .bits_per_byte = smoothed_,
                           .valid_bits_per_byte = valid.value_or(0),
                           .interrupted = !valid};
  if (stepped_) log_metrics(valid);
  if (result.interrupted) {
    progress_.message(
        fmt::format("stopped at step {} and saved; go on with: reformer train --out {} --resume{}",
                    with_commas(step_), options_.out, options_.steps > 0 ? "" : " --minutes N"));
  } else {
    progress_.message(fmt::format(
        "done: {} steps, {} tokens seen, {} skipped; held out: {:.4f} bits/byte over {} bytes",
        with_commas(step_), with_commas(tokens_seen_), result.skipped_steps,
        result.valid_bits_per_byte, with_commas(std::ssize(text_.valid) - 1)));
  }
  draw_curve(options_.out);
  return result;
}

}  // namespace detail

TrainResult train(TrainOptions options, const std::atomic<bool>& stop, std::FILE* log) {
  return detail::Run(std::move(options), log).go(stop);
}

}  // namespace tenet
