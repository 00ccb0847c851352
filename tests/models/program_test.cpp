/// The program `reformer`, run as a user runs it.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <tenet/models/checkpoint.h>
#include <tenet/models/metrics.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// A running program whose output goes to a file.
class Program {
 public:
  Program(std::vector<std::string> arguments, std::string output) : output_(std::move(output)) {
    arguments.insert(arguments.begin(), TENET_REFORMER_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    process_ = ::fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      const int file = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(file, 1);
      ::dup2(file, 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      wait();
    }
  }

  void interrupt() const { ::kill(process_, SIGINT); }
  bool ended() {
    if (process_ > 0 && ::waitpid(process_, &status_, WNOHANG) == process_) process_ = 0;
    return process_ == 0;
  }
  /// The exit code; negative if a signal ended it.
  int wait() {
    if (process_ > 0) ::waitpid(process_, &status_, 0);
    process_ = 0;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  }
  std::string output() const { return contents(output_); }

 private:
  std::string output_;
  pid_t process_ = 0;
  int status_ = 0;
};

struct Outcome {
  int code;
  std::string output;
};

Outcome reformer(const std::vector<std::string>& arguments) {
  const ScratchFolder folder;
  Program program(arguments, folder / "output.txt");
  const int code = program.wait();
  return {code, program.output()};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> training(const ScratchFolder& folder, const std::string& steps) {
  return {"train",     "--text",       folder / "text.txt",
          "--out",     folder / "out", "--steps",
          steps,       "--layers",     "2",
          "--d-model", "16",           "--heads",
          "2",         "--d-ff",       "32",
          "--length",  "64",           "--chunk",
          "16",        "--dropout",    "0.1"};
}

}  // namespace

TEST_CASE("help and versions") {
  const Outcome all = reformer({"--help"});
  CHECK(all.code == 0);
  for (const std::string name : {"train", "eval", "generate", "info"}) {
    CHECK(contains(all.output, name));
    const Outcome help = reformer({name, "--help"});
    CHECK(help.code == 0);
    CHECK(contains(help.output, name == "train" ? "--out" : "--model"));
  }
  CHECK(reformer({"--version"}).output.starts_with("reformer "));
}

TEST_CASE("mistakes on the command line") {
  CHECK(reformer({}).code != 0);
  CHECK(reformer({"trian"}).code != 0);
  const Outcome unknown = reformer({"train", "--out", "x", "--stepz", "3"});
  CHECK(unknown.code != 0);
  CHECK(contains(unknown.output, "--stepz"));
  CHECK(contains(reformer({"train"}).output, "--out is required"));
  CHECK(reformer({"train", "--out", "x", "--steps", "3", "--minutes", "1"}).code != 0);
  CHECK(reformer({"train", "--out", "x", "--residual", "fixed"}).code != 0);
  const Outcome none = reformer({"info", "--model", "/nowhere"});
  CHECK(none.code == 1);
  CHECK(none.output == "reformer: load: /nowhere is no folder; give a checkpoint folder\n");
}

TEST_CASE("devices on the command line") {
  for (const char* command : {"train", "eval", "generate", "score"}) {
    CHECK(contains(reformer({command, "--device", "gpu"}).output,
                   "device: \"gpu\" is none of cpu, cuda and cuda:N"));
  }
  const Outcome none = reformer({"bench", "step", "--device", "cuda:63"});
  CHECK(none.code == 1);
  CHECK(none.output.starts_with("reformer: "));
  CHECK(contains(none.output, "cuda"));
}

TEST_CASE("values out of range on the command line") {
  const auto error = [](const std::string& flag, const std::string& value) {
    const Outcome outcome = reformer({"train", "--out", "/nowhere/out", flag, value});
    CHECK(outcome.code == 1);
    return outcome.output;
  };
  CHECK(error("--steps", "0") == "reformer: train: --steps is 0; it must be at least 1\n");
  CHECK(error("--minutes", "nan") ==
        "reformer: train: --minutes is nan; it must be finite and above 0\n");
  CHECK(error("--layers", "1000000000") ==
        "reformer: train: --layers is 1000000000; it must be in 1..100000\n");
  CHECK(error("--length", "9000000000000000000") ==
        "reformer: train: --length is 9000000000000000000; it must be in 1..1099511627776\n");
  const Outcome resumed =
      reformer({"train", "--out", "/nowhere/out", "--resume", "--steps", "3", "--lr", "1"});
  CHECK(resumed.code == 1);
  CHECK(resumed.output == "reformer: train: --lr cannot change on --resume; leave it out\n");
}

TEST_CASE("--seed reaches the weights of a --config") {
  const ScratchFolder folder;
  folder.write("text.txt", some_text());
  folder.write("config.json", byte_config(64).to_json());
  const Outcome outcome =
      reformer({"train", "--text", folder / "text.txt", "--out", folder / "out", "--config",
                folder / "config.json", "--length", "64", "--steps", "1", "--seed", "11"});
  CHECK_MESSAGE(outcome.code == 0, outcome.output);
  CHECK(load_model(folder / "out")->config().seed == 11);
}

TEST_CASE("train, eval, generate, info") {
  const ScratchFolder folder;
  folder.write("text.txt", some_text());
  const Outcome trained = reformer(training(folder, "4"));
  CHECK_MESSAGE(trained.code == 0, trained.output);
  CHECK(contains(trained.output, "done: 4 steps"));
  const Outcome scored =
      reformer({"eval", "--model", folder / "out", "--text", folder / "text.txt"});
  CHECK(scored.code == 0);
  CHECK(contains(scored.output, "bits/byte over "));
  const std::vector<std::string> generate{"generate", "--model", folder / "out", "--prompt", "line",
                                          "--tokens", "8",       "--seed",       "3"};
  const Outcome sample = reformer(generate);
  CHECK(sample.code == 0);
  CHECK(sample.output.starts_with("line"));
  CHECK(sample.output.size() == 4 + 8 + 1);
  CHECK(reformer(generate).output == sample.output);
  const Outcome rest = reformer({"generate", "--model", folder / "out", "--prompt", "line"});
  CHECK(rest.code == 0);
  CHECK(rest.output.size() == 64 + 1);
  const Outcome wrong =
      reformer({"generate", "--model", folder / "out", "--prompt", "line", "--temperature", "nan"});
  CHECK(wrong.output == "reformer: generate: temperature nan is not a number\n");
  const Outcome empty = reformer({"generate", "--model", folder / "out", "--prompt", ""});
  CHECK(empty.code != 0);
  const Outcome info = reformer({"info", "--model", folder / "out"});
  CHECK(info.code == 0);
  CHECK(contains(info.output, "causal      yes"));
  CHECK(contains(info.output, "query_key"));
  CHECK(
      contains(info.output,
               "elsewhere   transformers computes another model; it lacks: preset windowed, exact "
               "residual, evaluation in 4 rounds\n"));
  CHECK(contains(info.output, "ignored     transformers does not read tenet."));
  CHECK(contains(info.output, "Memory of a training step"));
}

TEST_CASE("score --text writes a JSON object a byte, and the mean") {
  const ScratchFolder folder;
  Reformer model(byte_config());
  save_checkpoint(folder / "model", model, {}, "{}");
  const auto score = [&](const std::string& text, std::vector<std::string> more = {}) {
    if (!text.empty()) folder.write("text.txt", text);
    more.insert(more.begin(), {"score", "--model", folder / "model", "--text",
                               folder / (text.empty() ? "none.txt" : "text.txt")});
    return reformer(more);
  };
  const Outcome all = score(some_text().substr(0, 70));
  CHECK_MESSAGE(all.code == 0, all.output);
  std::vector<nlohmann::json> lines;
  std::istringstream stream(all.output);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  REQUIRE(lines.size() == 71);
  CHECK(lines[0] == nlohmann::json::parse(R"({"position": 0, "byte": 108, "bits": null})"));
  double sum = 0;
  for (size_t i = 1; i < 70; ++i) {
    CHECK(lines[i]["position"] == i);
    CHECK(lines[i]["byte"] == static_cast<int>(some_text()[i]));
    sum += lines[i]["bits"].get<double>();
  }
  CHECK(lines[70]["scored"] == 69);
  CHECK(lines[70]["bits_per_byte"].get<double>() == doctest::Approx(sum / 69).epsilon(1e-6));
  CHECK(score("x").output ==
        "{\"position\": 0, \"byte\": 120, \"bits\": null}\n"
        "{\"scored\": 0, \"bits_per_byte\": null}\n");
  CHECK(score("text", {"--dtype", "f64", "--length", "2", "--overlap", "1"}).code == 0);
  CHECK(score("").output == "reformer: text: \"" + folder / "none.txt" + "\" does not exist\n");
  folder.write("empty.txt", "");
  CHECK(reformer({"score", "--model", folder / "model", "--text", folder / "empty.txt"}).output ==
        "reformer: text: \"" + folder / "empty.txt" + "\" is empty\n");
  CHECK(reformer({"score", "--model", folder / "model"}).output ==
        "reformer: score: give --io and --out, or --text\n");
  CHECK(score("text", {"--grad"}).code != 0);
}

TEST_CASE("bench prints one JSON object") {
  const std::vector<std::string> sizes{"--layers", "2",  "--d-model", "32", "--heads", "2",
                                       "--d-ff",   "64", "--hashes",  "1",  "--chunk", "16"};
  const auto bench = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "bench");
    arguments.insert(arguments.end(), sizes.begin(), sizes.end());
    return reformer(arguments);
  };
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  const std::vector<std::string> step{"step", "--length", "64", "--steps", "1"};
  std::vector<std::string> short_form = step;
  short_form.insert(short_form.end(), {"--json", "--reversible", "off"});
  const Outcome quiet = bench(short_form);
  CHECK_MESSAGE(quiet.code == 0, quiet.output);
  CHECK(lines(quiet.output) == 1);
  const auto json = nlohmann::json::parse(quiet.output);
  CHECK(json["d_model"] == 32);
  CHECK(json["reversible"] == "off");
  CHECK(json["releases"] == 0);
  for (const char* key : {"tokens_per_second", "step_seconds", "peak_bytes", "peak_rss_bytes"}) {
    CAPTURE(key);
    CHECK(json[key].get<double>() > 0);
  }
  const Outcome loud = bench(step);
  CHECK(loud.code == 0);
  CHECK(loud.output.starts_with("step "));
  CHECK(contains(loud.output, "\n{\"layers\":2,"));
  const Outcome once = bench({"step", "--length", "64", "--steps", "0", "--json"});
  CHECK_MESSAGE(once.code == 0, once.output);
  CHECK(nlohmann::json::parse(once.output)["all_step_seconds"].size() == 1);
  const Outcome drawn = bench({"generate", "--context", "8", "--tokens", "3"});
  CHECK_MESSAGE(drawn.code == 0, drawn.output);
  CHECK(lines(drawn.output) == 1);
  CHECK(nlohmann::json::parse(drawn.output)["tokens_per_second"].get<double>() > 0);
}

TEST_CASE("mistakes in bench") {
  CHECK(reformer({"bench"}).code != 0);
  const auto output = [](std::vector<std::string> arguments) {
    const Outcome outcome = reformer(arguments);
    CHECK(outcome.code != 0);
    return outcome.output;
  };
  CHECK(contains(output({"bench", "step", "--stepz", "3"}), "--stepz"));
  CHECK(contains(output({"bench", "step", "--steps", "-1"}), "--steps"));
  CHECK(contains(output({"bench", "step", "--dtype", "f64"}), "--dtype"));
  CHECK(contains(output({"bench", "step", "--reversible", "maybe"}), "--reversible"));
  CHECK(contains(output({"bench", "generate", "--tokens", "1"}), "--tokens"));
  const Outcome heads = reformer({"bench", "step", "--heads", "3", "--d-model", "32"});
  CHECK(heads.code == 1);
  CHECK(heads.output == "reformer: config: 3 heads do not divide a width of 32\n");
  for (const char* size : {"--length", "--batch", "--layers"}) {
    const Outcome vast = reformer({"bench", "step", size, "9223372036854775807"});
    CHECK(vast.code == 1);
    CHECK(contains(vast.output, "bench: " + std::string(size + 2) + " is 9223372036854775807"));
  }
}

TEST_CASE("output that a full disk does not take is an error") {
  Program bench({"bench", "step", "--layers", "1", "--d-model", "32", "--heads", "2", "--length",
                 "16", "--chunk", "16", "--steps", "0", "--json"},
                "/dev/full");
  CHECK(bench.wait() == 1);
}

TEST_CASE("a misspelt key in --config is refused") {
  const ScratchFolder folder;
  folder.write("text.txt", some_text());
  folder.write("config.json", R"({"num_hashs": 2})");
  const Outcome outcome = reformer({"train", "--text", folder / "text.txt", "--out", folder / "out",
                                    "--config", folder / "config.json"});
  CHECK(outcome.code == 1);
  CHECK(outcome.output ==
        "reformer: config: unknown key \"num_hashs\"; did you mean \"num_hashes\"\n");
}

TEST_CASE("Ctrl-C saves, says how to go on, and going on reaches the end") {
  const ScratchFolder folder;
  folder.write("text.txt", some_text());
  Program program(training(folder, "1000000"), folder / "output.txt");
  while (!program.ended() && read_metrics(folder / "out/metrics.jsonl").size() < 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE_MESSAGE(!program.ended(), program.output());
  program.interrupt();
  CHECK(program.wait() == 130);
  CHECK_MESSAGE(contains(program.output(), "and saved; go on with: reformer train --out " +
                                               folder / "out" + " --resume"),
                program.output());
  CHECK(load_model(folder / "out")->config().layers() == 2);
  const auto steps = static_cast<int64_t>(read_metrics(folder / "out/metrics.jsonl").size());
  const Outcome resumed = reformer(
      {"train", "--out", folder / "out", "--resume", "--steps", std::to_string(steps + 2)});
  CHECK_MESSAGE(resumed.code == 0, resumed.output);
  CHECK(contains(resumed.output, "going on from step "));
  CHECK(std::ssize(read_metrics(folder / "out/metrics.jsonl")) == steps + 2);
}
