#include <tenet/core/parallel.h>

#include "lsh_run.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

using namespace lsh_test;

namespace {

/// The largest difference of y, and of the gradients.
struct Errors {
  double y = 0, gradient = 0;
};

template <class T>
Errors compare(Run<T>& run) {
  run.forward();
  run.backward();
  const auto& s = run.shape;
  for (int64_t n = 0; n < s.B * s.H * s.R * s.L && sizeof(T) == 8; ++n) {
    const int64_t i = n % s.L, r = n / s.L % s.R, h = n / (s.L * s.R) % s.H,
                  b = n / (s.L * s.R * s.H);
    const T* rotation = run.rotation.data() + h * s.size * run.columns();
    REQUIRE(run.bucket[n] == bucket_of(run.q.at(b, h, i), rotation, s.size, run.columns(),
                                       r * run.columns() / s.R, run.factors));
  }
  auto want = Attention<T>(run.definition(), run.q, run.q, run.v).run(run.dy);
  for (size_t n = 0; n < want.dq.values.size(); ++n) want.dq.values[n] += want.dk.values[n];
  const double tolerance = sizeof(T) == 4 ? 3e-5 : 1e-12;
  CHECK(difference(run.y, want.y) <= tolerance);
  CHECK(difference(run.dq, want.dq) <= tolerance);
  CHECK(difference(run.dv, want.dv) <= tolerance);
  for (size_t i = 0; i < run.log_sum.size(); ++i) {
    const double a = run.log_sum[i], c = want.log_sum[i];
    CHECK((a == c || std::abs(a - c) <= tolerance * std::max(1.0, std::abs(c))));
  }
  return {difference(run.y, want.y),
          std::max(difference(run.dq, want.dq), difference(run.dv, want.dv))};
}

template <class T>
void compare_all(std::initializer_list<int64_t> lengths) {
  unsigned seed = 1;
  const std::vector<std::vector<int64_t>> factors{{2}, {4}, {2, 6}, {8}, {16, 4}, {4, 2, 6}};
  for (const int64_t L : lengths) {
    for (int variant = 0; variant < 12; ++variant) {
      CAPTURE(L);
      CAPTURE(variant);
      tiles::LshShape shape{.B = 1 + variant % 2, .H = 2, .L = L, .R = 1 + seed % 3};
      shape.size = std::vector<int64_t>{sizeof(T) == 4 ? 3 : 1, 6, 16, 19, 64}[seed % 5];
      shape.window = std::vector<int64_t>{1, 3, 20, 64, 1000}[seed % 4];
      shape.causal = variant & 2;
      Run<T> run(shape, factors[seed % factors.size()], seed, variant & 4);
      if (seed % 3 == 0) run.dropout = {0.2f, {seed, 1, 5}};
      compare(run);
      ++seed;
    }
  }
}

template <class T>
bool same_row(const T* a, const T* b, int64_t size) {
  return std::memcmp(a, b, size * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("LSH attention equals its definition") {
  compare_all<float>({1, 2, 3, 8, 33, 65, 150, 300});
  compare_all<double>({1, 2, 17, 40, 130});
}

TEST_CASE("rows too many for a thread's copies change nothing in LSH attention") {
  for (const bool causal : {false, true}) {
    tiles::LshShape shape{.B = 1, .H = 2, .L = 530, .size = 2000, .R = 2, .window = 4};
    shape.causal = causal;
    Run<float> run(shape, {32}, 5, true);
    run.shape.key_scale.scale = 0.02;
    compare(run);
  }
}

TEST_CASE("LSH attention equals its definition, often" * doctest::test_suite("slow")) {
  std::mt19937 dice(1);
  const auto roll = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(dice() % static_cast<uint32_t>(high - low + 1));
  };
  const std::vector<std::vector<int64_t>> factors{{2}, {4}, {2, 6}, {8}, {16, 4}, {4, 2, 6}};
  Errors worst;
  for (unsigned i = 0; i < 4000; ++i) {
    CAPTURE(i);
    tiles::LshShape shape{.B = roll(1, 3), .H = roll(1, 3), .L = roll(1, 60), .R = roll(1, 4)};
    shape.size = roll(1, 20);
    shape.window = roll(1, 30);
    shape.causal = roll(0, 1) == 1;
    Run<double> run(shape, factors[static_cast<size_t>(roll(0, 5))], i, roll(0, 1) == 1);
    if (roll(0, 3) == 0) run.dropout = {0.2f, {i, 1, 5}};
    const Errors errors = compare(run);
    worst = {std::max(worst.y, errors.y), std::max(worst.gradient, errors.gradient)};
  }
  MESSAGE("4000 cases: off by " << worst.y << ", gradient by " << worst.gradient);
}

TEST_CASE("LSH gradients equal central differences with the buckets fixed") {
  tiles::LshShape shape{.B = 1, .H = 2, .L = 9, .size = 3, .R = 2, .window = 3};
  Run<double> run(shape, {4}, 6, true);
  run.dropout = {0.25f, {3, 0, 2}};
  run.forward();
  run.backward();
  const auto loss = [&] {
    Run<double> copy = run;
    copy.attend();
    double sum = 0;
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t i = 0; i < 9; ++i)
        for (int64_t c = 0; c < 3; ++c) sum += copy.y.at(0, h, i)[c] * copy.dy.at(0, h, i)[c];
    return sum;
  };
  for (auto [x, dx] : {std::pair{&run.q, &run.dq}, std::pair{&run.v, &run.dv}}) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t n = 0; n < 27; ++n) {
        double& value = x->at(0, h, n / 3)[n % 3];
        const double kept = value, step = 1e-5;
        value = kept + step;
        const double up = loss();
        value = kept - step;
        const double down = loss();
        value = kept;
        CHECK(std::abs((up - down) / (2 * step) - dx->at(0, h, n / 3)[n % 3]) <= 1e-8);
      }
    }
  }
}

TEST_CASE("a prefix of causal LSH attention has the same bits, whatever follows") {
  tiles::LshShape shape{.B = 1, .H = 2, .L = 260, .size = 20, .R = 3, .window = 9};
  Run<float> whole(shape, {4}, 12, false);
  whole.forward();
  for (const int64_t t : {1, 2, 15, 33, 64, 65, 128, 200, 259}) {
    CAPTURE(t);
    shape.L = t;
    Run<float> prefix(shape, {4}, 12, false);
    prefix.rotation = whole.rotation;
    Run<float> spoilt = whole;
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < t; ++i) {
        std::copy_n(whole.q.at(0, h, i), 20, prefix.q.at(0, h, i));
        std::copy_n(whole.v.at(0, h, i), 20, prefix.v.at(0, h, i));
      }
      for (int64_t i = t; i < 260; ++i) {
        std::fill_n(spoilt.q.at(0, h, i), 20, NAN);
        std::fill_n(spoilt.v.at(0, h, i), 20, i % 2 ? NAN : INFINITY);
      }
    }
    prefix.forward();
    spoilt.forward();
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < t; ++i) {
        CHECK(same_row(prefix.y.at(0, h, i), whole.y.at(0, h, i), 20));
        CHECK(same_row(spoilt.y.at(0, h, i), whole.y.at(0, h, i), 20));
      }
    }
  }
}

TEST_CASE("padding anywhere changes no bit of LSH attention, and is not read") {
  tiles::LshShape shape{
      .B = 2, .H = 2, .L = 150, .size = 16, .R = 2, .window = 12, .causal = false};
  Run<float> padded(shape, {8}, 21, true);
  shape.B = 1;
  for (const int64_t b : {0, 1}) {
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < 150; ++i) {
      if (padded.used(b, i)) kept.push_back(i);
    }
    shape.L = static_cast<int64_t>(kept.size());
    Run<float> plain(shape, {8}, 22, false);
    plain.rotation = padded.rotation;
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < shape.L; ++i) {
        std::copy_n(padded.q.at(b, h, kept[i]), 16, plain.q.at(0, h, i));
        std::copy_n(padded.v.at(b, h, kept[i]), 16, plain.v.at(0, h, i));
        std::copy_n(padded.dy.at(b, h, kept[i]), 16, plain.dy.at(0, h, i));
      }
      for (int64_t i = 0; i < 150; ++i) {
        if (padded.used(b, i)) continue;
        std::fill_n(padded.q.at(b, h, i), 16, NAN);
        std::fill_n(padded.v.at(b, h, i), 16, NAN);
      }
    }
    padded.forward(), padded.backward();
    plain.forward(), plain.backward();
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < shape.L; ++i) {
        CHECK(same_row(plain.y.at(0, h, i), padded.y.at(b, h, kept[i]), 16));
        CHECK(same_row(plain.dq.at(0, h, i), padded.dq.at(b, h, kept[i]), 16));
        CHECK(same_row(plain.dv.at(0, h, i), padded.dv.at(b, h, kept[i]), 16));
      }
      for (int64_t i = 0; i < 150; ++i) {
        if (padded.used(b, i)) continue;
        CHECK(padded.y.at(b, h, i)[5] == 0);
        CHECK(padded.dq.at(b, h, i)[5] == 0);
        CHECK(padded.dv.at(b, h, i)[5] == 0);
      }
    }
  }
}

TEST_CASE("thread count changes no bit of LSH attention") {
  const int threads = tenet::num_threads();
  for (const int64_t H : {1, 3}) {
    tiles::LshShape shape{.B = 1, .H = H, .L = 500, .size = 24, .R = 3, .window = 16};
    Run<float> run(shape, {8}, 9, H == 3);
    tenet::set_num_threads(1);
    Run<float> one = run;
    one.forward(), one.backward();
    for (const int count : {2, 3, 4}) {
      tenet::set_num_threads(count);
      Run<float> many = run;
      many.forward(), many.backward();
      CHECK(many.order == one.order);
      CHECK(many.y.values == one.y.values);
      CHECK(many.dq.values == one.dq.values);
      CHECK(many.dv.values == one.dv.values);
    }
  }
  tenet::set_num_threads(threads);
}

TEST_CASE("positions are sorted by bucket, stably, for any number of buckets") {
  for (const int64_t buckets :
       {int64_t{1}, int64_t{7}, int64_t{4096}, int64_t{1} << 22, (int64_t{1} << 31)}) {
    for (const int64_t L : {1, 2, 100, 5000}) {
      CAPTURE(buckets);
      CAPTURE(L);
      std::mt19937 random(11);
      std::vector<int32_t> bucket(2 * L), order(2 * L);
      std::vector<uint8_t> mask(2 * L, 1);
      for (int32_t& value : bucket) {
        value = static_cast<int32_t>(static_cast<int64_t>(random() % 300) * 7158278 % buckets);
      }
      for (int64_t i = 0; i < L; ++i) mask[i] = random() % 2;
      tiles::lsh_sort(2, 1, 1, L, buckets, bucket.data(), mask.data(), order.data());
      for (int64_t b = 0; b < 2; ++b) {
        std::vector<int32_t> want;
        for (int64_t i = 0; i < L; ++i) {
          if (mask[b * L + i]) want.push_back(static_cast<int32_t>(i));
        }
        const int32_t* of = bucket.data() + b * L;
        std::stable_sort(want.begin(), want.end(),
                         [&](int32_t x, int32_t y) { return of[x] < of[y]; });
        for (int64_t i = 0; i < L; ++i) {
          const int32_t got = order[b * L + i];
          if (i >= static_cast<int64_t>(want.size())) {
            REQUIRE(got == tiles::kOrderEnd);
            continue;
          }
          REQUIRE(tiles::position_of(got) == want[i]);
          REQUIRE((got < 0) == (i == 0 || of[want[i]] != of[want[i - 1]]));
        }
      }
    }
  }
}

TEST_CASE("the hash takes the first index on ties") {
  const std::vector<float> rotation{1, 0, 1, 0, 1, 0, 1, 0};  // [H 1, size 2, R 1, 4]
  Array<float> q(1, 1, 4, 2);
  q.values = {1, 1, -1, -1, 0, 0, 2, -1};
  const std::vector<int64_t> factors{8};
  std::vector<int32_t> bucket(4);
  tiles::lsh_hash<float>({1, 1, 4, 2, 1, factors}, view(std::as_const(q)), rotation.data(),
                         bucket.data());
  CHECK(bucket == std::vector<int32_t>{0, 4, 0, 0});
}
