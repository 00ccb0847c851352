#include <doctest/doctest.h>
#include <fmt/format.h>

#include <recorded.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace tenet::test {

Tensor RecordedCase::at(const std::string& name) const {
  const auto found = tensors.find(name);
  REQUIRE_MESSAGE(found != tensors.end(), text() << " has no " << name);
  return found->second;
}

Tensor RecordedCase::input(size_t i, DType dtype) const {
  const Tensor x = at("x" + std::to_string(i));
  return is_floating(x.dtype()) ? x.to(dtype) : x;
}

std::string RecordedCase::text() const {
  return fmt::format("case {}: {} {}", index, op, args.dump());
}

std::string reference_path(const std::string& name) {
  const char* folder = std::getenv("TENET_REFERENCE");
  return std::string(folder ? folder : "tests/reference") + "/" + name;
}

RecordedFile load_recorded(const std::string& name) {
  safetensors::File file = safetensors::load(reference_path(name + ".safetensors"));
  RecordedFile result;
  for (const auto& info : nlohmann::json::parse(file.metadata.at("cases"))) {
    const size_t index = result.cases.size();
    result.cases.push_back({info.at("op"), info.at("args"), index, info.value("inputs", size_t{0}),
                            info.value("outputs", size_t{0})});
  }
  for (const auto& [key, tensor] : file.tensors) {
    const size_t dot = key.find('.');
    const bool numbered = dot != std::string::npos && std::isdigit(key[0]);
    if (numbered) {
      result.cases.at(std::stoul(key)).tensors.emplace(key.substr(dot + 1), tensor);
    } else {
      result.shared.emplace(key, tensor);
    }
  }
  return result;
}

double recorded_error(const Tensor& y, const Tensor& reference) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (y.shape() != reference.shape()) return infinity;
  const auto got = y.to_vector<double>(), want = reference.to_vector<double>();
  double largest = 0, error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(want[i]) && std::isfinite(got[i])) {
      largest = std::max(largest, std::abs(want[i]));
      error = std::max(error, std::abs(got[i] - want[i]));
    } else if (got[i] != want[i] && !(std::isnan(got[i]) && std::isnan(want[i]))) {
      return infinity;
    }
  }
  return largest > 0 ? error / largest : error;
}

void WorstFigures::note(const RecordedCase& recorded, const std::string& what, DType dtype,
                        double error, double tolerance) {
  Figures& figures = worst_[recorded.op];
  double& worst = dtype == DType::f64 ? figures.f64 : figures.f32;
  worst = std::max(worst, error);
  ++figures.compared;
  INFO(recorded.text(), ", ", what, " in ", std::string(to_string(dtype)));
  CHECK(error <= tolerance);
}

WorstFigures::~WorstFigures() {
  int compared = 0;
  double f32 = 0, f64 = 0;
  for (const auto& [op, figures] : worst_) {
    compared += figures.compared;
    f32 = std::max(f32, figures.f32);
    f64 = std::max(f64, figures.f64);
  }
  fmt::print(
      "{} against PyTorch's numbers: {} names, {} comparisons, worst {:.1e} in f32, {:.1e} in "
      "f64\n",
      title_, worst_.size(), compared, f32, f64);
  if (!std::getenv("TENET_REFERENCE_TABLE")) return;
  for (const auto& [op, figures] : worst_) {
    fmt::print("  {:36} f32 {:8.1e}  f64 {:8.1e}\n", op, figures.f32, figures.f64);
  }
}

}  // namespace tenet::test
