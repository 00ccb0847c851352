#include <doctest/doctest.h>
#include <tenet/core/error.h>
#include <tenet/models/byte_text.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

std::vector<uint8_t> counting_bytes(size_t n) {
  std::vector<uint8_t> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(i);
  return bytes;
}

}  // namespace

TEST_CASE("the last 5 % of a file is held out") {
  const ScratchFolder folder;
  folder.write("a.txt", std::string(1019, 'a') + "b");
  const ByteText text = read_byte_text(folder / "a.txt");
  CHECK(text.all.size() == 1020);
  CHECK(text.train.size() == 969);
  CHECK(text.valid.size() == 51);
  CHECK(text.test.empty());
  CHECK(text.train.data() == text.all.data());
  CHECK(text.valid.data() == text.all.data() + 969);
  CHECK(text.valid.back() == 'b');
}

TEST_CASE("enwik8 is known by its size and split 90, 5 and 5 MB") {
  const ScratchFolder folder;
  folder.write("enwik8", "");
  std::filesystem::resize_file(folder / "enwik8", 100'000'000);  // a hole, no disk space
  const ByteText text = read_byte_text(folder / "enwik8");
  CHECK(text.train.size() == 90'000'000);
  CHECK(text.valid.size() == 5'000'000);
  CHECK(text.test.size() == 5'000'000);
  CHECK(text.test.data() == text.all.data() + 95'000'000);
}

TEST_CASE("the bytes outlive every other handle") {
  const ScratchFolder folder;
  folder.write("a.txt", std::string(100, 'x'));
  auto kept = read_byte_text(folder / "a.txt");
  const ByteText copy = kept;
  kept = {};
  CHECK(std::count(copy.all.begin(), copy.all.end(), 'x') == 100);
}

TEST_CASE("what is wrong with a text is said") {
  const ScratchFolder folder;
  folder.write("empty.txt", "");
  std::filesystem::create_symlink("loop", folder / "loop");
  const auto message = [&](const std::string& name) {
    return error_of([&] { read_byte_text(folder / name); });
  };
  const auto quoted = [&](const std::string& name) { return "\"" + (folder / name) + "\""; };
  CHECK(message("none.txt") == "text: " + quoted("none.txt") + " does not exist");
  CHECK(message("empty.txt") == "text: " + quoted("empty.txt") + " is empty");
  CHECK(error_of([&] { read_byte_text(folder.path()); }) ==
        "text: \"" + folder.path() + "\" is a directory; give a file");
  CHECK(message("loop") ==
        "text: cannot read " + quoted("loop") + ": Too many levels of symbolic links");
  CHECK(error_of([] { read_byte_text("/dev/null"); }) ==
        "text: \"/dev/null\" is not a regular file");
  if (::geteuid() != 0) {
    folder.write("locked.txt", "x");
    std::filesystem::permissions(folder / "locked.txt", std::filesystem::perms::none);
    CHECK(message("locked.txt") ==
          "text: cannot read " + quoted("locked.txt") + ": Permission denied");
  }
}

TEST_CASE("a text shorter than one sequence is an error") {
  const auto bytes = counting_bytes(100);
  ByteText text{
      .name = "a.txt", .all = bytes, .train = {bytes.data(), 64}, .valid = {bytes.data() + 64, 36}};
  CHECK(error_of([&] { check_sequence_length(text, 63); }).empty());
  CHECK(error_of([&] { check_sequence_length(text, 64); }) ==
        "text: the training part of \"a.txt\" has 64 bytes, fewer than a sequence of 64 and the "
        "byte after it; give more text or a shorter length");
  CHECK(error_of([&] { check_sequence_length(text, 0); }) ==
        "text: sequence length 0; it must be at least 1");
  text.valid = text.valid.first(1);
  CHECK(error_of([&] { check_sequence_length(text, 8); }) ==
        "text: the held-out part of \"a.txt\" has 1 bytes, at least 2 are needed; give more text");
  CHECK(error_of([&] { training_batch(text.train, {.rows = 1, .length = 64}, 0, 0); }) ==
        "text: 64 bytes are fewer than a sequence of 64 and the byte after it");
}

TEST_CASE("a training batch is windows of the text and the bytes that follow") {
  const auto bytes = counting_bytes(200);
  const TokenBatch batch = training_batch(bytes, {.rows = 5, .length = 7, .byte_offset = 2}, 3, 11);
  CHECK(batch.rows == 5);
  CHECK(batch.length == 7);
  REQUIRE(batch.input.size() == 35);
  REQUIRE(batch.target.size() == 35);
  for (size_t i = 0; i < 35; ++i) {
    CHECK(batch.target[i] == batch.input[i] + 1);
    CHECK(batch.input[i] >= 2);
    CHECK(batch.target[i] <= 201);
    if (i % 7 != 0) CHECK(batch.input[i] == batch.input[i - 1] + 1);
  }
}

TEST_CASE("a training batch is a function of seed, step and row alone") {
  const auto bytes = counting_bytes(250);
  const BatchOptions options{.rows = 4, .length = 8};
  const auto inputs = [&](uint64_t seed, int64_t step) {
    return training_batch(bytes, options, seed, step).input;
  };
  CHECK(inputs(1, 500) == inputs(1, 500));
  CHECK(inputs(1, 500) != inputs(1, 501));
  CHECK(inputs(1, 500) != inputs(2, 500));
  const auto one_row = training_batch(bytes, {.rows = 1, .length = 8}, 1, 500).input;
  const auto four_rows = inputs(1, 500);
  CHECK(std::equal(one_row.begin(), one_row.end(), four_rows.begin()));
}

TEST_CASE("training windows start anywhere, the last place included") {
  const auto bytes = counting_bytes(20);
  std::set<int64_t> starts;
  for (int64_t step = 0; step < 200; ++step)
    starts.insert(
        training_batch(bytes, {.rows = 1, .length = 15, .byte_offset = 0}, 0, step).input[0]);
  CHECK(starts == std::set<int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("evaluation predicts every byte but the first once") {
  for (const size_t n : {2, 3, 16, 17, 18, 33, 100, 129})
    for (const int64_t length : {1, 5, 16, 200})
      for (const int64_t rows : {1, 3}) {
        CAPTURE(n);
        CAPTURE(length);
        CAPTURE(rows);
        const auto bytes = counting_bytes(n);
        const BatchOptions options{.rows = rows, .length = length, .byte_offset = 0};
        std::vector<int64_t> predicted;
        for (int64_t i = 0; i < evaluation_batch_count(bytes, options); ++i) {
          const TokenBatch batch = evaluation_batch(bytes, options, i);
          CHECK(batch.rows <= rows);
          CHECK(batch.length <= length);
          CHECK(std::ssize(batch.target) == batch.rows * batch.length);
          for (size_t k = 0; k < batch.target.size(); ++k)
            CHECK(batch.input[k] + 1 == batch.target[k]);
          predicted.insert(predicted.end(), batch.target.begin(), batch.target.end());
        }
        CHECK(predicted == std::vector<int64_t>(bytes.begin() + 1, bytes.end()));
      }
}

TEST_CASE("evaluation batches out of range are errors") {
  const auto bytes = counting_bytes(10);
  CHECK(evaluation_batch_count(bytes, {.rows = 1, .length = 4}) == 3);
  CHECK(error_of([&] { evaluation_batch(bytes, {.rows = 1, .length = 4}, 3); }) ==
        "text: evaluation batch 3 of 3");
  CHECK(error_of([&] {
          evaluation_batch_count({bytes.data(), 1}, {});
        }) == "text: 1 bytes leave nothing to predict; at least 2 are needed");
  CHECK(error_of([&] { evaluation_batch_count(bytes, {.rows = 0, .length = 4}); }) ==
        "text: a batch of 0 rows of length 4; both must be at least 1");
}

TEST_CASE("a batch has no more rows than there are windows") {
  const auto bytes = counting_bytes(11);
  const BatchOptions options{.rows = std::numeric_limits<int64_t>::max(), .length = 4};
  CHECK(evaluation_batch_count(bytes, options) == 2);
  CHECK(evaluation_batch(bytes, options, 0).rows == 2);
  CHECK(evaluation_batch(bytes, options, 1).length == 2);
}

TEST_CASE("the fingerprint is FNV-1a") {
  const std::string word = "foobar";  // the published test vectors
  CHECK(fingerprint({}) == 0xcbf29ce484222325u);
  CHECK(fingerprint({reinterpret_cast<const uint8_t*>(word.data()), word.size()}) ==
        0x85944171f73967e8u);
}
