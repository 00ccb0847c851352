#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/op_case.h>
#include <ops/reference_philox.h>
#include <tenet/core/checkpoint.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/stream.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("op table: dropout") {
  OpCase row{.op = "dropout", .inputs = {{.shape = {5, 7}}}};
  row.function = [](const Tensors& x) {
    Generator generator(3);
    return dropout(x[0], 0.3, generator);
  };
  row.reference = [](const Arrays& x) {
    Array y = x[0];
    const std::vector<double> u = reference_uniforms(3, 0, y.values.size());
    for (size_t i = 0; i < u.size(); ++i) y.values[i] = u[i] >= 0.3 ? y.values[i] / 0.7 : 0;
    return y;
  };
  row.types = real_types;
  row.tolerance_f64 = 1e-7;
  row.shapes = {{{}}, {{0, 3}}, {{1}}, {{2, 1, 300}}};
  row.shapes.pop_back();
  row.errors = {
      {[] { dropout(zeros({1}), 1.5); }, "dropout: p is 1.5; it must be from 0 to 1"},
      {[] { dropout(zeros({1}, {DType::i64}), 0.5); }, "dropout: dtype i64 is not supported"},
      {[] { dropout(encode(zeros({1})), 0.5); }, "dropout: fixed-point stream; decode() it first"}};
  run(row);
}

TEST_CASE("dropout keeps the expected share and the mean") {
  Generator generator(2);
  const std::vector<double> y = dropout(ones({100000}), 0.2, generator).to_vector<double>();
  double kept = 0, sum = 0;
  for (double v : y) kept += v != 0, sum += v;
  CHECK(kept / 1e5 == doctest::Approx(0.8).epsilon(0.01));
  CHECK(sum / 1e5 == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("dropout without effect takes nothing from the generator") {
  Generator generator(2);
  const Tensor x = ones({10});
  CHECK(view(dropout(x, 0.5, generator, false)).data == view(x).data);
  CHECK(view(dropout(x, 0.0, generator)).data == view(x).data);
  CHECK(generator.offset() == 0);
  CHECK(dropout(x, 1.0, generator).to_vector<double>() == std::vector<double>(10, 0.0));
  CHECK(generator.offset() == 3);
}

TEST_CASE("the backward pass uses the same mask and saves none") {
  Generator generator(4);
  Tensor x = ones({1000}, {.requires_grad = true});
  Tensor input = x * 1;
  const Tensor y = dropout(input, 0.5, generator);
  generator.set_offset(77);  // the graph has its own place
  {
    const NoGrad scope;
    input.mutable_data<float>()[0] = 9;
  }
  const Tensor dx = grad({y}, {x}, {.dy = {ones({1000})}})[0];
  CHECK(dx.to_vector<double>() == y.to_vector<double>());
}

TEST_CASE("dropout inside a checkpoint is drawn again from the same place") {
  Generator generator(4);
  Tensor x = ones({1000}, {.requires_grad = true});
  const auto f = [&](const Tensors& v) { return Tensors{square(dropout(v[0], 0.5, generator))}; };
  const Tensor y = checkpoint(f, {x})[0];
  const uint64_t after = generator.offset();
  const Tensor dx = grad({y}, {x}, {.dy = {ones({1000})}})[0];
  CHECK(generator.offset() == after);
  CHECK(dx.to_vector<double>() == (y * 2).to_vector<double>());
}
