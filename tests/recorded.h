/// PyTorch's numbers, recorded by tests/reference/make_fixtures.py.
#pragma once

#include <tenet/core/safetensors.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tenet::test {

/// One case of a file: an op with its arguments, and tensors by short names: inputs x0, x1, ...,
/// outputs y0, ..., cotangents c0, ..., gradients of the inputs d0, ...
struct RecordedCase {
  std::string op;
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

/// The worst error of each op and type. Printed at the end if TENET_REFERENCE_TABLE is set.
class WorstFigures {
 public:
  explicit WorstFigures(std::string title) : title_(std::move(title)) {}
  ~WorstFigures();
  WorstFigures(const WorstFigures&) = delete;
  WorstFigures& operator=(const WorstFigures&) = delete;

  /// CHECKs that the error is at most `tolerance`.
  void note(const RecordedCase& recorded, const std::string& what, DType dtype, double error,
            double tolerance);

 private:
  struct Figures {
    double f32 = 0, f64 = 0;
    int compared = 0;
  };
  std::string title_;
  std::map<std::string, Figures> worst_;
};

}  // namespace tenet::test
