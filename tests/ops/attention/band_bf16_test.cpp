/// Band attention in bf16, against its definition in double on the same numbers.
#include <tenet/core/parallel.h>

#include "band_run.h"
#include "bf16_check.h"

using namespace band_test;

#if TENET_HAVE_AVX512

namespace {

using tenet::bf16;

Errors errors_of(Run<bf16>& run) {
  run.forward();
  run.backward();
  const auto want = Attention<bf16>(run.definition(), run.q, run.k, run.v).run(run.dy, &run.y);
  check_log_sums(run.log_sum, want.log_sum);
  // Gradients of scores are differences of dots of `size` numbers.
  const double dots = std::sqrt(double(run.shape.size));
  return {relative(run.y, want.y, 0),
          std::max({relative(run.dq, want.dq, dots), relative(run.dk, want.dk, dots),
                    relative(run.dv, want.dv, 0)})};
}

Run<bf16> random_run(unsigned seed, int64_t longest) {
  Dice roll(seed);
  const int64_t size = odd_width(seed, roll);
  tiles::BandShape shape{.B = roll(1, 2), .H = roll(1, 3), .Lq = roll(1, longest)};
  shape.Lk = roll(0, 1) ? shape.Lq : roll(1, longest);
  shape.size = size;
  shape.causal = roll(0, 1) == 1;
  shape.exclude_self = roll(0, 1) == 1;
  if (shape.Lk > shape.Lq) shape.offset = shape.Lk - shape.Lq;
  shape.key_scale = {roll(0, 1) ? 0.7 : 1 / std::sqrt(double(shape.size)), shape.exclude_self};
  if (roll(0, 1)) shape.chunk = roll(1, 100), shape.before = roll(0, 2), shape.after = roll(0, 1);
  Run<bf16> run(shape, seed, roll(0, 2) == 0);
  if (roll(0, 2) == 0) run.dropout = {0.3f, {seed, 2, 77}};
  return run;
}

}  // namespace

TEST_CASE("band attention in bf16 equals its definition") {
  if (skips_bf16()) return;
  check_definition(random_run, errors_of);
}

TEST_CASE("a causal prefix in bf16 has the same bits, whatever follows") {
  if (skips_bf16()) return;
  for (const int64_t chunk : {0, 24}) {
    for (const int64_t size : {20, 32, 65}) {
      tiles::BandShape shape{.B = 1, .H = 2, .Lq = 200, .Lk = 200, .size = size};
      shape.chunk = chunk, shape.before = 1, shape.causal = true, shape.key_scale.scale = 0.3;
      Run<bf16> whole(shape, 3, false);
      whole.forward();
      for (const int64_t t : {1, 2, 15, 16, 31, 32, 33, 65, 128, 199}) {
        CAPTURE(t);
        shape.Lq = shape.Lk = t, shape.offset = 0;
        Run<bf16> prefix(shape, 3, false);
        Run<bf16> spoilt = whole;
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t i = 0; i < t; ++i) {
            std::copy_n(whole.q.at(0, h, i), size, prefix.q.at(0, h, i));
            std::copy_n(whole.k.at(0, h, i), size, prefix.k.at(0, h, i));
            std::copy_n(whole.v.at(0, h, i), size, prefix.v.at(0, h, i));
          }
          for (int64_t i = t; i < 200; ++i) {
            for (auto* x : {&spoilt.q, &spoilt.k}) std::fill_n(x->at(0, h, i), size, bf16(NAN));
            std::fill_n(spoilt.v.at(0, h, i), size, bf16(i % 2 ? NAN : INFINITY));
          }
        }
        prefix.forward();
        spoilt.forward();
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t i = 0; i < t; ++i) {
            CHECK(same_numbers(prefix.y.at(0, h, i), whole.y.at(0, h, i), size));
            CHECK(same_numbers(spoilt.y.at(0, h, i), whole.y.at(0, h, i), size));
          }
        }
        shape.Lq = 1, shape.offset = t - 1;  // one cached query
        Run<bf16> last(shape, 3, false);
        last.k = prefix.k, last.v = prefix.v;
        for (int64_t h = 0; h < 2; ++h)
          std::copy_n(prefix.q.at(0, h, t - 1), size, last.q.at(0, h, 0));
        last.forward();
        CHECK(same_numbers(last.y.at(0, 1, 0), whole.y.at(0, 1, t - 1), size));
      }
    }
  }
}

TEST_CASE("batch and threads change no bit of band attention in bf16") {
  if (skips_bf16()) return;
  const int threads = tenet::num_threads();
  for (const bool shared : {false, true}) {
    tiles::BandShape shape{.B = 3, .H = 2, .Lq = 133, .Lk = 133, .size = 40, .causal = shared};
    shape.exclude_self = shared, shape.key_scale = {0.5, shared};
    tenet::set_num_threads(1);
    Run<bf16> all(shape, 4, true);
    all.forward(), all.backward();
    for (const int count : {2, 3}) {
      tenet::set_num_threads(count);
      Run<bf16> many = all;
      many.forward(), many.backward();
      CHECK(same_array(many.y, all.y));
      CHECK(same_array(many.dq, all.dq));
      CHECK(same_array(many.dk, all.dk));
      CHECK(same_array(many.dv, all.dv));
    }
    shape.B = 1;
    for (int64_t b = 0; b < 3; ++b) {
      Run<bf16> alone(shape, 6, false);
      alone.mask.assign(all.mask.begin() + b * 133, all.mask.begin() + (b + 1) * 133);
      for (int64_t n = 0; n < 2 * 133; ++n) {
        for (auto [to, from] : {std::pair{&alone.q, &all.q},
                                {&alone.k, &all.k},
                                {&alone.v, &all.v},
                                {&alone.dy, &all.dy}})
          std::copy_n(from->at(b, n % 2, n / 2), 40, to->at(0, n % 2, n / 2));
      }
      alone.forward(), alone.backward();
      for (int64_t n = 0; n < 2 * 133; ++n) {
        const int64_t h = n % 2, i = n / 2;
        CHECK(same_numbers(alone.y.at(0, h, i), all.y.at(b, h, i), 40));
        CHECK(same_numbers(alone.dq.at(0, h, i), all.dq.at(b, h, i), 40));
        CHECK(same_numbers(alone.dk.at(0, h, i), all.dk.at(b, h, i), 40));
        CHECK(same_numbers(alone.dv.at(0, h, i), all.dv.at(b, h, i), 40));
      }
    }
  }
  tenet::set_num_threads(threads);
}

TEST_CASE("a value that is not finite reaches the queries that see it, in a band in bf16") {
  if (skips_bf16()) return;
  for (const int64_t chunk : {0, 20}) {
    tiles::BandShape shape{.B = 1, .H = 1, .Lq = 100, .Lk = 100, .size = 17, .chunk = chunk};
    shape.before = 1, shape.causal = true;
    Run<bf16> clean(shape, 7, true);
    clean.forward();
    const auto how = clean.definition();
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const int64_t at : {0, 31, 64, 99}) {
        Run<bf16> run = clean;
        run.v.at(0, 0, at)[3] = bad;
        run.forward();
        for (int64_t i = 0; i < 100; ++i) {
          CAPTURE(i);
          const auto seen = how.sees(0, 0, i);
          const bool sees =
              std::any_of(seen.begin(), seen.end(), [&](Seen s) { return s.key == at; });
          const float got = run.y.at(0, 0, i)[3];
          CHECK(sees == !same_numbers(run.y.at(0, 0, i), clean.y.at(0, 0, i), 17));
          if (sees) CHECK((std::isnan(bad) ? std::isnan(got) : got == bad));
          CHECK(std::isfinite(run.y.at(0, 0, i)[4]));
        }
      }
    }
  }
}

#else

TEST_CASE("band attention in bf16") { MESSAGE("skipped: not in this build"); }

#endif
