#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tenet/core/error.h>
#include <tenet/core/philox.h>
#include <tenet/models/byte_text.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace tenet {
namespace {

constexpr size_t enwik8_bytes = 100'000'000;
constexpr size_t enwik8_held_out = 5'000'000;

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    check(file >= 0 || errno != ENOENT, "text: \"{}\" does not exist", path);
    check(file >= 0, "text: cannot read \"{}\": {}", path, std::generic_category().message(errno));
    struct stat facts = {};
    const bool known = ::fstat(file, &facts) == 0;
    if (known && S_ISREG(facts.st_mode) && facts.st_size > 0) {
      size_ = static_cast<size_t>(facts.st_size);
      data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    }
    const int error = errno;
    ::close(file);
    check(!known || !S_ISDIR(facts.st_mode), "text: \"{}\" is a directory; give a file", path);
    check(!known || S_ISREG(facts.st_mode), "text: \"{}\" is not a regular file", path);
    check(!known || facts.st_size > 0, "text: \"{}\" is empty", path);
    check(data_ != MAP_FAILED, "text: cannot read \"{}\": {}", path,
          std::generic_category().message(error));
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { ::munmap(data_, size_); }

  std::span<const uint8_t> bytes() const { return {static_cast<const uint8_t*>(data_), size_}; }

 private:
  void* data_ = MAP_FAILED;
  size_t size_ = 0;
};

/// Row `row` of a step's draws, as 64 random bits.
uint64_t random_bits(const PhiloxKey& key, int64_t row) {
  const PhiloxBlock block = philox_block(key, static_cast<uint64_t>(row));
  return uint64_t{block.word[0]} << 32 | block.word[1];
}

TokenBatch make_batch(std::span<const uint8_t> text, std::span<const size_t> starts, int64_t length,
                      int64_t byte_offset) {
  TokenBatch batch{.rows = static_cast<int64_t>(starts.size()), .length = length};
  batch.input.reserve(starts.size() * static_cast<size_t>(length));
  batch.target.reserve(batch.input.capacity());
  for (const size_t start : starts) {
    for (const uint8_t b : text.subspan(start, length)) batch.input.push_back(b + byte_offset);
    for (const uint8_t b : text.subspan(start + 1, length)) batch.target.push_back(b + byte_offset);
  }
  return batch;
}

void check_options(std::span<const uint8_t> text, const BatchOptions& options) {
  check(options.rows >= 1 && options.length >= 1,
        "text: a batch of {} rows of length {}; both must be at least 1", options.rows,
        options.length);
  check(text.size() >= 2, "text: {} bytes leave nothing to predict; at least 2 are needed",
        text.size());
}

/// Rows of an evaluation batch: no more than there are windows.
int64_t rows_for(int64_t windows, const BatchOptions& options) {
  return std::clamp<int64_t>(options.rows, 1, std::max<int64_t>(windows, 1));
}

}  // namespace

ByteText read_byte_text(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  const auto all = file->bytes();
  const size_t test = all.size() == enwik8_bytes ? enwik8_held_out : 0;
  const size_t valid = all.size() == enwik8_bytes ? enwik8_held_out : all.size() / 20;
  const size_t train = all.size() - valid - test;
  return {.name = path,
          .all = all,
          .train = all.first(train),
          .valid = all.subspan(train, valid),
          .test = all.last(test),
          .owner = std::move(file)};
}

void check_sequence_length(const ByteText& text, int64_t length) {
  check(length >= 1, "text: sequence length {}; it must be at least 1", length);
  check(text.train.size() > static_cast<size_t>(length),
        "text: the training part of \"{}\" has {} bytes, fewer than a sequence of {} and the byte "
        "after it; give more text or a shorter length",
        text.name, text.train.size(), length);
  check(text.valid.size() >= 2,
        "text: the held-out part of \"{}\" has {} bytes, at least 2 are needed; give more text",
        text.name, text.valid.size());
}

uint64_t fingerprint(std::span<const uint8_t> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const uint8_t b : bytes) hash = (hash ^ b) * 0x100000001b3u;
  return hash;
}

TokenBatch training_batch(std::span<const uint8_t> text, const BatchOptions& options, uint64_t seed,
                          int64_t step) {
  check_options(text, options);
  const auto length = static_cast<size_t>(options.length);
  check(text.size() > length,
        "text: {} bytes are fewer than a sequence of {} and the byte after it", text.size(),
        length);
  const PhiloxKey key{.seed = seed, .stream = ~static_cast<uint64_t>(step)};
  std::vector<size_t> starts;
  for (int64_t row = 0; row < options.rows; ++row)
    starts.push_back(random_bits(key, row) % (text.size() - length));
  return make_batch(text, starts, options.length, options.byte_offset);
}

int64_t evaluation_batch_count(std::span<const uint8_t> text, const BatchOptions& options) {
  check_options(text, options);
  const int64_t predicted = std::ssize(text) - 1;
  const int64_t windows = predicted / options.length, rows = rows_for(windows, options);
  return (windows + rows - 1) / rows + (predicted % options.length != 0);
}

TokenBatch evaluation_batch(std::span<const uint8_t> text, const BatchOptions& options,
                            int64_t index) {
  const int64_t count = evaluation_batch_count(text, options);
  check(index >= 0 && index < count, "text: evaluation batch {} of {}", index, count);
  const int64_t predicted = std::ssize(text) - 1;
  const int64_t windows = predicted / options.length, rows = rows_for(windows, options);
  const int64_t first = index * rows;
  if (first >= windows) {
    const size_t start = windows * options.length;
    return make_batch(text, {&start, 1}, predicted % options.length, options.byte_offset);
  }
  std::vector<size_t> starts;
  for (int64_t w = first; w < std::min(first + rows, windows); ++w)
    starts.push_back(w * options.length);
  return make_batch(text, starts, options.length, options.byte_offset);
}

}  // namespace tenet
