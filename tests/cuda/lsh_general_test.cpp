#include <doctest/doctest.h>

#include <cuda/lsh_cuda_run.h>

using namespace cuda_lsh_test;

TEST_CASE("LSH attention by a warp for each place equals its definition") {
  compare_all<General, float>({1, 33, 70}, {3, 6, 16, 19, 40}, 3e-5);
  compare_all<General, double>({34}, {1, 6, 20}, 1e-12);
  compare_all<General, tenet::bf16>({20}, {24}, 2e-2);
  compare_all<General, tenet::f16>({20}, {24}, 4e-3);
}

TEST_CASE("a new position of LSH attention gets the row of the whole sequence, to the bit") {
  compare_steps<General, float>({1, 2, 34, 100}, {6, 33});
  compare_steps<General, tenet::bf16>({90}, {24});
}

TEST_CASE("the buckets of the CUDA hash are those of the CPU, to the bit") {
  unsigned seed = 1;
  const std::vector<std::vector<int64_t>> factors{{2}, {6}, {2, 6}, {16, 4}, {130, 2}, {4, 2, 6}};
  for (const int64_t L : {1, 3, 64, 65, 130}) {
    for (const int64_t size : {1, 5, 64, 70}) {
      CAPTURE(L);
      CAPTURE(size);
      tiles::LshShape shape{.B = 2, .H = 2, .L = L, .R = 1 + seed % 3};
      shape.size = size;
      Run<float> run(shape, factors[seed % factors.size()], seed, false);
      if (seed % 4 == 0) run.q.at(0, 0, L / 2)[0] = NAN;
      run.hash();
      const std::vector<int32_t> want = run.bucket;
      std::fill(run.bucket.begin(), run.bucket.end(), -1);
      hash_emulated(run);
      CHECK(run.bucket == want);
      ++seed;
    }
  }
}

TEST_CASE("sorted keys give the order of the CPU") {
  for (unsigned seed = 1; seed < 20; ++seed) {
    CAPTURE(seed);
    tiles::LshShape shape{.B = 2, .H = 2, .L = 1 + seed * 7 % 50, .R = 1 + seed % 3};
    shape.size = 1;
    Run<float> run(shape, {8}, seed, seed % 2);
    std::mt19937 random(seed);
    for (int32_t& bucket : run.bucket) bucket = static_cast<int32_t>(random() % 8);
    if (seed % 5 == 1 && !run.mask.empty()) std::fill_n(run.mask.begin(), shape.L, uint8_t{0});
    run.sort();
    std::vector<int32_t> order(run.order.size());
    kernels::SortTask t{.L = shape.L, .HR = 2 * shape.R, .buckets = 8};
    t.bucket = run.bucket.data(), t.mask = run.mask_data(), t.order = order.data();
    for (t.rounds = 3; t.first < 4 * shape.R; t.first += t.rounds) {
      t.rounds = std::min<int64_t>(3, 4 * shape.R - t.first);
      std::vector<int32_t> places(t.count());
      std::iota(places.begin(), places.end(), 0);
      std::stable_sort(places.begin(), places.end(),
                       [&](int32_t a, int32_t b) { return t.key(a) < t.key(b); });
      std::vector<uint32_t> keys;
      for (const int32_t n : places) keys.push_back(t.key(n));
      CHECK((t.bits() == 32 || keys.back() < uint32_t{1} << t.bits()));
      for (int64_t n = 0; n < t.count(); ++n) {
        order[t.first * t.L + n] = t.entry(n, keys.data(), t.position(places[n]));
      }
    }
    CHECK(order == run.order);
  }
}
