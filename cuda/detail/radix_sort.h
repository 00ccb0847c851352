/// Stable sorting of numbered keys.
#pragma once

#include <tenet/cuda/detail/runtime.h>

#include <bit>

namespace tenet::cuda {

/// `count` keys with a number each, in scratch space: fill keys() and numbers(), sort(), read them
/// again. Key: uint32_t or uint64_t. Error from 2^31 pairs on.
template <class Key>
class NumberedKeys {
 public:
  explicit NumberedKeys(int64_t count);

  Key* keys() const { return keys_[front_].data(); }
  uint32_t* numbers() const { return numbers_[front_].data(); }
  int64_t count() const { return count_; }
  /// By the lowest `bits` bits of the keys; pairs with equal ones keep their order.
  void sort(int bits);

 private:
  int64_t count_;
  int front_ = 0;
  Workspace<Key> keys_[2];
  Workspace<uint32_t> numbers_[2];
};

/// Bits of the numbers 0 .. count - 1.
inline int bits_below(int64_t count) {
  return count <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(count - 1));
}

}  // namespace tenet::cuda
