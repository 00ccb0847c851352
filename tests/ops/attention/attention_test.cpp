#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/op_case.h>
#include <tenet/core/autograd.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/local_attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cstring>
#include <numeric>

#include "reference.h"

using namespace tenet;
using tenet::test::Arrays;
using tenet::test::check_error;
using tenet::test::OpCase;
using tenet::test::same_bits;

namespace reference = attention_reference;

namespace {

using Values = reference::Array<double>;
using Sees = std::function<bool(int64_t b, int64_t i, int64_t j)>;

Values heads_of(const test::Array& x) {
  Values y(x.shape[0], x.shape[1], x.shape[2], x.shape[3]);
  y.values = x.values;
  return y;
}

/// y by the formulas, each query seeing the keys that `sees` names.
test::Array attend(const Arrays& x, const Sees& sees, reference::Definition how = {}) {
  const Values q = heads_of(x[0]), k = heads_of(x[1]), v = heads_of(x[2]);
  how.scale = 1 / std::sqrt(static_cast<double>(q.size));
  how.sees = [&](int64_t b, int64_t, int64_t i) {
    std::vector<reference::Seen> keys;
    for (int64_t j = 0; j < k.L; ++j) {
      if (sees(b, i, j)) keys.push_back({0, j});
    }
    return keys;
  };
  if (!how.alone) how.alone = [](int64_t, int64_t) { return -1; };
  const Values none(q.B, q.H, q.L, q.size);
  return {x[0].shape, reference::Attention<double>(how, q, k, v).run(none).y.values};
}

/// The buckets, [B, H, R, L], of qk (B, H, L, K) under rotations (H, K, R, columns).
std::vector<double> buckets_of(const test::Array& qk, const test::Array& rotations,
                               const std::vector<int64_t>& factors) {
  const Shape &s = qk.shape, &t = rotations.shape;
  std::vector<double> bucket;
  for (int64_t n = 0; n < s[0] * s[1] * t[2] * s[2]; ++n) {
    const int64_t i = n % s[2], r = n / s[2] % t[2], head = n / (s[2] * t[2]);
    int64_t sum = 0, unit = 1, column = 0;
    for (const int64_t factor : factors) {
      std::vector<double> z(static_cast<size_t>(factor));
      for (int64_t c = 0; c < factor / 2; ++c, ++column) {
        for (int64_t d = 0; d < s[3]; ++d) {
          z[c] += qk.values[(head * s[2] + i) * s[3] + d] *
                  rotations.values[((head % s[1] * s[3] + d) * t[2] + r) * t[3] + column];
        }
        z[c + factor / 2] = -z[c];
      }
      sum += unit * (std::max_element(z.begin(), z.end()) - z.begin());
      unit *= factor;
    }
    bucket.push_back(static_cast<double>(sum));
  }
  return bucket;
}

/// lsh_attention by its definition; x = qk, v, rotations and perhaps the mask.
test::Array lsh_attend(const Arrays& x, const std::vector<int64_t>& factors, int64_t window,
                       bool causal) {
  const std::vector<double> bucket = buckets_of(x[0], x[2], factors);
  const Values qk = heads_of(x[0]), v = heads_of(x[1]);
  const auto used = [&](int64_t b, int64_t i) {
    return x.size() < 4 || x[3].values[b * qk.L + i] != 0;
  };
  reference::Definition how;
  how.R = x[2].shape[2];
  how.scale = 1 / std::sqrt(static_cast<double>(qk.size));
  how.normalize = true;
  how.alone = [&](int64_t b, int64_t i) { return used(b, i) ? i : -1; };
  how.sees = [&](int64_t b, int64_t h, int64_t i) {
    std::vector<reference::Seen> keys;
    for (int64_t r = 0; r < how.R && used(b, i); ++r) {
      const double* of = bucket.data() + ((b * qk.H + h) * how.R + r) * qk.L;
      int64_t before = 0, after = 0;
      for (int64_t j = i - 1; j >= 0; --j) {
        if (used(b, j) && of[j] == of[i] && before++ < window) keys.push_back({r, j});
      }
      for (int64_t j = i + 1; j < qk.L && !causal; ++j) {
        if (used(b, j) && of[j] == of[i] && after++ < window) keys.push_back({r, j});
      }
    }
    return keys;
  };
  const Values none(qk.B, qk.H, qk.L, qk.size);
  return {x[0].shape, reference::Attention<double>(how, qk, qk, v).run(none).y.values};
}

OpCase attention_row() {
  OpCase row{.op = "attention"};
  row.types = test::real_types;
  row.twice = false;
  row.tolerance = 1e-5;
  row.tolerance_bf16 = 2e-2;
  return row;
}

}  // namespace

TEST_CASE("op table: attention") {
  OpCase row = attention_row();
  const Tensor a = zeros({2, 3, 4, 8}), stream = encode(zeros({1, 1, 2, 2}));
  SUBCASE("full, and its errors") {
    row.inputs = {{.shape = {2, 3, 5, 4}}, {.shape = {2, 3, 7, 4}}, {.shape = {2, 3, 7, 4}}};
    row.function = [](const Tensors& x) { return attention(x[0], x[1], x[2]); };
    row.reference = [](const Arrays& x) {
      return attend(x, [](int64_t, int64_t, int64_t) { return true; });
    };
    const Shape one{1, 1, 1, 1}, none{2, 1, 0, 3}, keys{2, 1, 4, 3}, empty{0, 2, 3, 4};
    row.shapes = {{one, one, one}, {keys, none, none}, {none, keys, keys}, {empty, empty, empty}};
    const Tensor mask = zeros({2, 4}, {DType::boolean});
    row.errors = {
        {[=] {
           attention(zeros({3, 4, 8}), a, a);
         },
         "attention: q has shape (3, 4, 8), not (B, H, L, K)"},
        {[=] {
           attention(zeros({1, 1, 2, 2}, {DType::i32}), a, a);
         },
         "attention: dtype i32 is not supported"},
        {[=] { attention(stream, a, a); }, "attention: fixed-point stream; decode() it first"},
        {[=] {
           attention(a, zeros({2, 3, 5, 9}), a);
         },
         "attention: q has shape (2, 3, 4, 8), k has (2, 3, 5, 9)"},
        {[=] {
           attention(a, a, zeros({2, 3, 5, 8}));
         },
         "attention: k has shape (2, 3, 4, 8), v has (2, 3, 5, 8)"},
        {[=] { attention(a, a, a.to(DType::f64)); }, "attention: k is f32, v is f64"},
        {[=] { attention(a, a, a, {.offset = -1}); }, "attention: offset is -1, below 0"},
        {[=] { attention(a, a, a, {.dropout = 1}); }, "attention: dropout is 1, outside [0, 1)"},
        {[=] {
           attention(a, a, a, {.mask = zeros({2, 4})});
         },
         "attention: mask is f32; give boolean or u8, true where a key may be seen"},
        {[=] {
           attention(a, a, a, {.mask = zeros({2, 5}, {DType::u8})});
         },
         "attention: mask has shape (2, 5), keys (2, 3, 4, 8) need (2, 4)"},
    };
  }
  SUBCASE("causal, later queries, masked") {
    row.inputs = {{.shape = {2, 2, 3, 5}},
                  {.shape = {2, 2, 6, 5}},
                  {.shape = {2, 2, 6, 5}},
                  {.shape = {2, 6}, .low = 0, .high = 1, .dtype = DType::u8}};
    row.function = [](const Tensors& x) {
      return attention(x[0], x[1], x[2], {.causal = true, .offset = 2, .mask = x[3]});
    };
    row.reference = [](const Arrays& x) {
      return attend(x, [&](int64_t b, int64_t i, int64_t j) {
        return j <= i + 2 && x[3].values[b * 6 + j] != 0;
      });
    };
  }
  SUBCASE("shared queries and keys") {
    row.inputs = {{.shape = {1, 2, 6, 3}}, {.shape = {1, 2, 6, 3}}};
    row.function = [](const Tensors& x) {
      return attention(x[0], x[0], x[1],
                       {.causal = true, .normalize_keys = true, .exclude_self = true});
    };
    row.reference = [](const Arrays& x) {
      reference::Definition how;
      how.normalize = true;
      how.alone = [](int64_t, int64_t i) { return i; };
      return attend(
          {x[0], x[0], x[1]}, [](int64_t, int64_t i, int64_t j) { return j < i; }, how);
    };
  }
  SUBCASE("dropout") {
    row.inputs = {{.shape = {2, 2, 4, 3}}, {.shape = {2, 2, 5, 3}}, {.shape = {2, 2, 5, 3}}};
    row.function = [](const Tensors& x) {
      Generator generator(5);
      return attention(x[0], x[1], x[2], {.dropout = 0.4, .generator = &generator});
    };
    row.reference = [](const Arrays& x) {
      reference::Definition how;
      how.drop = 0.4;
      how.random = Generator(5).take(1);
      return attend(
          x, [](int64_t, int64_t, int64_t) { return true; }, how);
    };
  }
  run(row);
}

TEST_CASE("op table: local_attention") {
  OpCase row = attention_row();
  row = {.op = "local_attention", .types = row.types, .twice = false};
  row.tolerance = 1e-5, row.tolerance_bf16 = 2e-2;
  const Tensor a = zeros({1, 2, 4, 8});
  SUBCASE("causal, and its errors") {
    row.inputs = {{.shape = {2, 2, 11, 4}}, {.shape = {2, 2, 11, 4}}, {.shape = {2, 2, 11, 4}}};
    row.function = [](const Tensors& x) {
      return local_attention(x[0], x[1], x[2], {.chunk = 3, .before = 1});
    };
    row.reference = [](const Arrays& x) {
      return attend(x, [](int64_t, int64_t i, int64_t j) { return j <= i && j / 3 >= i / 3 - 1; });
    };
    const Shape one{1, 1, 1, 1}, none{2, 1, 0, 3};
    row.shapes = {{one, one, one}, {none, none, none}};
    row.errors = {
        {[=] {
           local_attention(a, zeros({1, 2, 5, 8}), a);
         },
         "local_attention: q has shape (1, 2, 4, 8), k has (1, 2, 5, 8)"},
        {[=] { local_attention(a, a, a, {.chunk = 0}); },
         "local_attention: chunk is 0, not positive"},
        {[=] { local_attention(a, a, a, {.before = -1}); },
         "local_attention: before is -1 and after is 0, below 0"},
        {[=] { local_attention(a, a, a, {.after = 1}); },
         "local_attention: after is 1 but causal is set; give after 0"},
    };
  }
  SUBCASE("both ways, masked") {
    row.inputs = {{.shape = {2, 1, 9, 3}},
                  {.shape = {2, 1, 9, 3}},
                  {.shape = {2, 1, 9, 3}},
                  {.shape = {2, 9}, .low = 0, .high = 1, .dtype = DType::boolean}};
    row.function = [](const Tensors& x) {
      return local_attention(x[0], x[1], x[2],
                             {.chunk = 2, .before = 0, .after = 2, .causal = false, .mask = x[3]});
    };
    row.reference = [](const Arrays& x) {
      return attend(x, [&](int64_t b, int64_t i, int64_t j) {
        return j / 2 >= i / 2 && j / 2 <= i / 2 + 2 && x[3].values[b * 9 + j] != 0;
      });
    };
  }
  run(row);
}

TEST_CASE("op table: lsh_attention and lsh_hash") {
  OpCase row;
  const Tensor a = zeros({2, 3, 4, 8}), turns = zeros({3, 8, 2, 4});
  SUBCASE("lsh_attention, causal, and its errors") {
    row = {.op = "lsh_attention", .twice = false};
    row.inputs = {{.shape = {2, 2, 12, 4}},
                  {.shape = {2, 2, 12, 4}},
                  {.shape = {2, 4, 3, 2}, .differentiable = false}};
    row.function = [](const Tensors& x) {
      return lsh_attention(x[0], x[1], x[2], {.factors = {4}, .window = 3});
    };
    row.reference = [](const Arrays& x) { return lsh_attend(x, {4}, 3, true); };
    const Shape one{1, 1, 1, 1}, none{0, 1, 0, 3};
    row.shapes = {{one, one, {1, 1, 1, 2}}, {none, none, {1, 3, 2, 2}}};
    row.errors = {
        {[=] { lsh_attention(a, a, turns, {}); }, "lsh_attention: no bucket factors are given"},
        {[=] { lsh_attention(a, a, turns, {.factors = {7}}); },
         "lsh_attention: bucket factor 7 is not even and positive"},
        {[=] {
           lsh_attention(a, a, turns, {.factors = {65536, 65536}});
         },
         "lsh_attention: the factors give more than 2^31 buckets"},
        {[=] { lsh_attention(a, a, turns, {.factors = {6}}); },
         "lsh_attention: rotations have shape (3, 8, 2, 4), qk (2, 3, 4, 8) needs (3, 8, R, 3)"},
        {[=] { lsh_attention(a, a, turns, {.factors = {8}, .window = 0}); },
         "lsh_attention: window is 0, not positive"},
        {[=] {
           lsh_attention(a, zeros({2, 3, 4, 4}), turns, {.factors = {8}});
         },
         "lsh_attention: qk has shape (2, 3, 4, 8), v has (2, 3, 4, 4)"},
    };
  }
  SUBCASE("lsh_attention, both ways, masked, factors") {
    row = {.op = "lsh_attention", .twice = false};
    row.inputs = {{.shape = {2, 2, 14, 3}},
                  {.shape = {2, 2, 14, 3}},
                  {.shape = {2, 3, 2, 3}, .differentiable = false},
                  {.shape = {2, 14}, .low = 0, .high = 1, .dtype = DType::u8}};
    row.function = [](const Tensors& x) {
      return lsh_attention(x[0], x[1], x[2],
                           {.factors = {2, 4}, .window = 2, .causal = false, .mask = x[3]});
    };
    row.reference = [](const Arrays& x) { return lsh_attend(x, {2, 4}, 2, false); };
  }
  SUBCASE("lsh_hash") {
    row = {.op = "lsh_hash", .result = DType::i32, .differentiable = false};
    row.inputs = {{.shape = {2, 3, 9, 5}}, {.shape = {3, 5, 2, 5}}};
    row.function = [](const Tensors& x) { return lsh_hash(x[0], x[1], {4, 6}); };
    row.reference = [](const Arrays& x) {
      const Shape s{x[0].shape[0], x[0].shape[1], x[1].shape[2], x[0].shape[2]};
      return test::Array{s, buckets_of(x[0], x[1], {4, 6})};
    };
    row.shapes = {{{0, 3, 9, 5}, {3, 5, 1, 5}}};
    row.errors = {
        {[=] {
           lsh_hash(a, turns, {8, 2});
         },
         "lsh_hash: rotations have shape (3, 8, 2, 4), qk (2, 3, 4, 8) needs (3, 8, R, 5)"}};
  }
  run(row);
}

TEST_CASE("attention gives merged heads without a copy") {
  Generator generator(1);
  const Tensor x = randn({2, 5, 3 * 4}, generator);
  const Tensor heads = permute(view(x, {2, 5, 3, 4}), {0, 2, 1, 3});
  const Tensor y = attention(heads, heads, heads, {.causal = true});
  CHECK(y.shape() == Shape{2, 3, 5, 4});
  CHECK(permute(y, {0, 2, 1, 3}).is_contiguous());
}

TEST_CASE("cached decoding gives the rows of the whole pass to the bit") {
  Generator generator(2);
  const Shape shape{2, 2, 70, 20};
  const Tensor q = randn(shape, generator), k = randn(shape, generator),
               v = randn(shape, generator);
  const Tensor full = attention(q, k, v, {.causal = true});
  const Tensor local = local_attention(q, k, v, {.chunk = 16, .before = 2});
  for (int64_t t = 0; t < 70; ++t) {
    const auto upto = [&](const Tensor& x, int64_t start) { return slice(x, 2, start, t + 1); };
    const Tensor query = slice(q, 2, t, t + 1);
    CHECK(same_bits(attention(query, upto(k, 0), upto(v, 0)), slice(full, 2, t, t + 1)));
    const int64_t start = std::max<int64_t>(t / 16 - 2, 0) * 16;
    CHECK(same_bits(attention(query, upto(k, start), upto(v, start)), slice(local, 2, t, t + 1)));
  }
}

TEST_CASE("attention's gradient cannot be differentiated again, and says so") {
  const Tensor q = test::random_leaf({1, 1, 3, 2}, 1);
  const Tensor y = attention(q, q, q);
  check_error([&] { grad({y}, {q}, {.dy = {ones_like(y)}, .create_graph = true}); },
              "attention: has no second derivative; use it without create_graph");
}

TEST_CASE("attention dropout takes one number per weight, wherever it comes from") {
  Generator first(3), second(3);
  const Tensor x = randn({2, 2, 6, 4}, first);
  randn({2, 2, 6, 4}, second);
  const uint64_t before = first.offset();
  const Tensor a = attention(x, x, x, {.dropout = 0.5, .generator = &first});
  CHECK(first.offset() - before == 2 * 2 * 6 * 6 / 4);
  CHECK(same_bits(attention(x, x, x, {.dropout = 0.5, .generator = &second}), a));
  CHECK_FALSE(same_bits(attention(x, x, x, {.dropout = 0.5, .generator = &second}), a));
  Generator other(9);
  const Tensor turns = randn({2, 4, 3, 2}, other);
  const uint64_t place = first.offset();
  lsh_attention(x, x, turns, {.factors = {4}, .dropout = 0.5, .generator = &first});
  CHECK(first.offset() - place == 2 * 2 * 3 * 6 * 6 / 4);
}

TEST_CASE("attention under autocast takes f32 in the half type") {
  Generator generator(4);
  const Tensor x = randn({1, 2, 9, 8}, generator);
  const Tensor turns = randn({2, 8, 2, 4}, generator);
  const Autocast scope(DType::bf16);
  const Tensor half = x.to(DType::bf16);
  CHECK(attention(x, x, x).dtype() == DType::bf16);
  CHECK(same_bits(attention(x, x, x), attention(half, half, half)));
  CHECK(same_bits(lsh_attention(x, x, turns, {.factors = {8}}),
                  lsh_attention(half, half, turns, {.factors = {8}})));
}
