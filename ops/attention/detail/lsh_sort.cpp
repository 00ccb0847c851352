#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/lsh_hash.h>

namespace tenet::detail::tiles {
namespace {

constexpr int kDigitBits = 11;
constexpr int64_t kDigits = int64_t{1} << kDigitBits;

/// The positions of one round, in rising order; returns their number.
int64_t list_positions(int64_t L, const uint8_t* mask, int32_t* order) {
  int64_t count = 0;
  for (int64_t i = 0; i < L; ++i) {
    order[count] = static_cast<int32_t>(i);
    count += !mask || mask[i];
  }
  return count;
}

/// to = from in the stable order of (bucket >> shift) % digits; `place` is scratch of `digits`
/// counts.
void scatter_by_digit(int64_t count, const int32_t* bucket, int shift, int64_t digits,
                      const int32_t* from, int32_t* place, int32_t* to) {
  const auto digit = [&](int32_t position) { return (bucket[position] >> shift) & (digits - 1); };
  std::fill_n(place, digits, 0);
  for (int64_t i = 0; i < count; ++i) ++place[digit(from[i])];
  int32_t start = 0;
  for (int64_t d = 0; d < digits; ++d) {
    const int32_t size = place[d];
    place[d] = start;
    start += size;
  }
  for (int64_t i = 0; i < count; ++i) to[place[digit(from[i])]++] = from[i];
}

int bits_of(int64_t buckets) {
  int bits = 1;
  while ((int64_t{1} << bits) < buckets) ++bits;
  return bits;
}

/// Sorts one round. The digits are as wide as the memory of `place`, [digits], allows: one pass if
/// it holds the buckets.
void sort_round(int64_t L, int bits, int digit_bits, const int32_t* bucket, const uint8_t* mask,
                int32_t* order, int32_t* other, int32_t* place) {
  const int passes = std::max(1, (bits + digit_bits - 1) / digit_bits);
  int32_t* from = passes % 2 == 0 ? order : other;
  int32_t* to = passes % 2 == 0 ? other : order;
  const int64_t count = list_positions(L, mask, from);
  for (int pass = 0; pass < passes; ++pass) {
    scatter_by_digit(count, bucket, pass * digit_bits, int64_t{1} << digit_bits, from, place, to);
    std::swap(from, to);
  }
  int32_t previous = -1;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t position = order[i], here = bucket[position];
    if (here != previous) order[i] = mark_first(position);
    previous = here;
  }
  std::fill(order + count, order + L, kOrderEnd);
}

}  // namespace

void lsh_sort(int64_t B, int64_t H, int64_t R, int64_t L, int64_t buckets, const int32_t* bucket,
              const uint8_t* mask, int32_t* order) {
  const int bits = bits_of(buckets);
  const int digit_bits = (int64_t{1} << bits) <= std::max(L, kDigits) ? bits : kDigitBits;
  const int64_t digits = int64_t{1} << digit_bits, room = round_up(L, 16);
  const int threads = threads_for(32 * B * H * R * L);
  memory::Workspace<int32_t> space((room + digits) * threads);
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t round = 0; round < B * H * R; ++round) {
    int32_t* const other = space.data() + (room + digits) * omp_get_thread_num();
    const uint8_t* rows = mask ? mask + round / (H * R) * L : nullptr;
    sort_round(L, bits, digit_bits, bucket + round * L, rows, order + round * L, other,
               other + room);
  }
}

}  // namespace tenet::detail::tiles
