#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/op_case.h>
#include <tenet/core/reversible.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>

#include <cmath>
#include <limits>

using namespace tenet;
using namespace tenet::test;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

double units(double x) { return std::nearbyint(x * 65536); }

Tensor raw(std::vector<int32_t> units, int fraction_bits = 16) {
  const Tensor q = empty_fixed({static_cast<int64_t>(units.size())}, fraction_bits);
  std::copy(units.begin(), units.end(), q.mutable_data<int32_t>());
  return q;
}

std::vector<int32_t> bits(const Tensor& q) {
  const Tensor x = q.detach().contiguous();
  return {x.data<int32_t>(), x.data<int32_t>() + x.numel()};
}

/// `count` f32 zeros with one value at element `at`.
Tensor with_value(int64_t count, int64_t at, double value) {
  const Tensor x = zeros({count});
  x.mutable_data<float>()[at] = static_cast<float>(value);
  return x;
}

}  // namespace

TEST_CASE("op table: the stream") {
  OpCase row{.op = "encode", .inputs = {{.shape = {3, 4}, .low = -100, .high = 100}}};
  row.function = [](const Tensors& x) { return encode(x[0]); };
  row.reference = each(units);
  row.tolerance = row.tolerance_f64 = row.tolerance_bf16 = row.tolerance_f16 = 0;
  row.types = real_types;
  row.result = DType::fixed32;
  row.shapes = {{{}}, {{0, 3}}, {{1}}, {{2, 1, 3}}};
  row.differentiable = false;  // by differences it is a staircase; see below
  row.errors = {
      {[] { encode(with_value(6, 4, not_a_number)); },
       "encode: non-finite value at element 4 of (6,)"},
      {[] { encode(with_value(6, 4, -16384)); },
       "encode: |x| reaches 16384 at element 4 of (6,); the stream overflows at 16 fraction bits"},
      {[] { encode(zeros({2}), 31); }, "empty_fixed: 31 fraction bits; 0 to 30 are allowed"},
      {[] { encode(arange(3)); }, "encode: x is i64; it must be floating"}};
  run(row);

  row.op = "decode";
  row.function = [](const Tensors& x) { return decode(encode(x[0])); };
  row.reference = each([](double x) { return units(x) / 65536; });
  row.result = DType::f32;
  row.errors = {{[] { decode(zeros({2})); }, "decode: x is f32; only fixed32 is decoded"}};
  run(row);
}

TEST_CASE("op table: couplings of the stream") {
  OpCase row{.op = "coupling_add", .inputs = {{.shape = {3, 4}}, {.shape = {3, 4}}}};
  row.function = [](const Tensors& x) { return coupling_add(encode(x[0]), x[1]); };
  row.reference = each([](double x, double d) { return units(x) + units(d); });
  row.tolerance = row.tolerance_f64 = row.tolerance_bf16 = row.tolerance_f16 = 0;
  row.types = real_types;
  row.result = DType::fixed32;
  row.shapes = {{{}, {}}, {{0, 3}, {0, 3}}, {{1}, {1}}};
  row.differentiable = false;
  const Tensor x = encode(zeros({2, 3}));
  row.errors = {{[=] { coupling_add(x, zeros({3})); },
                 "coupling_add: x is (2, 3), delta (3,); the shapes must be equal"},
                {[=] {
                   coupling_add(x, zeros({2, 3}, {DType::i64}));
                 },
                 "coupling_add: delta is i64; it must be floating"},
                {[=] { coupling_add(zeros({1}, {DType::i64}), zeros({1})); },
                 "coupling_add: x is i64; it must be fixed32 or floating"}};
  run(row);
  row.op = "coupling_sub";
  row.function = [](const Tensors& x) { return coupling_sub(encode(x[0]), x[1]); };
  row.reference = each([](double x, double d) { return units(x) - units(d); });
  row.errors.clear();
  run(row);
}

TEST_CASE("op table: couplings of a floating stream") {
  OpCase row{.op = "coupling_add", .inputs = {{.shape = {3, 4}}, {.shape = {3, 4}}}};
  row.function = [](const Tensors& x) { return coupling_add(x[0], x[1]); };
  row.reference = each([](double x, double d) { return x + d; });
  row.types = real_types;
  run(row);
  row.op = "coupling_sub";
  row.function = [](const Tensors& x) { return coupling_sub(x[0], x[1]); };
  row.reference = each([](double x, double d) { return x - d; });
  run(row);
  CHECK(coupling_add(ones({2}, {DType::bf16}), ones({2})).dtype() == DType::bf16);
}

TEST_CASE("coupling_sub inverts coupling_add to the bit, whatever the values") {
  Generator generator(1);
  for (const DType type : real_types) {
    for (const double scale : {1e-6, 1.0, 300.0, 6e4}) {
      const Tensor delta = (randn({4099}, generator) * scale).to(type);
      std::vector<int32_t> start;
      for (double v : (randn({4099}, generator) * 1e8).to_vector<double>()) {
        start.push_back(static_cast<int32_t>(std::clamp(v, -1.07e9, 1.07e9)));
      }
      const Tensor x = raw(start);
      Tensor y;
      try {
        y = coupling_add(x, delta);
      } catch (const Error&) {  // overflow is reported, and inverts all the same
        y = empty_like(x);
        try {
          detail::coupling_add_kernel(Device::cpu(), view(y), view(x), view(delta), 16);
        } catch (const Error&) {
        }
      }
      CHECK(bits(coupling_sub(y, delta)) == start);
    }
  }
}

TEST_CASE("what wraps around or is not a number is reported and still inverts") {
  const std::vector<int32_t> start{5, INT32_MAX, INT32_MIN, 1 << 29, -(1 << 29), 0};
  const Tensor x = raw(start);
  for (const double value : {not_a_number, infinity, -infinity, 16384.0, -16384.0, 1e30, 20000.0}) {
    for (int64_t at = 0; at < 6; ++at) {
      const Tensor delta = with_value(6, at, value), y = empty_like(x);
      CHECK_THROWS_AS(detail::coupling_add_kernel(Device::cpu(), view(y), view(x), view(delta), 16),
                      Error);
      CHECK(bits(coupling_sub(y, delta)) == start);
    }
  }
}

TEST_CASE("the first bad element is named") {
  const Tensor x = encode(zeros({2, 100000}));
  const auto delta = [](double first, double second) {
    const Tensor d = zeros({2, 100000});
    d.mutable_data<float>()[70001] = static_cast<float>(first);
    d.mutable_data<float>()[150000] = static_cast<float>(second);
    return d;
  };
  check_error([&] { coupling_add(x, delta(not_a_number, 1e9)); },
              "coupling_add: non-finite value at element 70001 of (2, 100000)");
  check_error([&] { coupling_add(x, delta(1, -infinity)); },
              "coupling_add: non-finite value at element 150000 of (2, 100000)");
  check_error([&] { coupling_add(x, delta(-2e4, not_a_number)); },
              "coupling_add: |delta| reaches 16384 at element 70001 of (2, 100000); the stream "
              "overflows at 16 fraction bits");
  const Tensor full_stream = encode(full({2, 3}, 16383.0));
  check_error(
      [&] {
        coupling_add(full_stream, full({2, 3}, 1.0));
      },
      "coupling_add: |x| reaches 16384 at element 0 of (2, 3); the stream overflows at 16 fraction "
      "bits");
  CHECK_NOTHROW(coupling_add(full_stream, full({2, 3}, 0.5)));
  CHECK_NOTHROW(coupling_sub(full_stream, full({2, 3}, -1e9)));
  CHECK_NOTHROW(coupling_sub(full_stream, full({2, 3}, not_a_number)));
}

TEST_CASE("encode rounds to nearest even and decode is exact below 2^24 units") {
  const Tensor x = from_vector<double>({0.5, 1.5, 2.5, -0.5, -1.5}, {5});
  CHECK(bits(encode(x, 0)) == std::vector<int32_t>{0, 2, 2, 0, -2});
  const Tensor q = raw({1, -(1 << 24), 0x3fffffff}, 16);
  CHECK(decode(q).to_vector<double>() == std::vector<double>{0x1p-16, -256, 16384});
  CHECK(bits(encode(decode(raw({123456, -7}, 20)), 20)) == std::vector<int32_t>{123456, -7});
}

TEST_CASE("the stream's gradient is the identity, of the right types") {
  Tensor x = ones({3}, {DType::bf16, Device::cpu(), true}),
         delta = ones({3}, {DType::bf16, Device::cpu(), true});
  const Tensor q = encode(x);
  CHECK(q.requires_grad());
  const Tensor y = decode(coupling_sub(coupling_add(q, delta), delta * 3));
  const Tensors d = grad({y}, {q, x, delta}, {.dy = {from_vector<float>({1, 2, 3}, {3})}});
  CHECK(d[0].dtype() == DType::f32);
  CHECK(d[1].dtype() == DType::bf16);
  CHECK(d[2].dtype() == DType::bf16);
  CHECK(d[0].to_vector<double>() == std::vector<double>{1, 2, 3});
  CHECK(d[1].to_vector<double>() == std::vector<double>{1, 2, 3});
  CHECK(d[2].to_vector<double>() == std::vector<double>{-2, -4, -6});
}

TEST_CASE("by differences much larger than a unit the stream is the identity, twice") {
  const auto f = [](const Tensors& x) {
    const Tensor stream = coupling_add(encode(x[0], 26), x[1] * x[1]);
    return Tensors{decode(coupling_sub(stream, x[1]))};
  };
  const Tensors xs{random_leaf({5}, 1), random_leaf({5}, 2)};
  const GradcheckOptions options{.step = 0.03, .tolerance = 1e-4};
  check_gradients("stream", f, xs, options);
  check_second_gradients("stream", f, xs, options);
}

TEST_CASE("the stream saves nothing") {
  const Tensor x = encode(ones({3}, {.requires_grad = true}));
  Tensor delta = ones({3});
  const Tensor y = coupling_add(x, delta);
  delta.mutable_data<float>()[0] = 7;
  x.bump_version();
  CHECK_NOTHROW(backward(decode(y), {.dy = ones({3})}));
}
