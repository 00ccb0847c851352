#include <tenet/core/parallel.h>

#include "band_run.h"

#include <doctest/doctest.h>

#include <cstring>
#include <utility>

using namespace band_test;

namespace {

template <class T>
void compare(Run<T>& run) {
  run.forward();
  run.backward();
  const auto want = Attention<T>(run.definition(), run.q, run.k, run.v).run(run.dy);
  const double tolerance = sizeof(T) == 4 ? 3e-5 : 1e-12;
  CHECK(difference(run.y, want.y) <= tolerance);
  CHECK(difference(run.dq, want.dq) <= tolerance);
  CHECK(difference(run.dk, want.dk) <= tolerance);
  CHECK(difference(run.dv, want.dv) <= tolerance);
  for (size_t i = 0; i < run.log_sum.size(); ++i) {
    const double a = run.log_sum[i], b = want.log_sum[i];
    CHECK((a == b || std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b))));
  }
}

template <class T>
void compare_all(std::initializer_list<int64_t> lengths) {
  unsigned seed = 1;
  for (const int64_t L : lengths) {
    for (int variant = 0; variant < 16; ++variant) {
      CAPTURE(L);
      CAPTURE(variant);
      tiles::BandShape shape{.B = 2, .H = 1 + seed % 2, .Lq = L, .Lk = L};
      shape.size = std::vector<int64_t>{1, 5, 16, 19, 32, 64}[seed % 6];
      shape.causal = variant & 1;
      shape.exclude_self = variant & 2;
      shape.key_scale = {0.7, (variant & 2) > 0};
      if (variant & 4)
        shape.chunk = 1 + seed * 7 % 40, shape.before = seed % 3, shape.after = seed % 2;
      Run<T> run(shape, seed, variant & 8);
      if (seed % 3 == 0) run.dropout = {0.3f, {seed, 2, 77}};
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

TEST_CASE("band attention equals its definition") {
  compare_all<float>({1, 2, 3, 17, 31, 32, 33, 70, 130, 200});
  compare_all<double>({1, 2, 7, 33, 65, 140});
}

TEST_CASE("cross-attention and cached queries equal their definition") {
  for (const int64_t Lq : {1, 5, 40}) {
    for (const int64_t Lk : {1, 4, 150, 300}) {
      for (const bool causal : {false, true}) {
        tiles::BandShape shape{.B = 2, .H = 3, .Lq = Lq, .Lk = Lk, .size = 24, .causal = causal};
        if (causal) shape.offset = std::max<int64_t>(Lk - Lq, 0);
        shape.key_scale.scale = 0.2;
        Run<float> run(shape, static_cast<unsigned>(Lq * 31 + Lk), Lq == 5);
        compare(run);
        shape.chunk = 16, shape.before = 1;
        Run<double> local(shape, static_cast<unsigned>(Lq + Lk), false);
        compare(local);
      }
    }
  }
}

TEST_CASE("band gradients equal central differences") {
  for (const bool shared : {false, true}) {
    tiles::BandShape shape{.B = 1, .H = 2, .Lq = 6, .Lk = 6, .size = 3, .causal = true};
    shape.exclude_self = shared;
    shape.key_scale = {0.9, shared};
    Run<double> run(shape, 5, false);
    run.dropout = {0.25f, {9, 1, 0}};
    run.forward();
    run.backward();
    const auto loss = [&] {
      Run<double> copy = run;
      copy.forward();
      double sum = 0;
      for (int64_t b = 0; b < 1; ++b)
        for (int64_t h = 0; h < 2; ++h)
          for (int64_t i = 0; i < 6; ++i)
            for (int64_t c = 0; c < 3; ++c) sum += copy.y.at(b, h, i)[c] * copy.dy.at(b, h, i)[c];
      return sum;
    };
    const auto check = [&](Array<double>& x, const Array<double>& dx) {
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = 0; i < 6; ++i) {
          for (int64_t c = 0; c < 3; ++c) {
            double& value = x.at(0, h, i)[c];
            const double kept = value, step = 1e-5;
            value = kept + step;
            const double up = loss();
            value = kept - step;
            const double down = loss();
            value = kept;
            CHECK(std::abs((up - down) / (2 * step) - dx.at(0, h, i)[c]) <= 1e-8);
          }
        }
      }
    };
    check(run.q, run.dq);
    check(run.k, run.dk);
    check(run.v, run.dv);
  }
}

TEST_CASE("a causal prefix has the same bits, whatever follows") {
  for (const int64_t chunk : {0, 24}) {
    tiles::BandShape shape{.B = 1,
                           .H = 2,
                           .Lq = 300,
                           .Lk = 300,
                           .size = 20,
                           .chunk = chunk,
                           .before = 1,
                           .causal = true};
    shape.key_scale.scale = 0.3;
    Run<float> whole(shape, 3, false);
    for (float& value : whole.v.values) value *= 1e3f;
    whole.forward();
    for (const int64_t t : {1, 2, 15, 16, 17, 33, 127, 128, 129, 200, 299}) {
      CAPTURE(t);
      shape.Lq = shape.Lk = t;
      Run<float> prefix(shape, 3, false);
      Run<float> spoilt = whole;
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = 0; i < t; ++i) {
          std::copy_n(whole.q.at(0, h, i), 20, prefix.q.at(0, h, i));
          std::copy_n(whole.k.at(0, h, i), 20, prefix.k.at(0, h, i));
          std::copy_n(whole.v.at(0, h, i), 20, prefix.v.at(0, h, i));
        }
        for (int64_t i = t; i < 300; ++i) {
          for (auto* x : {&spoilt.q, &spoilt.k, &spoilt.v}) std::fill_n(x->at(0, h, i), 20, NAN);
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
      shape.Lq = 1, shape.offset = t - 1;  // one cached query
      Run<float> last(shape, 3, false);
      last.k = prefix.k, last.v = prefix.v;
      for (int64_t h = 0; h < 2; ++h) std::copy_n(prefix.q.at(0, h, t - 1), 20, last.q.at(0, h, 0));
      last.forward();
      CHECK(same_row(last.y.at(0, 1, 0), whole.y.at(0, 1, t - 1), 20));
      shape.Lq = 300, shape.offset = 0;
    }
  }
}

TEST_CASE("masked keys are not read, and rows with none are 0") {
  tiles::BandShape shape{.B = 2, .H = 2, .Lq = 60, .Lk = 60, .size = 16};
  Run<float> run(shape, 8, true);
  std::fill_n(run.mask.begin() + 60, 60, 0);
  run.forward();
  run.backward();
  Run<float> spoilt = run;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t j = 0; j < 60; ++j) {
      if (run.mask[b * 60 + j]) continue;
      for (int64_t h = 0; h < 2; ++h) {
        std::fill_n(spoilt.k.at(b, h, j), 16, NAN);
        std::fill_n(spoilt.v.at(b, h, j), 16, INFINITY);
      }
    }
  }
  spoilt.forward();
  spoilt.backward();
  CHECK(spoilt.y.values == run.y.values);
  CHECK(spoilt.dq.values == run.dq.values);
  CHECK(spoilt.dk.values == run.dk.values);
  CHECK(spoilt.dv.values == run.dv.values);
  for (int64_t i = 0; i < 60; ++i) CHECK(run.y.at(1, 0, i)[3] == 0);
}

TEST_CASE("hidden keys change no bit of full attention, wherever they lie") {
  tiles::BandShape shape{.B = 1, .H = 2, .Lq = 9, .Lk = 400, .size = 12};
  Run<float> padded(shape, 14, true);
  std::vector<int64_t> kept;
  for (int64_t j = 0; j < 400; ++j) {
    if (padded.mask[j]) kept.push_back(j);
  }
  shape.Lk = static_cast<int64_t>(kept.size());
  Run<float> plain(shape, 14, false);
  plain.q = padded.q, plain.dy = padded.dy;
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t j = 0; j < shape.Lk; ++j) {
      std::copy_n(padded.k.at(0, h, kept[j]), 12, plain.k.at(0, h, j));
      std::copy_n(padded.v.at(0, h, kept[j]), 12, plain.v.at(0, h, j));
    }
  }
  plain.forward(), plain.backward();
  padded.forward(), padded.backward();
  CHECK(plain.y.values == padded.y.values);
  CHECK(plain.dq.values == padded.dq.values);
  for (int64_t j = 0; j < shape.Lk; ++j) {
    CHECK(same_row(plain.dk.at(0, 1, j), padded.dk.at(0, 1, kept[j]), 12));
    CHECK(same_row(plain.dv.at(0, 1, j), padded.dv.at(0, 1, kept[j]), 12));
  }
}

TEST_CASE("thread count and batch change no bit of band attention") {
  const int threads = tenet::num_threads();
  for (const int64_t H : {1, 3}) {
    tiles::BandShape shape{.B = 1, .H = H, .Lq = 333, .Lk = 333, .size = 40, .causal = true};
    shape.exclude_self = H == 3;
    Run<float> run(shape, 4, false);
    tenet::set_num_threads(1);
    Run<float> one = run;
    one.forward(), one.backward();
    for (const int count : {2, 3, 4}) {
      tenet::set_num_threads(count);
      Run<float> many = run;
      many.forward(), many.backward();
      CHECK(many.y.values == one.y.values);
      CHECK(many.dq.values == one.dq.values);
      CHECK(many.dk.values == one.dk.values);
      CHECK(many.dv.values == one.dv.values);
    }
  }
  tenet::set_num_threads(threads);
}
