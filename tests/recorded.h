/// PyTorch's numbers, recorded by tests/reference/make_fixtures.py.
#pragma once

#include <tenet/core/safetensors.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace tenet::test {

/// One case of a file: an op with its arguments, and tensors by short names: inputs x0, x1, ...,
/// outputs y0, ..., cotangents c0, ..., gradients of the inputs d0, ... Kinds: "numbers" for every
/// floating type, "extremes" likewise, "types" with types of their own, "errors", "differs".
struct RecordedCase {
  std::string op, kind;
  nlohmann::json args;
  size_t index = 0, inputs = 0, outputs = 0;
  std::map<std::string, Tensor> tensors = {};

  bool has(const std::string& name) const { return tensors.contains(name); }
  Tensor at(const std::string& name) const;
  /// The input, in `dtype` if it is floating-point.
  Tensor input(size_t i, DType dtype) const;
  template <class T>
  T arg(const char* name, T otherwise) const {
    return args.value(name, otherwise);
  }
  std::string text() const;
};

struct RecordedFile {
  std::vector<RecordedCase> cases;
  std::map<std::string, Tensor> shared;  // what belongs to no case
};

/// tests/reference/<name>. ctest says where that is by TENET_REFERENCE; without it the working
/// directory is taken for the repository's root.
std::string reference_path(const std::string& name);

/// The cases of tests/reference/<name>.safetensors.
RecordedFile load_recorded(const std::string& name);

/// The largest |y - reference| over the largest |reference| (1 if all are 0); infinite if shapes
/// differ, or where one is NaN or infinite and the other not the same.
double recorded_error(const Tensor& y, const Tensor& reference);

/// The distance of neighbours of y's floating type in the binade of `value`: its unit in the last
/// place.
double ulp(double value, DType dtype);

/// The largest |y - reference| / max(|reference|, floor) by element, where the reference is f64 and
/// infinite is what y's type cannot hold; NaN and infinities as in recorded_error().
double recorded_relative_error(const Tensor& y, const Tensor& reference, double floor);

/// The same with ulp(max(|reference|, floor)) for the denominator: at best half a unit.
double recorded_ulps(const Tensor& y, const Tensor& reference, double floor);

/// The worst error of each op and type. Printed at the end if TENET_REFERENCE_TABLE is set.
class WorstFigures {
 public:
  explicit WorstFigures(std::string title) : title_(std::move(title)) {}
  ~WorstFigures();
  WorstFigures(const WorstFigures&) = delete;
  WorstFigures& operator=(const WorstFigures&) = delete;

  /// CHECKs that the error is at most `tolerance`: in units of the last place for half types,
  /// relative for other floats, and 0 or not for what has to be exact.
  void note(const RecordedCase& recorded, const std::string& what, DType dtype, double error,
            double tolerance);

 private:
  struct Figures {
    std::map<DType, double> worst;
    std::set<size_t> samples;
    int compared = 0;
    double of(DType dtype) const;
  };
  std::string title_;
  std::map<std::string, Figures> worst_;
};

}  // namespace tenet::test
