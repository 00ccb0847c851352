/// LSH attention in bf16, against its definition in double on the same numbers.
#include <tenet/core/parallel.h>

#include "bf16_check.h"
#include "lsh_run.h"

using namespace lsh_test;

#if TENET_HAVE_AVX512

namespace {

using tenet::bf16;

/// Buckets are those of the exact products, but where two columns are as good up to rounding.
void check_buckets(const Run<bf16>& run) {
  const auto& s = run.shape;
  const int64_t columns = run.columns();
  int64_t others = 0;
  for (int64_t n = 0; n < std::ssize(run.bucket); ++n) {
    const int64_t i = n % s.L, r = n / s.L % s.R, h = n / (s.L * s.R) % s.H,
                  b = n / (s.L * s.R * s.H);
    const bf16* q = run.q.at(b, h, i);
    const float* rotation = run.rotation.data() + h * s.size * columns;
    int64_t rest = run.bucket[n], column = r * columns / s.R;
    for (const int64_t factor : run.factors) {
      std::vector<double> z, sum;
      for (int64_t c = 0; c < factor; ++c) {
        double value = 0, terms = 0;
        for (int64_t k = 0; k < s.size; ++k) {
          const double term = double(q[k]) * rotation[k * columns + column + c % (factor / 2)];
          value += c < factor / 2 ? term : -term;
          terms += std::abs(term);
        }
        z.push_back(value), sum.push_back(terms);
      }
      const auto chosen = static_cast<size_t>(rest % factor);
      const auto best = static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin());
      REQUIRE(z[chosen] >= z[best] - 0x1p-16 * (sum[chosen] + sum[best]));
      others += chosen != best;
      rest /= factor;
      column += factor / 2;
    }
    REQUIRE(rest == 0);
  }
  CHECK(others <= 2 + std::ssize(run.bucket) / 1000);
}

Errors errors_of(Run<bf16>& run) {
  run.forward();
  run.backward();
  check_buckets(run);
  auto want = Attention<bf16>(run.definition(), run.q, run.q, run.v).run(run.dy, &run.y);
  for (size_t n = 0; n < want.dq.values.size(); ++n) want.dq.values[n] += want.dk.values[n];
  check_log_sums(run.log_sum, want.log_sum);
  // Gradients of scores are differences of dots of `size` numbers.
  const double dots = std::sqrt(double(run.shape.size));
  return {relative(run.y, want.y, 0),
          std::max(relative(run.dq, want.dq, dots), relative(run.dv, want.dv, 0))};
}

Run<bf16> random_run(unsigned seed, int64_t longest) {
  Dice roll(seed);
  const std::vector<std::vector<int64_t>> factors{{2}, {4}, {2, 6}, {8}, {16, 4}, {4, 2, 6}};
  const int64_t size = odd_width(seed, roll);
  tiles::LshShape shape{.B = roll(1, 2), .H = roll(1, 3), .L = roll(1, longest), .R = roll(1, 4)};
  shape.size = size;
  shape.window = roll(0, 1) ? roll(1, 100) : roll(1, 8);
  shape.causal = roll(0, 1) == 1;
  Run<bf16> run(shape, factors[static_cast<size_t>(roll(0, 5))], seed, roll(0, 2) == 0);
  if (roll(0, 2) == 0) run.dropout = {0.2f, {seed, 1, 5}};
  return run;
}

/// Positions [0, t) of `from`.
Run<bf16> prefix_of(const Run<bf16>& from, int64_t t) {
  tiles::LshShape shape = from.shape;
  shape.L = t;
  Run<bf16> to(shape, from.factors, 2, false);
  to.rotation = from.rotation;
  for (int64_t h = 0; h < shape.H; ++h) {
    for (int64_t i = 0; i < t; ++i) {
      std::copy_n(from.q.at(0, h, i), shape.size, to.q.at(0, h, i));
      std::copy_n(from.v.at(0, h, i), shape.size, to.v.at(0, h, i));
    }
  }
  return to;
}

/// The list that lsh_step() takes for position t.
std::vector<int32_t> seen_by(const Run<bf16>& run, int64_t t) {
  const auto& s = run.shape;
  std::vector<int32_t> seen;
  for (int64_t round = 0; round < s.B * s.H * s.R; ++round) {
    const int32_t* bucket = run.bucket.data() + round * s.L;
    std::vector<int32_t> same, row;
    for (int64_t j = 0; j < t; ++j) {
      if (bucket[j] == bucket[t]) same.push_back(static_cast<int32_t>(j));
    }
    const int64_t first = std::max<int64_t>(0, std::ssize(same) - s.window);
    row.assign(static_cast<size_t>(first % tiles::kBucketRun), -1);
    row.insert(row.end(), same.begin() + first, same.end());
    row.resize(static_cast<size_t>(s.window + tiles::kBucketRun), -1);
    seen.insert(seen.end(), row.begin(), row.end());
  }
  return seen;
}

}  // namespace

TEST_CASE("LSH attention in bf16 equals its definition") {
  if (skips_bf16()) return;
  check_definition(random_run, errors_of);
}

TEST_CASE("rows too many for a thread's copies change nothing, in bf16") {
  if (skips_bf16()) return;
  for (const bool causal : {false, true}) {
    tiles::LshShape shape{.B = 1, .H = 2, .L = 530, .size = 2000, .R = 2, .window = 4};
    shape.causal = causal;
    Run<bf16> run(shape, {32}, 5, true);
    run.shape.key_scale.scale = 0.02;
    const Errors errors = errors_of(run);
    CHECK(errors.y <= kForwardBound);
    CHECK(errors.gradient <= kGradientBound);
  }
}

TEST_CASE("a prefix of causal LSH attention in bf16 has the same bits") {
  if (skips_bf16()) return;
  for (const int64_t size : {20, 32, 65}) {
    tiles::LshShape shape{.B = 1, .H = 2, .L = 200, .size = size, .R = 3, .window = 37};
    Run<bf16> whole(shape, {4}, 12, false);
    whole.forward();
    for (const int64_t t : {1, 2, 15, 16, 31, 32, 33, 65, 128, 199}) {
      CAPTURE(t);
      Run<bf16> prefix = prefix_of(whole, t);
      Run<bf16> spoilt = whole;
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = t; i < 200; ++i) {
          std::fill_n(spoilt.q.at(0, h, i), size, bf16(NAN));
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
    }
  }
}

TEST_CASE("a step of LSH attention in bf16 gives the row's bits") {
  if (skips_bf16()) return;
  for (const int64_t window : {1, 5, 32, 50}) {
    tiles::LshShape shape{.B = 1, .H = 2, .L = 190, .size = 33, .R = 2, .window = window};
    Run<bf16> whole(shape, {2}, 8, false);
    whole.forward();
    for (const int64_t t : {0, 1, 7, 32, 33, 100, 189}) {
      CAPTURE(window);
      CAPTURE(t);
      const std::vector<int32_t> seen = seen_by(whole, t);
      const auto row = [&](const Array<bf16>& x) {
        tiles::HeadView<const bf16> one = view(x);
        one.data = x.at(0, 0, t);
        return one;
      };
      tiles::LshShape step = whole.shape;
      step.L = t;
      Array<bf16> y(1, 2, 1, 33);
      tiles::lsh_step<bf16, bf16>(step,
                                  {row(whole.q), row(whole.v), view(std::as_const(whole.q)),
                                   view(std::as_const(whole.v)), seen.data()},
                                  view(y));
      for (int64_t h = 0; h < 2; ++h) {
        CHECK(same_numbers<bf16>(y.at(0, h, 0), whole.y.at(0, h, t), 33));
      }
    }
  }
}

TEST_CASE("batch, threads and layout change no bit of LSH attention in bf16") {
  if (skips_bf16()) return;
  const int threads = tenet::num_threads();
  for (const bool causal : {false, true}) {
    tiles::LshShape shape{
        .B = 3, .H = 2, .L = 170, .size = 40, .R = 2, .window = 20, .causal = causal};
    tenet::set_num_threads(1);
    Run<bf16> all(shape, {8}, 9, true);
    all.forward(), all.backward();
    for (const int count : {2, 3}) {
      tenet::set_num_threads(count);
      Run<bf16> many = all;
      many.forward(), many.backward();
      CHECK(many.bucket == all.bucket);
      CHECK(same_array(many.y, all.y));
      CHECK(same_array(many.dq, all.dq));
      CHECK(same_array(many.dv, all.dv));
    }
    shape.B = 1;
    for (int64_t b = 0; b < 3; ++b) {
      Run<bf16> alone(shape, {8}, 10, false);
      alone.rotation = all.rotation;
      alone.mask.assign(all.mask.begin() + b * 170, all.mask.begin() + (b + 1) * 170);
      for (int64_t n = 0; n < 2 * 170; ++n) {
        for (auto [to, from] :
             {std::pair{&alone.q, &all.q}, {&alone.v, &all.v}, {&alone.dy, &all.dy}})
          std::copy_n(from->at(b, n % 2, n / 2), 40, to->at(0, n % 2, n / 2));
      }
      alone.forward(), alone.backward();
      for (int64_t n = 0; n < 2 * 170; ++n) {
        const int64_t h = n % 2, i = n / 2;
        CHECK(same_numbers(alone.y.at(0, h, i), all.y.at(b, h, i), 40));
        CHECK(same_numbers(alone.dq.at(0, h, i), all.dq.at(b, h, i), 40));
        CHECK(same_numbers(alone.dv.at(0, h, i), all.dv.at(b, h, i), 40));
      }
    }
  }
  tenet::set_num_threads(threads);
}

TEST_CASE("a value that is not finite reaches the queries that see it, in bf16") {
  if (skips_bf16()) return;
  for (const bool causal : {false, true}) {
    tiles::LshShape shape{
        .B = 1, .H = 1, .L = 150, .size = 17, .R = 2, .window = 9, .causal = causal};
    Run<bf16> clean(shape, {4}, 7, false);
    clean.forward();
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const int64_t at : {0, 31, 80, 149}) {
        Run<bf16> run = clean;
        run.v.at(0, 0, at)[3] = bad;
        run.attend();
        for (int64_t i = 0; i < 150; ++i) {
          CAPTURE(i);
          const auto seen = run.sees(0, 0, i);
          const bool sees = seen.empty() ? i == at
                                         : std::any_of(seen.begin(), seen.end(),
                                                       [&](Seen s) { return s.key == at; });
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

TEST_CASE("LSH attention in bf16") { MESSAGE("skipped: not in this build"); }

#endif
