/// Promise: positions that come one after the other give the rows of one call on all, to the bit,
/// whatever the batch, its lengths and how they are cut.
#include <compare.h>
#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/ops/attention/attention_cache.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/views.h>

#include <functional>
#include <random>

using namespace tenet;
using namespace tenet::test;

namespace {

struct Size {
  int64_t B, H, L, K;
};

/// What is attended to; k is not used by LSH attention.
struct Parts {
  Tensor q, k, v;
  Parts cut(int64_t first, int64_t count) const {
    const auto part = [&](const Tensor& x) { return slice(x, 2, first, first + count); };
    return {part(q), part(k), part(v)};
  }
  Parts row(int64_t b, int64_t count) const {
    const auto part = [&](const Tensor& x) { return slice(slice(x, 0, b, b + 1), 2, 0, count); };
    return {part(q), part(k), part(v)};
  }
};

using Whole = std::function<Tensor(const Parts&)>;
using Cached = std::function<Tensor(AttentionCache&, const Parts&, const Tensor& mask)>;

Parts random_parts(const Size& s, DType dtype, uint64_t seed) {
  Generator generator(seed);
  const Shape shape{s.B, s.H, s.L, s.K};
  const auto draw = [&] { return randn(shape, generator).to(dtype); };
  const Tensor q = draw(), k = draw();
  return {q, k, draw()};
}

/// All at once against a prompt of `prompt` positions and then `step` at a time.
bool same_in_steps(const Parts& x, int64_t prompt, int64_t step, const Whole& whole,
                   const Cached& cached) {
  const NoGrad scope;
  const Tensor want = whole(x);
  AttentionCache cache;
  const int64_t L = x.q.size(2);
  for (int64_t first = 0; first < L;) {
    const int64_t count = std::min(first == 0 ? prompt : step, L - first);
    const Tensor got = cached(cache, x.cut(first, count), {});
    if (!same_bits(got, slice(want, 2, first, first + count))) return false;
    first += count;
  }
  return cache.length(0) == L;
}

/// A batch whose rows begin with prompts of different lengths and then grow by one, against each
/// row alone.
bool same_when_ragged(const Parts& x, std::vector<int64_t> lengths, int64_t steps,
                      const Whole& whole, const Cached& cached) {
  const NoGrad scope;
  const int64_t B = x.q.size(0), L = *std::max_element(lengths.begin(), lengths.end());
  std::vector<uint8_t> used;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < L; ++i) used.push_back(i < length);
  }
  AttentionCache cache;
  Tensor got = cached(cache, x.cut(0, L), from_vector(used, {B, L}).to(DType::boolean));
  bool same = true;
  const auto compare = [&](int64_t b, int64_t at, const Tensor& y) {
    const Tensor want = whole(x.row(b, at + 1));
    same = same && same_bits(y, slice(want, 2, at, at + 1));
  };
  for (int64_t b = 0; b < B; ++b) {
    const int64_t last = lengths[static_cast<size_t>(b)] - 1;
    compare(b, last, slice(slice(got, 0, b, b + 1), 2, last, last + 1));
  }
  for (int64_t i = 0; i < steps; ++i) {
    std::vector<Tensor> q, k, v;
    for (int64_t b = 0; b < B; ++b) {
      const Parts all = x.row(b, lengths[static_cast<size_t>(b)] + 1);
      const int64_t at = lengths[static_cast<size_t>(b)];
      q.push_back(slice(all.q, 2, at, at + 1)), k.push_back(slice(all.k, 2, at, at + 1));
      v.push_back(slice(all.v, 2, at, at + 1));
    }
    got = cached(cache, {concatenate(q, 0), concatenate(k, 0), concatenate(v, 0)}, {});
    for (int64_t b = 0; b < B; ++b) {
      compare(b, lengths[static_cast<size_t>(b)]++, slice(got, 0, b, b + 1));
    }
  }
  return same;
}

/// Random sizes for one op.
void check_op(const std::function<std::pair<Whole, Cached>(std::mt19937&, const Size&)>& op) {
  std::mt19937 random(5);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  int different = 0;
  for (int i = 0; i < 60; ++i) {
    const Size s{pick(1, 3), pick(1, 3), pick(2, 150), pick(1, 40)};
    const DType dtype = i % 4 == 0 ? DType::f64 : i % 4 == 1 ? DType::bf16 : DType::f32;
    const Parts x = random_parts(s, dtype, static_cast<uint64_t>(i));
    const auto [whole, cached] = op(random, s);
    const bool steps = same_in_steps(x, pick(1, s.L), pick(1, 3), whole, cached);
    std::vector<int64_t> lengths;
    for (int64_t b = 0; b < s.B; ++b) lengths.push_back(pick(1, s.L - 1));
    const int64_t most = s.L - *std::max_element(lengths.begin(), lengths.end());
    const bool ragged = same_when_ragged(x, lengths, std::min<int64_t>(most, 20), whole, cached);
    INFO("case " << i << ", " << to_string(dtype) << " (" << s.B << ", " << s.H << ", " << s.L
                 << ", " << s.K << ")");
    CHECK(steps);
    CHECK(ragged);
    different += !steps || !ragged;
  }
  CHECK(different == 0);
}

}  // namespace

TEST_CASE("cached attention gives the rows of attention, to the bit") {
  check_op([](std::mt19937& random, const Size&) {
    AttentionOptions o{.causal = true};
    o.normalize_keys = o.exclude_self = random() % 2 == 0;
    return std::pair<Whole, Cached>([o](const Parts& x) { return attention(x.q, x.k, x.v, o); },
                                    [o](AttentionCache& cache, const Parts& x, const Tensor& mask) {
                                      AttentionOptions with = o;
                                      with.mask = mask;
                                      return cache.attention(x.q, x.k, x.v, with);
                                    });
  });
}

TEST_CASE("cached local attention gives the rows of local_attention, to the bit") {
  check_op([](std::mt19937& random, const Size&) {
    LocalAttentionOptions o{.chunk = 1 + static_cast<int64_t>(random() % 40),
                            .before = static_cast<int64_t>(random() % 3)};
    return std::pair<Whole, Cached>(
        [o](const Parts& x) { return local_attention(x.q, x.k, x.v, o); },
        [o](AttentionCache& cache, const Parts& x, const Tensor& mask) {
          LocalAttentionOptions with = o;
          with.mask = mask;
          return cache.local_attention(x.q, x.k, x.v, with);
        });
  });
}

TEST_CASE("cached LSH attention gives the rows of lsh_attention, to the bit") {
  check_op([](std::mt19937& random, const Size& s) {
    LshAttentionOptions o{.window = 1 + static_cast<int64_t>(random() % 70)};
    o.factors = random() % 2 == 0 ? std::vector<int64_t>{2} : std::vector<int64_t>{4, 2};
    Generator generator(random());
    const Tensor rotations =
        randn({s.H, s.K, 1 + static_cast<int64_t>(random() % 4), o.factors.size() == 1 ? 1 : 3},
              generator);
    return std::pair<Whole, Cached>(
        [o, rotations](const Parts& x) { return lsh_attention(x.q, x.v, rotations, o); },
        [o, rotations](AttentionCache& cache, const Parts& x, const Tensor& mask) {
          LshAttentionOptions with = o;
          with.mask = mask;
          return cache.lsh_attention(x.q, x.v, cache.rows() == 0 ? rotations : Tensor(), with);
        });
  });
}

TEST_CASE("selected rows of a cache go on as what they were") {
  const NoGrad scope;
  const Parts x = random_parts({2, 2, 20, 8}, DType::f32, 3);
  AttentionCache cache;
  cache.attention(slice(x.q, 2, 0, 9), slice(x.k, 2, 0, 9), slice(x.v, 2, 0, 9));
  cache.select({1, 1, 0});
  CHECK(cache.rows() == 3);
  const auto next = [&](int64_t first, int64_t second, int64_t third) {
    const auto part = [&](const Tensor& t) {
      const auto at = [&](int64_t b, int64_t i) {
        return slice(slice(t, 0, b, b + 1), 2, i, i + 1);
      };
      return concatenate({at(1, first), at(1, second), at(0, third)}, 0);
    };
    return cache.attention(part(x.q), part(x.k), part(x.v));
  };
  next(9, 15, 9);  // the second row goes another way
  const Tensor got = next(10, 16, 10);
  const auto row = [&](const Tensor& y, int64_t b) { return slice(y, 0, b, b + 1); };
  const Tensor want = attention(x.q, x.k, x.v, {.causal = true});
  CHECK(same_bits(row(got, 0), slice(row(want, 1), 2, 10, 11)));
  CHECK_FALSE(same_bits(row(got, 1), row(got, 0)));
  CHECK(same_bits(row(got, 2), slice(row(want, 0), 2, 10, 11)));
}

TEST_CASE("local attention's cache keeps the chunks in sight") {
  const NoGrad scope;
  const Parts x = random_parts({1, 1, 1000, 16}, DType::f32, 3);
  AttentionCache cache;
  const auto live = [] { return memory::stats(Device::cpu()).live; };
  const LocalAttentionOptions o{.chunk = 8, .before = 1};
  const auto step = [&](int64_t i) {
    const Parts one = x.cut(i, 1);
    cache.local_attention(one.q, one.k, one.v, o);
  };
  for (int64_t i = 0; i < 100; ++i) step(i);
  const int64_t before = live();
  for (int64_t i = 100; i < 1000; ++i) step(i);
  CHECK(live() == before);
}

TEST_CASE("what a cache refuses") {
  const Parts x = random_parts({2, 1, 4, 4}, DType::f32, 3);
  AttentionCache cache;
  CHECK_THROWS_WITH_AS(cache.attention(x.q, x.k, x.v),
                       "attention: a cache keeps no graph; use NoGrad", Error);
  const NoGrad scope;
  CHECK_THROWS_WITH_AS(cache.attention(x.q, x.k, x.v, {}),
                       "attention: a cache holds earlier positions only; give causal", Error);
  CHECK_THROWS_WITH_AS(cache.attention(x.q, x.k, x.v, {.causal = true, .dropout = 0.5}),
                       "attention: dropout is 0.5; with a cache give 0", Error);
  CHECK_THROWS_WITH_AS(cache.attention(x.q, x.k, x.v, {.causal = true, .offset = 1}),
                       "attention: offset is 1; the cache knows it, give 0", Error);
  const Tensor holes = from_vector<uint8_t>({1, 1, 0, 0, 1, 0, 1, 0}, {2, 4});
  CHECK_THROWS_WITH_AS(cache.attention(x.q, x.k, x.v, {.causal = true, .mask = holes}),
                       "attention: position 1 of row 1 is not in use and a later one is; with a "
                       "cache those in use come first",
                       Error);
  AttentionCache other;
  other.attention(x.q, x.k, x.v);
  const Parts one = x.row(0, 1);
  CHECK_THROWS_WITH_AS(other.attention(one.q, one.k, one.v),
                       "attention: a batch of 1, the cache holds 2 sequences", Error);
  const Parts narrow = random_parts({2, 1, 1, 3}, DType::f32, 3);
  CHECK_THROWS_WITH_AS(other.attention(narrow.q, narrow.k, narrow.v),
                       "attention: k is f32 (2, 1, 1, 3), the cache holds f32 (1, 1, 4, 4)", Error);
  CHECK_THROWS_WITH_AS(other.attention(x.cut(0, 1).q, x.cut(0, 1).k, x.cut(0, 2).v),
                       "attention: k has shape (2, 1, 1, 4), v has (2, 1, 2, 4)", Error);
  CHECK_THROWS_WITH_AS(other.select({2}), "attention cache: row 2 of 2", Error);
}
