/// Texts and options that train() refuses.
#include <tenet/models/trainer.h>

#include <cmath>
#include <filesystem>

#include "byte_model.h"

using namespace tenet;
using namespace tenet::test;

namespace fs = std::filesystem;

TEST_CASE("texts that cannot be trained on") {
  const ScratchFolder folder;
  folder.write("short.txt", "too short for one sequence");
  folder.write("empty.txt", "");
  fs::create_directory(folder / "folder");
  const auto error = [&](const std::string& name) {
    TrainOptions options = short_run(folder, 2);
    options.text = folder / name;
    return error_of([&] { run(options); });
  };
  CHECK(error("none.txt") == "text: \"" + folder / "none.txt" + "\" does not exist");
  CHECK(error("empty.txt") == "text: \"" + folder / "empty.txt" + "\" is empty");
  CHECK(error("folder") == "text: \"" + folder / "folder" + "\" is a directory; give a file");
  CHECK(error("short.txt") ==
        "text: the training part of \"" + folder / "short.txt" +
            "\" has 25 bytes, fewer than a sequence of 32 and the byte after it; "
            "give more text or a shorter length");
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("options that cannot be") {
  const ScratchFolder folder;
  folder.write("text.txt", some_text());
  const TrainOptions good = short_run(folder, 2);
  const auto error = [&](auto&& change) {
    TrainOptions options = good;
    change(options);
    return error_of([&] { run(options); });
  };
  CHECK(error([&](TrainOptions& o) { o.out = folder / "text.txt"; }) ==
        "save: \"" + folder / "text.txt" + "\" is not a folder; give a folder");
  CHECK(error([](TrainOptions& o) { o.out = "/proc/tenet"; }) ==
        "save: cannot create \"/proc/tenet\": No such file or directory");
  CHECK(error([](TrainOptions& o) { o.out = ""; }) == "train: no output folder; pass --out");
  CHECK(error([](TrainOptions& o) { o.steps = 0; }) == "train: neither steps nor minutes given");
  CHECK(error([](TrainOptions& o) { o.batch = 0; }) ==
        "train: batch 0 and length 32 must be at least 1");
  CHECK(error([](TrainOptions& o) { o.batch = int64_t{1} << 36; }) ==
        "train: --batch 68719476736 of --length 32 is more than 1,099,511,627,776 bytes a step; "
        "give less");
  CHECK(error([](TrainOptions& o) { o.learning_rate = NAN; }) ==
        "train: --lr is nan; it must be finite and at least 0");
  CHECK(error([](TrainOptions& o) { o.clip = NAN; }) ==
        "train: --clip is nan; it must be at least 0, which is no limit");
  CHECK(error([](TrainOptions& o) { o.warmup = -1; }) ==
        "train: --warmup is -1; it must be at least 0");
  CHECK(error([](TrainOptions& o) { o.evaluate_every = -1; }) ==
        "train: --evaluate-every is -1; it must be at least 0");
  CHECK(error([](TrainOptions& o) { o.save_every = -1; }) ==
        "train: --save-every is -1; it must be at least 0");
  CHECK(error([](TrainOptions& o) { o.config.is_decoder = false; }) ==
        "train: \"is_decoder\" is false, so the model sees the bytes that it predicts; set "
        "\"is_decoder\" to true in config.json");
  CHECK(error([](TrainOptions& o) { o.length = 33; }) ==
        "train: length 33 exceeds the model's 32 positions");
  CHECK(error([](TrainOptions& o) { o.optimizer = "lion"; }) ==
        "train: optimizer \"lion\"; use adam, adamw, adafactor or sgd");
  CHECK(error([](TrainOptions& o) { o.schedule = "linear"; }) ==
        "train: schedule \"linear\"; use constant, inverse_sqrt, or cosine with a number of steps");
}
