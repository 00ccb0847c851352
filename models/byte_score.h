/// How well a language model over bytes predicts each byte of a text.
#pragma once

#include <tenet/models/text_model.h>

#include <cstdint>
#include <functional>
#include <span>

namespace tenet {

/// How a text is cut for byte_scores().
struct ByteScoreOptions {
  int64_t length = 0;    // bytes of a window; 0: the most that the positions take, padded
  int64_t overlap = -1;  // of neighbours, below length; -1: half of it
};

/// What one byte of a text costs.
struct ByteScore {
  int64_t position = 0;  // in the text, from 0
  uint8_t byte = 0;      // what stands there
  double bits = 0;       // -log2 of the probability that the model gave it
};

/// Hands every byte of `text` but the first, which nothing precedes, to `emit`, in order, and gives
/// the mean; of a text of one byte 0 of 0 bytes. Windows of `length` begin every length - overlap
/// bytes; each scores the bytes that the one before did not reach, so that from the second window
/// on a byte has at least `overlap` + 1 bytes before it in its window. With overlap 0 these are the
/// windows of evaluate(). The model's training flag is as before afterwards.
///
/// Errors: check_byte_model's, an empty text, a length above the positions, an overlap that is not
/// below the length, a byte whose bits are not finite.
TextScore byte_scores(Reformer& model, std::span<const uint8_t> text,
                      const ByteScoreOptions& options,
                      const std::function<void(const ByteScore&)>& emit);

}  // namespace tenet
