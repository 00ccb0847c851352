/// Optimizers: what turns gradients into steps.
#pragma once

#include <tenet/core/tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tenet::optim {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Holds parameters and what the method keeps for each. A parameter without a gradient is left alone. One step makes one
/// parallel pass over each parameter and gives the same bits for any number of threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Changes every parameter that has a gradient, in place.
  void step();
  /// Drops the gradients.
  void clear_grad();

  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double rate) { learning_rate_ = rate; }
  const NamedTensors& parameters() const { return parameters_; }

  /// Everything beside the parameters that the next step depends on, by name: copies share the elements.
  std::map<std::string, Tensor> state() const;
  /// Puts back a state(). Error: a name or shape that does not belong; nothing is changed then.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  /// `slots` names the tensors kept per parameter, of the shapes that slot_shape() gives.
  Optimizer(NamedTensors parameters, double learning_rate, std::vector<std::string> slots);
  static NamedTensors numbered(const std::vector<Tensor>& parameters);

  /// Shape of one slot of a parameter; an empty optional leaves it out.
  virtual Shape slot_shape(size_t slot, const Shape& parameter) const;
  virtual bool has_slot(size_t /*slot*/, const Shape& /*parameter*/) const { return true; }
  void make_slots();
  /// One parameter's step number `t` (from 1). `slots` are its tensors, undefined where left out.
  virtual void update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
                      int64_t t) = 0;

 private:
  NamedTensors parameters_;
  double learning_rate_;
  std::vector<std::string> slot_names_;
  std::vector<std::vector<Tensor>> slots_;  // by parameter
  std::vector<int64_t> steps_;              // by parameter
};

}  // namespace tenet::optim
