/// Byte text: any file as a stream of bytes, memory-mapped, with a held-out part, cut into batches
/// of tokens.
///
/// Training windows are drawn at random by a pure function of (seed, step, row), so a resumed run
/// sees the same batches. Evaluation windows are disjoint but for one byte, so that every byte but
/// the first is predicted exactly once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tenet {

/// A text and its parts. `all` is train, valid and test one after the other; the spans live as long
/// as `owner`.
struct ByteText {
  std::string name = {};  // the file or folder it came from
  /// Parts that a text lacks are empty.
  std::span<const uint8_t> all = {}, train = {}, valid = {}, test = {};
  std::vector<std::string> train_files = {}, valid_files = {};  // of a source tree, in order
  std::shared_ptr<const void> owner = {};                       // keeps the bytes alive
};

/// Maps a file. Its last 5 % (rounded down) is held out as `valid`; a file of exactly 100,000,000
/// bytes is taken for enwik8 and split 90 / 5 / 5 MB into train, valid and test. The file must not
/// shrink while it is in use. Error: it is missing, a folder, no regular file, empty or unreadable.
ByteText read_byte_text(const std::string& path);

/// Error unless the training part holds one sequence and the byte that follows it, and something is
/// held out.
void check_sequence_length(const ByteText& text, int64_t length);

/// The FNV-1a hash of the bytes, by which a resumed run knows its text again.
uint64_t fingerprint(std::span<const uint8_t> bytes);

/// (rows, length) tokens, row-major; target[i] is the token after input[i]. A token is a byte +
/// byte_offset.
struct TokenBatch {
  int64_t rows = 0, length = 0;                  // both at least 1
  std::vector<int64_t> input = {}, target = {};  // rows x length tokens each
};

/// The shape of a batch, and what a byte becomes.
struct BatchOptions {
  int64_t rows = 1, length = 1024;  // sequences, and bytes of each
  int64_t byte_offset = 2;          // token = byte + byte_offset
};

/// `rows` windows of `length` + 1 bytes, each start uniform over the text: the same bits for the
/// same (seed, step). Row r starts at (w0 2^32 + w1) mod (bytes - length), with w the Philox block
/// r of the seed in stream ~step (far from the streams that dropout and initial weights draw from).
TokenBatch training_batch(std::span<const uint8_t> text, const BatchOptions& options, uint64_t seed,
                          int64_t step);

/// Number of batches that predict every byte of `text` but the first. The last one may have fewer
/// rows, and a remainder shorter than `length` is a batch of its own.
int64_t evaluation_batch_count(std::span<const uint8_t> text, const BatchOptions& options);
/// The index-th of them, in the order of the text.
TokenBatch evaluation_batch(std::span<const uint8_t> text, const BatchOptions& options,
                            int64_t index);

}  // namespace tenet
