/// The op table: one row per public function of ops/ drives every test that all ops share.
#pragma once

#include <compare.h>
#include <device.h>
#include <tenet/core/autograd.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tenet::test {

/// A reference's operand or result: row-major values in double.
struct Array {
  Shape shape;
  std::vector<double> values;
};
using Arrays = std::vector<Array>;

struct OpInput {
  Shape shape;
  double low = -2, high = 2;        // elements are uniform in between (integers: both included)
  std::optional<DType> dtype = {};  // a fixed type; by default the floating type under test
  std::vector<double> values = {};  // the elements, repeated as needed, instead of random ones
  bool differentiable = true;
};

/// A callable from tensors to one tensor or to several.
class OpFunction {
 public:
  OpFunction() = default;
  template <class F>
  requires std::invocable<F, const Tensors&> OpFunction(
      F f)  // NOLINT(google-explicit-constructor): rows hold lambdas
      : call_([f](const Tensors& x) {
          if constexpr (std::is_same_v<decltype(f(x)), Tensor>)
            return Tensors{f(x)};
          else
            return Tensors(f(x));
        }) {}
  Tensors operator()(const Tensors& x) const { return call_(x); }

 private:
  std::function<Tensors(const Tensors&)> call_;
};

/// A callable from arrays to one array or to several, written without the library.
class OpReference {
 public:
  OpReference() = default;
  template <class F>
  requires std::invocable<F, const Arrays&> OpReference(F f)  // NOLINT(google-explicit-constructor)
      : call_([f](const Arrays& x) {
          if constexpr (std::is_same_v<decltype(f(x)), Array>)
            return Arrays{f(x)};
          else
            return Arrays(f(x));
        }) {}
  explicit operator bool() const { return static_cast<bool>(call_); }
  Arrays operator()(const Arrays& x) const { return call_(x); }

 private:
  std::function<Arrays(const Arrays&)> call_;
};

/// The types that functions of real numbers, of numbers and of any elements take.
inline const std::vector<DType> real_types{DType::f32, DType::f64, DType::bf16, DType::f16};
inline const std::vector<DType> number_types{DType::f32, DType::f64, DType::bf16,
                                             DType::f16, DType::i32, DType::i64};
inline const std::vector<DType> any_types{DType::f32, DType::f64, DType::bf16,   DType::f16,
                                          DType::i32, DType::i64, DType::boolean};

struct OpError {
  std::function<void()> call;
  std::string text;  // the whole message
};

/// Errors are measured as |y - reference| / max(1, |reference|).
struct OpCase {
  std::string op;
  std::vector<OpInput> inputs = {};
  OpFunction function = {};
  OpReference reference = {};
  double tolerance = 1e-6;  // f32
  double tolerance_f64 = 1e-12;
  double tolerance_bf16 = 1e-2;
  double tolerance_f16 = 2e-3;
  std::vector<DType> types = {DType::f32, DType::f64};
  std::optional<DType> result = {};  // type of the outputs; by default the type under test
  std::vector<std::vector<Shape>> shapes =
      {};                             // more shapes of the inputs: broadcast, empty, size 1
  std::vector<double> extremes = {};  // f32 values that go through each input in turn
  bool differentiable = true;
  bool twice = true;  // also a second time
  double gradient_tolerance = 1e-6;
  bool layout_exact = true;      // strided inputs give the same bits
  double cuda_tolerance = 1e-5;  // CPU against CUDA in f32
  std::vector<OpError> errors = {};
};

/// Runs everything that the row says: forward in each type against the reference; strided inputs;
/// the further shapes; extreme values; gradcheck and gradgradcheck, also with strided inputs and
/// cotangent; backward twice with retain_graph; the exact text of each error; CUDA against the CPU
/// where there is a GPU.
void run(const OpCase& row);

/// Values that functions of real numbers must survive.
std::vector<double> real_extremes();

/// A reference that applies `f` element by element to broadcast operands.
OpReference each(std::function<double(double)> f);
OpReference each(std::function<double(double, double)> f);
OpReference each(std::function<double(double, double, double)> f);

/// Normal numbers of a seed.
Tensor random(Shape shape, uint64_t seed, DType dtype = DType::f32);

}  // namespace tenet::test
