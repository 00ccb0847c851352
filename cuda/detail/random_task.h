/// Loops over the words of a draw on the GPU. The words are those of the CPU, to the bit.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/core/philox.h>

#include <cstdint>

namespace tenet::cuda {

/// Calls fn(i, words) for each block of four words, whose elements are 4 i to 4 i + 3, and lets it
/// write those below `count`.
template <class F>
struct RandomTask {
  PhiloxKey key;
  int64_t count;
  F fn;

  TENET_HD void run(int64_t thread, int64_t threads) const {
    const int64_t blocks = (count + 3) / 4;
    for (int64_t block = thread; block < blocks; block += threads) {
      const PhiloxBlock words = philox_block(key, static_cast<uint64_t>(block));
      const int n = static_cast<int>(count - 4 * block < 4 ? count - 4 * block : 4);
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < 4; ++k) {
        if (k < n) fn(4 * block + k, words, k);
      }
    }
  }
};

}  // namespace tenet::cuda
