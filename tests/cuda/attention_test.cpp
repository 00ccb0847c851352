#include <doctest/doctest.h>

#include <cuda/attention_run.h>

using namespace cuda_attention_test;
using tenet::bf16;
using tenet::f16;

namespace {

/// y and log_sum.
template <class K, class T>
void forward(Run<T>& run) {
  const Prepared<T> prepared(run);
  K::forward(prepared.task);
}

template <class T>
bool same_row(const Run<T>& a, int64_t i, const Run<T>& b, int64_t j) {
  return std::memcmp(a.y.at(0, 0, i), b.y.at(0, 0, j), a.shape.size * sizeof(T)) == 0 &&
         a.log_sum[i] == b.log_sum[j];
}

/// One head.
template <class T>
Run<T> one_head(int64_t Lq, int64_t Lk, int64_t size, bool causal) {
  tiles::BandShape shape{.B = 1, .H = 1, .Lq = Lq, .Lk = Lk, .size = size, .causal = causal};
  shape.key_scale = {1 / std::sqrt(static_cast<double>(size)), true};
  return Run<T>(shape, 3, false);
}

/// Cached decoding: a query by itself, among the keys from the first of its chunks that it sees on.
template <class K, class T>
void check_decoding(int64_t chunk) {
  Run<T> all = one_head<T>(150, 150, 24, true);
  all.shape.chunk = chunk, all.shape.before = 1;
  forward<K>(all);
  for (const int64_t i : {0, 1, 20, 21, 40, 63, 64, 65, 127, 128, 149}) {
    CAPTURE(i);
    const int64_t begin = chunk == 0 ? 0 : std::max<int64_t>(i / chunk - 1, 0) * chunk;
    Run<T> one = one_head<T>(1, i + 1 - begin, 24, true);
    one.shape.offset = i - begin;
    std::copy_n(all.q.at(0, 0, i), 24, one.q.at(0, 0, 0));
    for (int64_t j = begin; j <= i; ++j) {
      std::copy_n(all.k.at(0, 0, j), 24, one.k.at(0, 0, j - begin));
      std::copy_n(all.v.at(0, 0, j), 24, one.v.at(0, 0, j - begin));
    }
    forward<K>(one);
    CHECK(same_row(all, i, one, 0));
  }
}

/// Hidden keys, wherever they lie and whatever they hold, change no bit.
template <class K, class T>
void check_hidden() {
  Run<T> plain = one_head<T>(70, 90, 40, false), spread = one_head<T>(70, 200, 40, false);
  spread.q = plain.q;
  spread.mask.assign(200, 0);
  std::fill(spread.k.values.begin(), spread.k.values.end(), T(NAN));
  std::fill(spread.v.values.begin(), spread.v.values.end(), T(INFINITY));
  for (int64_t j = 0; j < 90; ++j) {
    const int64_t to = 2 * j + j / 30;
    spread.mask[to] = 1;
    std::copy_n(plain.k.at(0, 0, j), 40, spread.k.at(0, 0, to));
    std::copy_n(plain.v.at(0, 0, j), 40, spread.v.at(0, 0, to));
  }
  forward<K>(plain);
  forward<K>(spread);
  for (int64_t i = 0; i < 70; ++i) CHECK(same_row(plain, i, spread, i));
}

/// A value that is not finite reaches the queries that see it, and no other.
template <class K, class T>
void check_not_finite() {
  Run<T> clean = one_head<T>(130, 130, 40, true), faulty = clean;
  faulty.v.at(0, 0, 75)[3] = T(INFINITY);
  faulty.v.at(0, 0, 100)[39] = T(-NAN);
  std::fill_n(faulty.k.at(0, 0, 120), 40, T(NAN));
  forward<K>(clean);
  forward<K>(faulty);
  for (int64_t i = 0; i < 130; ++i) {
    CAPTURE(i);
    for (int64_t c = 0; c < 40; ++c) {
      const double want = clean.y.at(0, 0, i)[c], got = faulty.y.at(0, 0, i)[c];
      if (i >= 120 || (i >= 100 && c == 39)) {
        CHECK(std::isnan(got));
      } else if (i >= 75 && c == 3) {
        CHECK(got == INFINITY);
      } else {
        CHECK(got == want);
      }
    }
  }
}

}  // namespace

TEST_CASE("band attention by a warp for each row equals its definition") {
  compare_all<General, float>({1, 17, 70}, {1, 5, 16, 33, 64}, 2e-5);
  compare_all<General, double>({7, 33}, {3, 40}, 1e-12);
  compare_all<General, bf16>({40}, {24}, 1e-2);
}

TEST_CASE("band attention by tensor cores equals its definition") {
  compare_all<Tiles, bf16>({1, 33, 70, 130}, {8, 24, 64, 128, 40, 13}, 2e-2);
  compare_all<Tiles, f16>({17, 70}, {16, 32, 64, 100, 128}, 3e-3);
}

TEST_CASE("band attention by tiles of registers equals its definition") {
  compare_all<Fma, float>({1, 33, 70, 130}, {1, 8, 24, 64, 128, 100}, 2e-5);
  compare_all<Fma, double>({17, 70}, {3, 16, 64, 40}, 1e-12);
}

TEST_CASE("a query by itself has the bits that it has among others, on the GPU") {
  for (const int64_t chunk : {0, 21, 64}) {
    CAPTURE(chunk);
    check_decoding<General, float>(chunk);
    check_decoding<Tiles, bf16>(chunk);
    check_decoding<Fma, float>(chunk);
  }
}

TEST_CASE("hidden keys change no bit of attention, wherever they lie, on the GPU") {
  check_hidden<General, double>();
  check_hidden<Tiles, f16>();
  check_hidden<Fma, double>();
}

TEST_CASE("a value that is not finite reaches the queries that see it, on the GPU") {
  check_not_finite<General, float>();
  check_not_finite<Tiles, bf16>();
  check_not_finite<Tiles, f16>();
  check_not_finite<Fma, float>();
}
