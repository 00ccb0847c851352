/// Optimizer: what turns gradients into changes of parameters.
#pragma once

#include <tenet/core/tensor.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tenet::optim {

/// The tensors to train, by name: `model.named_parameters()`, or `model.parameters()`, which names
/// them "0", "1", ...
class ParameterList {
 public:
  ParameterList(
      std::vector<std::pair<std::string, Tensor>> named)  // NOLINT(google-explicit-constructor)
      : named_(std::move(named)) {}
  ParameterList(const std::vector<Tensor>& tensors);  // NOLINT(google-explicit-constructor)

  const std::vector<std::pair<std::string, Tensor>>& named() const { return named_; }

 private:
  std::vector<std::pair<std::string, Tensor>> named_;
};

/// The base of all optimizers. A step has the same bits with any number of threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Changes every parameter that has a gradient. No parameter has changed if it throws.
  void step();
  /// Drops the gradients.
  void clear_grad();

  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double rate) { learning_rate_ = rate; }
  /// How many steps were taken.
  int64_t steps() const { return steps_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// "step" and, for each parameter, "<parameter>.<what>". They share their elements with the
  /// optimizer. Loaded into a new optimizer with the same options, they continue to the same bits.
  std::map<std::string, Tensor> state() const;
  /// Error: every name that is missing or unexpected and every shape that differs; nothing has
  /// changed then.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  /// A parameter in a step, contiguous like its gradient.
  struct Active {
    size_t index;
    Tensor value, gradient;
  };

  /// Error: no parameters, one given twice, or one that is not floating-point or not contiguous.
  Optimizer(const ParameterList& parameters, double learning_rate, std::string name);

  /// Adds to every parameter a zero tensor of state, of the std::optional<Shape> that
  /// `shape(parameter)` gives.
  template <class ShapeOf>
  void add_state(const std::string& what, ShapeOf&& shape) {
    std::vector<Tensor> tensors;
    for (const Tensor& parameter : parameters_) {
      tensors.push_back(zero_state(parameter, shape(parameter)));
    }
    state_.emplace_back(what, std::move(tensors));
  }
  /// The i-th state, in the order of add_state(), of parameter `index`, for writing.
  Tensor state_of(size_t i, size_t index);

  /// Step number `step`, counted from 1.
  virtual void update(const std::vector<Active>& active, int64_t step) = 0;

 private:
  static Tensor zero_state(const Tensor& parameter, const std::optional<Shape>& shape);

  std::string name_;
  std::vector<std::string> names_;
  std::vector<Tensor> parameters_;
  std::vector<std::pair<std::string, std::vector<Tensor>>> state_;
  double learning_rate_;
  int64_t steps_ = 0;
};

}  // namespace tenet::optim
