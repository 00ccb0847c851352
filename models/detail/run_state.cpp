/// What of a training run goes into state.json and comes back from it.
#include <tenet/core/safetensors.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/detail/config_json.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/plot.h>

#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>

namespace tenet::detail {
namespace {

/// Calls v(key, member) for every option that a resumed run takes from the checkpoint.
template <class Options, class Visitor>
void visit_options(Options& o, Visitor&& v) {
  v("text", o.text);
  v("steps", o.steps);
  v("batch", o.batch);
  v("length", o.length);
  v("dtype", o.dtype);
  v("optimizer", o.optimizer);
  v("learning_rate", o.learning_rate);
  v("warmup", o.warmup);
  v("schedule", o.schedule);
  v("clip", o.clip);
  v("evaluate_every", o.evaluate_every);
  v("save_every", o.save_every);
  v("reversible", o.reversible);
  v("seed", o.seed);
}

}  // namespace

std::string Run::state_json() const {
  nlohmann::ordered_json state;
  state["format"] = checkpoint_format;
  state["step"] = step_;
  state["tokens_seen"] = tokens_seen_;
  state["seconds"] = seconds_;
  state["smoothed_bits"] = smoothed_;
  state["skipped_steps"] = guard_.skipped();
  state["skipped_in_a_row"] = guard_.skipped_in_a_row();
  if (options_.dtype == "f16") {
    state["loss_scale"] = scaler_.scale();
    state["loss_scale_steps"] = scaler_.good_steps();
  }
  state["text_fingerprint"] = fingerprint(text_.all);
  visit_options(options_,
                [&](const char* key, const auto& value) { state["options"][key] = value; });
  if (!options_.text.empty()) {  // so that --resume finds it from any folder
    state["options"]["text"] = std::filesystem::absolute(options_.text).string();
  }
  return state.dump(2) + "\n";
}

TrainOptions resumed_options(const TrainOptions& given, const AtomicFolder& folder) {
  const std::vector<std::string> missing = folder.missing();
  check(missing.size() < checkpoint_files().size(),
        "train: {} holds no checkpoint to resume from; train without --resume first", given.out);
  check(missing.empty(),
        "train: the checkpoint in \"{}\" is incomplete: {} {} missing; restore {}, or train into "
        "another folder",
        given.out, fmt::join(missing, " and "), missing.size() == 1 ? "is" : "are",
        missing.size() == 1 ? "it" : "them");
  const std::string path = folder.path("state.json");
  const nlohmann::json state = read_json_object(path);
  const auto format = get_or(state, "format", int64_t{0});
  check(format == checkpoint_format, "train: {} has checkpoint format {}, this version reads {}",
        given.out, format, checkpoint_format);
  TrainOptions options = given;
  check(state.contains("options") && state["options"].is_object(),
        "train: \"{}\" has no \"options\"; the checkpoint is damaged", path);
  const nlohmann::json& saved = state["options"];
  visit_options(options,
                [&](const char* key, auto& member) { member = get_or(saved, key, member); });
  if (!given.text.empty()) options.text = given.text;
  if (!given.schedule.empty()) options.schedule = given.schedule;
  if (given.steps > 0) options.steps = given.steps;
  if (given.minutes > 0) options.steps = 0;
  options.minutes = given.minutes;
  options.config = read_reformer_config(folder.path("config.json"));
  return options;
}

std::map<std::string, Tensor> load_optimizer_state(const AtomicFolder& folder) {
  return safetensors::load(folder.path("optimizer.safetensors")).tensors;
}

void draw_curve(const std::string& folder) {
  LossCurve curve{.title = std::filesystem::path(folder).filename().string()};
  for (const Metrics& line : read_metrics(folder + "/metrics.jsonl")) {
    curve.train.push_back({static_cast<double>(line.step), line.bits_per_byte});
    if (line.valid_bits_per_byte) {
      curve.valid.push_back({static_cast<double>(line.step), *line.valid_bits_per_byte});
    }
  }
  write_loss_curve(folder + "/loss.svg", folder + "/loss.png", curve);
}

}  // namespace tenet::detail
