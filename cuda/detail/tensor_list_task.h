/// One launch for many tensors, as optimizers need it.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tenet::cuda {

/// Up to kMost tensors, cut into chunks of kChunk elements, one for each block. A kernel parameter:
/// Entry is plain pointers.
template <class Entry>
struct TensorList {
  static constexpr int kMost = 48;
  static constexpr int64_t kChunk = 8192;

  Entry entry[kMost];
  int64_t size[kMost];
  int32_t first_chunk[kMost + 1] = {};
  int count = 0;

  /// Whether another tensor of `elements` fits.
  bool fits(int64_t elements) const {
    return count < kMost && first_chunk[count] + chunks_of(elements) < int64_t{1} << 30;
  }
  void add(const Entry& e, int64_t elements) {
    entry[count] = e;
    size[count] = elements;
    first_chunk[count + 1] = first_chunk[count] + static_cast<int32_t>(chunks_of(elements));
    ++count;
  }
  int64_t chunks() const { return first_chunk[count]; }

  struct Chunk {
    int tensor;
    int64_t begin, end;
  };
  TENET_HD Chunk chunk(int32_t number) const {
    int low = 0, high = count;  // first_chunk[low] <= number < first_chunk[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (first_chunk[middle] <= number) {
        low = middle;
      } else {
        high = middle;
      }
    }
    const int64_t begin = (number - first_chunk[low]) * kChunk;
    const int64_t end = begin + kChunk < size[low] ? begin + kChunk : size[low];
    return {low, begin, end};
  }

 private:
  static int64_t chunks_of(int64_t elements) { return (elements + kChunk - 1) / kChunk; }
};

/// Calls send(list) with the entries of all `items` that have elements: entry_of(item) is an
/// item's, size_of(item) its elements.
template <class Entry, class Items, class EntryOf, class SizeOf, class Send>
void in_lists(Items& items, const EntryOf& entry_of, const SizeOf& size_of, const Send& send) {
  TensorList<Entry> list;
  for (auto& item : items) {
    const int64_t elements = size_of(item);
    if (elements == 0) continue;
    if (!list.fits(elements)) {
      send(list);
      list = TensorList<Entry>();
    }
    list.add(entry_of(item), elements);
  }
  if (list.count > 0) send(list);
}

}  // namespace tenet::cuda
