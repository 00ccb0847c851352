/// Interpolated Witten-Bell models of bytes: the yardstick beside which a language model's bits per
/// byte are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenet {

namespace detail {

/// A hash table from 32-bit keys to counts, with open addressing. Value has a first member `count`;
/// a slot whose count is 0 is empty, so whoever asks for a new key must count it up at once.
template <class Value>
class CountTable {
 public:
  Value& operator[](uint32_t key);
  const Value* find(uint32_t key) const;  // null if absent

 private:
  struct Slot {
    uint32_t key;
    Value value;
  };
  size_t slot_of(uint32_t key) const;
  void grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

struct ByteCount {
  uint32_t count = 0;  // c(h, b)
};
struct ContextCount {
  uint32_t count = 0;     // c(h), the bytes seen after h
  uint32_t distinct = 0;  // T(h), how many different ones
};

}  // namespace detail

/// p_k(b | h) = (c(h, b) + T(h) p_{k-1}(b | h')) / (c(h) + T(h)), where h is the k bytes before b,
/// h' the k - 1 bytes before b, and below order 0 every byte has 1/256; a context never seen passes
/// p_{k-1} on (Witten and Bell 1991, method C, interpolated). At the start of a text, where fewer
/// than k bytes precede, the order is what there is.
class WittenBell {
 public:
  static constexpr int max_order = 3;  // each order takes another table of contexts

  /// Counts the text for every order up to `order`. Error: order outside 0..3, text empty or of 4
  /// GiB or more.
  explicit WittenBell(std::span<const uint8_t> text, int order = max_order);

  /// p_k(b | the last bytes of context) with k = order <= the fitted order.
  double probability(std::span<const uint8_t> context, uint8_t b, int order) const;

  /// Mean of -log2 p over every byte but the first of `text`, read as one stream. Error: fewer than
  /// two bytes.
  double bits_per_byte(std::span<const uint8_t> text, int order) const;

 private:
  double after(uint32_t history, int known, uint8_t b) const;
  void check_order(int order) const;

  std::vector<detail::CountTable<detail::ByteCount>> bytes_;  // [k], key: the k bytes of h, then b
  std::vector<detail::CountTable<detail::ContextCount>> contexts_;  // [k], key: the k bytes of h
};

}  // namespace tenet
