#include <signal.h>
#include <stand_in_gpu.h>
#include <sys/resource.h>
#include <tenet/core/memory.h>
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/metrics.h>
#include <tenet/models/plot.h>
#include <tenet/models/text_model.h>
#include <tenet/optim/adam.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

namespace fs = std::filesystem;

/// The options with which `out` is gone on with, to `steps` or as far as it was meant to.
TrainOptions going_on(const ScratchFolder& folder, const std::string& out, int64_t steps = 0) {
  return {.config = {},
          .text = folder / "text.txt",
          .out = folder / out,
          .resume = true,
          .steps = steps,
          .device = test_device()};
}

/// Trains until metrics.jsonl has `steps` lines, then stops as Ctrl-C does. Every step saves, so
/// that the loop is slow enough to be stopped on the way.
TrainResult run_and_stop(const TrainOptions& options, int64_t steps) {
  const NullLog log;
  std::atomic<bool> stop{false};
  const std::jthread watcher([&](std::stop_token ended) {
    while (!ended.stop_requested() &&
           std::ssize(read_metrics(options.out + "/metrics.jsonl")) < steps) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stop = true;
  });
  return train(options, stop, log.get());
}

void check_same_files(const ScratchFolder& folder, const std::string& a, const std::string& b) {
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "config.json"}) {
    const std::string bytes = contents(folder / (a + "/" + name));
    CHECK(bytes != "(none)");
    CHECK_MESSAGE(bytes == contents(folder / (b + "/" + name)), name);
  }
}

/// Files larger than `bytes` cannot be written while it lives, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    rlimit small = before_;
    small.rlim_cur = bytes;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_ = {};
  void (*handler_)(int);
};

ScratchFolder& prepared(ScratchFolder& folder) {
  folder.write("text.txt", some_text());
  return folder;
}

}  // namespace

TEST_CASE("training writes a checkpoint, metrics and the loss curve") {
  ScratchFolder folder;
  const TrainResult result = run(short_run(prepared(folder), 12));
  CHECK(result.step == 12);
  CHECK(result.tokens_seen == 12 * 2 * 32);
  CHECK(result.skipped_steps == 0);
  CHECK_FALSE(result.interrupted);
  CHECK(result.valid_bits_per_byte > 1);
  CHECK(result.valid_bits_per_byte < 9);
  for (const std::string& name : checkpoint_files()) CHECK(fs::exists(folder / ("out/" + name)));
  CHECK(fs::exists(folder / "out/loss.svg") == can_plot());
  CHECK(fs::exists(folder / "out/loss.png") == can_plot());

  std::istringstream lines(contents(folder / "out/metrics.jsonl"));
  std::string line;
  int64_t step = 0;
  while (std::getline(lines, line)) {
    const nlohmann::json metrics = nlohmann::json::parse(line);
    CHECK(metrics.at("step") == ++step);
    for (const char* key :
         {"loss", "bits_per_byte", "tokens_per_second", "live_bytes", "peak_bytes"}) {
      CHECK(metrics.at(key).get<double>() > 0);
    }
    CHECK(metrics.at("bits_per_byte").get<double>() ==
          doctest::Approx(metrics.at("loss").get<double>() / std::log(2.0)));
  }
  CHECK(step == 12);
  CHECK(nlohmann::json::parse(contents(folder / "out/state.json")).at("step") == 12);
  CHECK(read_metrics(folder / "out/metrics.jsonl").back().valid_bits_per_byte ==
        result.valid_bits_per_byte);
}

TEST_CASE("training learns") {
  ScratchFolder folder;
  TrainOptions options = short_run(prepared(folder), 60);
  options.learning_rate = 1e-2;
  CHECK(run(options).valid_bits_per_byte < 5);
}

TEST_CASE("a run that was stopped goes on to the same bits") {
  ScratchFolder folder;
  TrainOptions whole = short_run(prepared(folder), 30), stopped = whole;
  whole.out = folder / "whole";
  stopped.save_every = 1;
  run(whole);
  const TrainResult first = run_and_stop(stopped, 3);
  CHECK(first.interrupted);
  CHECK(first.step >= 3);
  REQUIRE(first.step < 30);
  const TrainResult second = run(going_on(folder, "out"));
  CHECK(second.step == 30);
  CHECK(second.tokens_seen == 30 * 2 * 32);
  check_same_files(folder, "whole", "out");
  CHECK(read_metrics(folder / "out/metrics.jsonl").size() == 30);
}

TEST_CASE("going on from the last step changes nothing") {
  ScratchFolder folder;
  run(short_run(prepared(folder), 3));
  const std::string weights = contents(folder / "out/model.safetensors");
  const std::string metrics = contents(folder / "out/metrics.jsonl");
  CHECK(run(going_on(folder, "out")).step == 3);
  CHECK(contents(folder / "out/model.safetensors") == weights);
  CHECK(contents(folder / "out/metrics.jsonl") == metrics);
}

TEST_CASE("every optimizer and schedule trains, and goes on to the same bits") {
  for (const char* optimizer : {"adam", "adamw", "adafactor", "sgd"}) {
    for (const char* schedule : {"constant", "inverse_sqrt"}) {
      ScratchFolder folder;
      TrainOptions options = short_run(prepared(folder), 4);
      options.optimizer = optimizer;
      options.schedule = schedule;
      TrainOptions half = options;
      half.steps = 2;
      options.out = folder / "whole";
      run(options);
      run(half);
      run(going_on(folder, "out", 4));
      CAPTURE(optimizer);
      check_same_files(folder, "whole", "out");
    }
  }
}

TEST_CASE("bf16 and f16 train, and go on to the same bits") {
  for (const char* dtype : {"bf16", "f16"}) {
    CAPTURE(dtype);
    ScratchFolder folder;
    TrainOptions options = short_run(prepared(folder), 60);
    options.dtype = dtype;
    options.learning_rate = 1e-2;
    TrainOptions half = options;
    half.steps = 25, half.schedule = "constant";
    options.out = folder / "whole", options.schedule = "constant";
    const TrainResult whole = run(options);
    CHECK(whole.valid_bits_per_byte < 5);
    CHECK(whole.skipped_steps <= 10);
    run(half);
    const TrainResult gone_on = run(going_on(folder, "out", 60));
    CHECK(gone_on.skipped_steps == whole.skipped_steps);
    check_same_files(folder, "whole", "out");
  }
  ScratchFolder folder;
  TrainOptions options = short_run(prepared(folder), 1);
  options.dtype = "f64";
  CHECK(error_of([&] { run(options); }) == "train: dtype \"f64\"; use f32, bf16 or f16");
}

TEST_CASE("activations kept give the same bits") {
  ScratchFolder folder;
  TrainOptions options = short_run(prepared(folder), 3);
  run(options);
  options.out = folder / "kept";
  options.reversible = false;
  run(options);
  check_same_files(folder, "kept", "out");
}

TEST_CASE("a checkpoint is gone on with on its own text only") {
  ScratchFolder folder;
  run(short_run(prepared(folder), 2));
  folder.write("other.txt", some_text() + "more");
  TrainOptions options = going_on(folder, "out", 4);
  options.text = folder / "other.txt";
  CHECK(error_of([&] { run(options); }) ==
        "train: " + options.text + " is not the text that " + options.out + " was trained on");
  options = going_on(folder, "nothing", 4);
  CHECK(error_of([&] { run(options); }) ==
        "train: " + options.out +
            " holds no checkpoint to resume from; train without --resume first");
}

TEST_CASE("a checkpoint is not trained over") {
  ScratchFolder folder;
  const TrainOptions options = short_run(prepared(folder), 2);
  run(options);
  const std::string weights = contents(folder / "out/model.safetensors");
  const std::string metrics = contents(folder / "out/metrics.jsonl");
  CHECK(error_of([&] { run(options); }) ==
        "train: \"" + options.out +
            "\" already holds a checkpoint; pass --resume to go on, or give another --out");
  CHECK(contents(folder / "out/model.safetensors") == weights);
  CHECK(contents(folder / "out/metrics.jsonl") == metrics);
}

TEST_CASE("an incomplete or damaged checkpoint is not gone on with") {
  ScratchFolder folder;
  run(short_run(prepared(folder), 2));
  const std::string out = folder / "out";
  const auto error = [&] { return error_of([&] { run(going_on(folder, "out", 4)); }); };
  nlohmann::json state = nlohmann::json::parse(contents(out + "/state.json"));
  state.erase("step");
  folder.write("out/state.json", state.dump());
  CHECK(error() == "train: \"" + out + "/state.json\" has no \"step\"; the checkpoint is damaged");
  state.erase("options");
  folder.write("out/state.json", state.dump());
  CHECK(error() ==
        "train: \"" + out + "/state.json\" has no \"options\"; the checkpoint is damaged");
  fs::remove(out + "/optimizer.safetensors");
  CHECK(error() == "train: the checkpoint in \"" + out +
                       "\" is incomplete: optimizer.safetensors is missing; restore it, or train "
                       "into another folder");
}

TEST_CASE("the state holds the whole path of the text") {
  ScratchFolder folder;
  TrainOptions options = short_run(prepared(folder), 2);
  options.text = fs::relative(options.text).string();
  run(options);
  const nlohmann::json state = nlohmann::json::parse(contents(folder / "out/state.json"));
  const fs::path text = state.at("options").at("text").get<std::string>();
  CHECK(text.is_absolute());
  CHECK(fs::equivalent(text, folder / "text.txt"));
}

TEST_CASE("cosine is gone on with for a number of steps only") {
  ScratchFolder folder;
  run(short_run(prepared(folder), 2));
  TrainOptions options = going_on(folder, "out");
  options.minutes = 0.001;
  CHECK(error_of([&] { run(options); }) ==
        "train: schedule cosine needs --steps; with --minutes add --schedule inverse_sqrt");
  options.schedule = "inverse_sqrt";
  CHECK(run(options).step >= 2);
}

TEST_CASE("a rate that is too high ends with the step and the remedy") {
  for (const char* residual : {"exact", "float"}) {
    ScratchFolder folder;
    TrainOptions options = short_run(prepared(folder), 50);
    options.config.residual = residual;
    options.optimizer = "sgd";
    options.learning_rate = 1e38;
    options.warmup = 0;
    options.clip = 0;
    const std::string error = error_of([&] { run(options); });
    CAPTURE(residual);
    CHECK_MESSAGE(error.find("step ") != std::string::npos, error);
    CHECK_MESSAGE(error.find("lower --lr") != std::string::npos, error);
  }
}

TEST_CASE("weights that are not finite are not saved") {
  ScratchFolder folder;
  TrainOptions options = short_run(prepared(folder), 1);
  options.optimizer = "sgd";
  options.schedule = "constant";
  options.learning_rate = 1e308;
  options.warmup = 0;
  options.clip = 0;
  const std::string error = error_of([&] { run(options); });
  CHECK_MESSAGE(error.ends_with(" is not finite after step 1; not saved; lower --lr"), error);
  CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
}

TEST_CASE("a full disk while saving leaves the older checkpoint valid") {
  ScratchFolder folder;
  TrainOptions whole = short_run(prepared(folder), 4);
  whole.schedule = "constant";
  TrainOptions half = whole;
  half.steps = 2;
  whole.out = folder / "whole";
  run(whole);
  run(half);
  const std::string before = contents(folder / "out/model.safetensors");
  std::string error;
  {
    const FullDisk disk(20000);
    error = error_of([&] { run(going_on(folder, "out", 4)); });
  }
  CHECK(error.starts_with("save: cannot write"));
  CHECK_MESSAGE(error.ends_with("File too large; the older checkpoint in \"" + folder / "out" +
                                "\" stays valid"),
                error);
  CHECK(contents(folder / "out/model.safetensors") == before);
  CHECK(load_model(folder / "out")->parameter_count() > 0);
  run(going_on(folder, "out", 4));
  check_same_files(folder, "whole", "out");
}

TEST_CASE("weights that are not finite are an error that names the layer") {
  Reformer model(byte_config());
  const std::string layer = "reformer.encoder.layers.1.feed_forward";
  for (auto& [name, parameter] : model.named_parameters()) {
    if (name == layer + ".output.dense.weight") parameter.mutable_data<float>()[0] = INFINITY;
  }
  model.to(test_device());
  const Tensor tokens = random_tokens({1, 32}, 1);
  model.eval();
  const std::string error = error_of([&] { model.loss(tokens, tokens).item<float>(); });
  // A GPU says so when the loss is read, behind the layer.
  const bool later = !test_device().is_cpu() && !wants_stand_in_gpu();
  const std::string fact = "coupling_add: non-finite value at element 0 of (1, 32, 16)";
  CHECK_MESSAGE(error.starts_with(later ? fact : layer + ": " + fact), error);
}

namespace {

/// Live bytes return to where they were after every step, and what the allocator holds stays from
/// the tenth step on.
void check_memory(int64_t steps) {
  const std::string text = some_text();
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  Reformer model(byte_config());
  model.to(test_device());
  optim::Adam optimizer(model.named_parameters());
  int64_t live = 0, reserved = 0;
  for (int64_t step = 1; step <= steps; ++step) {
    {
      const TokenTensors batch =
          to_tensors(training_batch(bytes, {.rows = 2, .length = 32}, 1, step), test_device());
      backward(model.loss(batch.input, batch.target));
      optimizer.step();
      optimizer.clear_grad();
    }
    const memory::Stats stats = memory::stats(test_device());
    if (step == 1) live = stats.live;
    if (step == 10) reserved = stats.reserved;
    REQUIRE(stats.live == live);
    if (step > 10) REQUIRE(stats.reserved == reserved);
  }
  MESSAGE(steps << " steps: live " << live << " B, reserved " << reserved
                << " B from the tenth step on");
}

}  // namespace

TEST_CASE("memory is level over 200 training steps") { check_memory(200); }

TEST_CASE("memory is level over 1,000 training steps" * doctest::test_suite("slow")) {
  check_memory(1000);
}
