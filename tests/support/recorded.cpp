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
    result.cases.push_back({info.at("op"), info.value("kind", "numbers"), info.at("args"), index,
                            info.value("inputs", size_t{0}), info.value("outputs", size_t{0})});
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

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The largest of error(got, want) over the elements that are finite in both; infinite where shapes
/// differ or one is not finite and the other not the same in y's type.
template <class F>
double largest(const Tensor& y, const Tensor& reference, F error) {
  if (y.shape() != reference.shape()) return infinity;
  const auto got = y.to_vector<double>(), want = reference.to_vector<double>(),
             rounded = reference.to(y.dtype()).to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(rounded[i]) && std::isfinite(got[i])) {
      worst = std::max(worst, error(got[i], want[i]));
    } else if (got[i] != rounded[i] && !(std::isnan(got[i]) && std::isnan(want[i]))) {
      return infinity;
    }
  }
  return worst;
}

}  // namespace

double recorded_error(const Tensor& y, const Tensor& reference) {
  double scale = 0;
  const double error = largest(y, reference, [&](double got, double want) {
    scale = std::max(scale, std::abs(want));
    return std::abs(got - want);
  });
  return scale > 0 ? error / scale : error;
}

double recorded_relative_error(const Tensor& y, const Tensor& reference, double floor) {
  return largest(y, reference, [&](double got, double want) {
    return std::abs(got - want) / std::max(std::abs(want), floor);
  });
}

double ulp(double value, DType dtype) {
  struct Format {
    int digits, exponent;  // of the fraction, and the least one of a normal number
  };
  const Format format = dtype == DType::bf16  ? Format{7, -126}
                        : dtype == DType::f16 ? Format{10, -14}
                        : dtype == DType::f32 ? Format{23, -126}
                                              : Format{52, -1022};
  const int exponent = value == 0 ? format.exponent : std::ilogb(value);
  return std::ldexp(1.0, std::max(exponent, format.exponent) - format.digits);
}

double recorded_ulps(const Tensor& y, const Tensor& reference, double floor) {
  return largest(y, reference, [&](double got, double want) {
    return std::abs(got - want) / ulp(std::max(std::abs(want), floor), y.dtype());
  });
}

double WorstFigures::Figures::of(DType dtype) const {
  const auto found = worst.find(dtype);
  return found == worst.end() ? 0 : found->second;
}

void WorstFigures::note(const RecordedCase& recorded, const std::string& what, DType dtype,
                        double error, double tolerance) {
  Figures& figures = worst_[recorded.op];
  figures.samples.insert(recorded.index);
  figures.worst[dtype] = std::max(figures.of(dtype), error);
  ++figures.compared;
  INFO(recorded.text(), ", ", what, " in ", std::string(to_string(dtype)));
  CHECK(error <= tolerance);
}

WorstFigures::~WorstFigures() {
  const auto text = [](const Figures& figures) {
    std::string result;
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
      if (!figures.worst.contains(dtype)) continue;
      const double error = figures.of(dtype);
      result += itemsize(dtype) == 2 ? fmt::format("  {} {:.2f} ulp", to_string(dtype), error)
                                     : fmt::format("  {} {:8.1e}", to_string(dtype), error);
    }
    return result.empty() ? std::string("  equal") : result;
  };
  Figures all;
  size_t samples = 0;
  for (const auto& [op, figures] : worst_) {
    samples += figures.samples.size();
    all.compared += figures.compared;
    for (const auto& [dtype, error] : figures.worst) {
      all.worst[dtype] = std::max(all.of(dtype), error);
    }
  }
  fmt::print("{} against PyTorch's numbers: {} names, {} samples, {} comparisons, worst{}\n",
             title_, worst_.size(), samples, all.compared, text(all));
  if (!std::getenv("TENET_REFERENCE_TABLE")) return;
  for (const auto& [op, figures] : worst_) {
    fmt::print("  {:36} {:4} samples{}\n", op, figures.samples.size(), text(figures));
  }
}

}  // namespace tenet::test
