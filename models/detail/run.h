/// One training run: what train() keeps between steps.
#pragma once

#include <tenet/core/late_read.h>
#include <tenet/core/work_graph.h>
#include <tenet/models/atomic_file.h>
#include <tenet/models/metrics.h>
#include <tenet/models/progress.h>
#include <tenet/models/text_model.h>
#include <tenet/models/trainer.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/loss_scaler.h>
#include <tenet/optim/optimizer.h>

#include <chrono>
#include <memory>
#include <optional>

namespace tenet::detail {

class Run {
 public:
  Run(TrainOptions options, std::FILE* log);
  TrainResult go(const std::atomic<bool>& stop);

 private:
  TrainOptions prepare(TrainOptions options);
  void load();
  void save();
  std::string state_json() const;
  void announce();
  /// Error: the checkpoint has a weight that is not finite.
  void check_weights() const;
  Tensor step_loss();
  void take_step();
  void take_step_and_wait();
  void take_step_ahead();
  /// Waits for the loss of the latest step, if it is still on its way.
  void settle();
  void note_loss(double loss);
  /// Writes the metrics of the steps whose loss is known, and waits for that of the latest.
  void catch_up();
  void report(double step_seconds);
  void log_metrics(std::optional<double> valid_bits);
  double evaluate_part(int64_t most_bytes);
  bool done(const std::atomic<bool>& stop) const;
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void record_step();
  /// Bits per byte of the whole held-out part; nothing if `stop` is or gets set.
  std::optional<double> final_evaluation(const std::atomic<bool>& stop);
  TrainResult finish(const std::atomic<bool>& stop);
  std::string remedy() const;

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  AtomicFolder folder_{"", {}};
  TrainOptions options_;
  ByteText text_;
  ProgressPrinter progress_;
  std::unique_ptr<Reformer> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  optim::StepGuard guard_;
  optim::LossScaler scaler_;  // of f16
  std::unique_ptr<MetricsLog> metrics_;
  bool stepped_ = false;  // since this call began
  WorkGraph graph_{Device::cpu()};
  LateRead late_loss_;  // of step_, or nothing
  int64_t step_ = 0, tokens_seen_ = 0, saved_step_ = -1;
  int64_t noted_step_ = 0, logged_step_ = 0;  // whose loss is known; whose metrics are written
  double loss_ = 0, smoothed_ = 0, rate_ = 0, seconds_ = 0;
};

/// Error: a configuration that is no byte model's, or an option out of range, by its flag.
void check_options(const TrainOptions& options);
/// What Autocast is to take f32 products in; empty for f32. Error: another type.
std::optional<DType> autocast_of(const std::string& dtype, const char* command = "train");
std::unique_ptr<optim::Optimizer> make_optimizer(const TrainOptions& options, Reformer& model);
double learning_rate_at(const TrainOptions& options, int64_t step);
/// The options of the run that wrote the checkpoint, with the present call's folder, length of run
/// and text.
TrainOptions resumed_options(const TrainOptions& given, const AtomicFolder& folder);
std::map<std::string, Tensor> load_optimizer_state(const AtomicFolder& folder);
/// Draws metrics.jsonl as loss.svg and loss.png.
void draw_curve(const std::string& folder);

}  // namespace tenet::detail
