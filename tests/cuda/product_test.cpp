// How products of matrices are laid out for cuBLASLt, and the tiles of those that it does not make.
#include "blocks.h"

#include <doctest/doctest.h>
#include <tenet/cuda/detail/plain_product_task.h>
#include <tenet/cuda/detail/product_plan.h>

#include <array>
#include <cmath>
#include <cstring>

using namespace tenet;
using namespace tenet::cuda;
using cuda_test::numbers;

namespace {

MatrixView matrix(int64_t row_stride, int64_t column_stride, Strides batch = {}) {
  return {nullptr, DType::f32, row_stride, column_stride, batch};
}

template <class T>
struct Operand {
  std::vector<T> data;
  int64_t row, column, item;
};

/// (items, rows, columns), by rows or by columns, with gaps.
template <class T>
Operand<T> operand(int64_t items, int64_t rows, int64_t columns, bool by_columns, bool repeated,
                   std::mt19937& random) {
  const int64_t row = by_columns ? 1 : columns + 3, column = by_columns ? rows + 2 : 1;
  const int64_t item = repeated ? 0 : (rows + 3) * (columns + 3);
  return {numbers<T>((rows + 3) * (columns + 3) * items, random), row, column, item};
}

/// Runs every block of a plain product and compares each element.
template <class From, class Sum, class To, class Wide>
void check_plain(int64_t items, int64_t m, int64_t n, int64_t k, bool a_by_columns,
                 bool b_by_columns, bool accumulate, double tolerance) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  using Task = PlainProductTask<From, Sum, To>;
  std::mt19937 random(7);
  const auto a = operand<From>(items, m, k, a_by_columns, false, random);
  const auto b = operand<From>(items, k, n, b_by_columns, items > 1, random);
  auto c = operand<To>(items, m, n, false, false, random);
  const auto before = c.data;
  const auto bias = numbers<To>(n, random);
  Task task{};
  task.a = a.data.data(), task.b = b.data.data(), task.c = c.data.data(), task.bias = bias.data();
  task.m = m, task.n = n, task.k = k;
  task.a_row = a.row, task.a_column = a.column, task.b_row = b.row, task.b_column = b.column;
  task.c_row = c.row, task.c_column = c.column;
  const auto axis = [&](int64_t step) { return View{nullptr, DType::f32, {}, {items}, {step}}; };
  task.batch = Indexing<3>({items}, {axis(a.item), axis(b.item), axis(c.item)});
  task.row_tiles = (m + Task::tile - 1) / Task::tile;
  task.column_tiles = (n + Task::tile - 1) / Task::tile;
  task.accumulate = accumulate;
  for (int64_t block = 0; block < items * task.row_tiles * task.column_tiles; ++block) {
    typename Task::Shared shared{};
    std::vector<typename Task::Local> locals(Task::threads);
    const auto place = task.place(block);
    for (int64_t first = 0; first < k; first += Task::depth) {
      for (int t = 0; t < Task::threads; ++t) task.load(shared, place, first, t);
      for (int t = 0; t < Task::threads; ++t) task.multiply(shared, locals[t], first, t);
    }
    for (int t = 0; t < Task::threads; ++t) task.finish(locals[t], place, t);
  }
  auto expected = before;
  for (int64_t item = 0; item < items; ++item) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<size_t>(item * c.item + i * c.row + j);
        Wide sum = accumulate ? static_cast<Wide>(before[at]) : Wide(0);
        for (int64_t p = 0; p < k; ++p) {
          sum += static_cast<Wide>(
                     a.data[static_cast<size_t>(item * a.item + i * a.row + p * a.column)]) *
                 static_cast<Wide>(
                     b.data[static_cast<size_t>(item * b.item + p * b.row + j * b.column)]);
        }
        sum += static_cast<Wide>(bias[static_cast<size_t>(j)]);
        if constexpr (std::is_integral_v<Wide>) {
          expected[at] = static_cast<To>(sum);
        } else {
          REQUIRE(std::abs(static_cast<double>(c.data[at]) - sum) <= tolerance);
          expected[at] = c.data[at];
        }
      }
    }
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    REQUIRE(std::memcmp(&expected[i], &c.data[i], sizeof(To)) == 0);
  }
}

}  // namespace

TEST_CASE("plain products: integers modulo 2^w and floats, any layout, bits beyond C untouched") {
  for (const auto [m, n, k] : {std::array<int64_t, 3>{1, 1, 1}, {65, 130, 17}, {3, 64, 40}}) {
    for (bool a : {false, true}) {
      for (bool b : {false, true}) {
        check_plain<uint32_t, uint32_t, uint32_t, uint32_t>(2, m, n, k, a, b, false, 0);
        check_plain<uint8_t, uint32_t, uint8_t, uint32_t>(1, m, n, k, a, b, true, 0);
        check_plain<float, float, float, double>(2, m, n, k, a, b, true, 1e-4);
        check_plain<bf16, float, bf16, double>(1, m, n, k, a, b, false, 0.2);
      }
    }
  }
}

TEST_CASE("a matrix is read by rows or by columns if one of both lies without gaps") {
  const auto by_rows = layout_of(matrix(7, 1), 3, 5), by_columns = layout_of(matrix(1, 4), 3, 5);
  REQUIRE((by_rows && by_columns));
  CHECK((!by_rows->by_columns && by_rows->ld == 7));
  CHECK((by_columns->by_columns && by_columns->ld == 4));
  CHECK(!layout_of(matrix(10, 2), 3, 5));
  CHECK(!layout_of(matrix(0, 1), 3, 5));  // repeated rows
  CHECK(!layout_of(matrix(4, 1), 3, 5));  // rows that overlap
  CHECK(layout_of(matrix(0, 1), 1, 5)->ld == 5);
  CHECK(layout_of(matrix(6, 9), 3, 1)->ld == 6);
}

TEST_CASE("alignment is that of every row of every item") {
  alignas(16) static float data[64];
  MatrixView x{data, DType::f32, 8, 1, {32}};
  CHECK(alignment_of(x, {false, 8}) == 16);
  CHECK(alignment_of(x, {false, 10}) == 8);
  x.batch_strides = {33};
  CHECK(alignment_of(x, {false, 8}) == 4);
  x = {data + 2, DType::f32, 8, 1, {}};
  CHECK(alignment_of(x, {false, 8}) == 8);
}

TEST_CASE("batch axes become rows, merge or go away") {
  Gemm linear{.m = 5, .n = 3, .k = 4, .batch = {2, 1, 6}};
  linear.a = matrix(4, 1, {120, 9, 20});
  linear.b = matrix(1, 4, {0, 0, 0});
  linear.c = matrix(3, 1, {90, 9, 15});
  fold(linear);
  CHECK(linear.batch.empty());
  CHECK(linear.m == 60);

  Gemm row{.m = 1, .n = 3, .k = 4, .batch = {7}};
  row.a = matrix(0, 1, {4}), row.b = matrix(3, 1, {0}), row.c = matrix(0, 1, {3});
  fold(row);
  CHECK((row.m == 7 && row.a.row_stride == 4 && row.c.row_stride == 3));

  Gemm heads{.m = 5, .n = 5, .k = 4, .batch = {2, 3, 6}};
  heads.a = heads.b = matrix(4, 1, {360, 120, 20});
  heads.c = matrix(5, 1, {450, 150, 25});
  fold(heads);
  CHECK(heads.batch == Shape{36});
  CHECK(heads.a.batch_strides == Strides{20});

  Gemm apart = heads;
  apart.batch = {2, 6};
  apart.a = matrix(24, 1, {1000, 4}), apart.b = matrix(24, 1, {1000, 4});
  apart.c = matrix(5, 1, {150, 25});
  fold(apart);
  CHECK(apart.batch == Shape{2, 6});
}

TEST_CASE("the algorithm for a row does not depend on how many there are") {
  LtShape few, many;
  few.m = 1, many.m = 100000, many.batch = 7, many.a_step = 5;
  few.k = many.k = few.a.ld = many.a.ld = 64;
  CHECK(!(few == many));
  CHECK(canonical(few) == canonical(many));
  many.n = 2;
  CHECK(!(canonical(few) == canonical(many)));
}

TEST_CASE("long sums have parts of equal length that cover them") {
  CHECK(part_length(4096, 4096, 65536, 4) == 65536);
  CHECK(part_length(512, 512, 1500, 4) == 1500);
  for (int64_t k : {2048, 5000, 65536, 1000001}) {
    const int64_t length = part_length(512, 256, k, 4);
    CHECK(length % 64 == 0);
    CHECK(length >= 1024);
    CHECK(length < k);
  }
  CHECK(part_length(512, 512, 65536, 4) == 4096);
}
