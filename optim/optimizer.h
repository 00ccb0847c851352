/// Optimizer: what turns gradients into changes of parameters.
#pragma once

#include <tenet/core/tensor.h>

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Optimizers, learning-rate schedules and gradient clipping.
namespace tenet::optim {

struct ParameterGroup;

/// The tensors to train, by name: `model.named_parameters()`, or `model.parameters()`, which names
/// them "0", "1", ...; or groups of them with options of their own.
class ParameterList {
 public:
  /// What module.named_parameters() gives.
  using Named = std::vector<std::pair<std::string, Tensor>>;
  /// What a group has instead of the optimizer's options.
  struct Options {
    std::optional<double> learning_rate, weight_decay;  // empty: the optimizer's
  };

  ParameterList(Named named)  // NOLINT(google-explicit-constructor)
      : named_(std::move(named)), group_of_(named_.size()) {}
  ParameterList(const std::vector<Tensor>& tensors);         // NOLINT(google-explicit-constructor)
  ParameterList(const std::vector<ParameterGroup>& groups);  // NOLINT(google-explicit-constructor)
  ParameterList(std::initializer_list<ParameterGroup> groups);

  /// All tensors with their names.
  const Named& named() const { return named_; }
  /// The options of each group; one without any if there are no groups.
  const std::vector<Options>& groups() const { return groups_; }
  /// The group of each tensor.
  const std::vector<size_t>& group_of() const { return group_of_; }

 private:
  void add(const ParameterGroup& group);

  Named named_;
  std::vector<size_t> group_of_;
  std::vector<Options> groups_{{}};
  bool numbered_ = false;  // the names are places in the list
};

/// Parameters with a learning rate or weight decay of their own.
///
///     optim::AdamW optimizer({{.parameters = body.named_parameters(), .learning_rate = 1e-4},
///                             {.parameters = head.named_parameters(), .weight_decay = 0}},
///                            {.learning_rate = 1e-3});
///
/// The learning rate is that of an optimizer at its initial rate: set_learning_rate(), and so a
/// schedule, changes the rates of all groups by one factor. Unnamed tensors are numbered through
/// all groups. Names must differ between groups: prefix them, or list the whole model's.
struct ParameterGroup {
  ParameterList parameters;                                     // of this group
  std::optional<double> learning_rate = {}, weight_decay = {};  // empty: the optimizer's
};

/// The base of all optimizers. A step has the same bits with any number of threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Changes every parameter that has a gradient; a frozen one has none. If it throws, the
  /// parameters of a group have changed together or not at all, and the step is not counted.
  void step();
  /// The same, if `number`, one f64 element on the parameters' device, turns out to be finite,
  /// which is found out there: the program does not wait. Counted as a step all the same; whoever
  /// learns that it was none calls uncount_step(). Where an optimizer of one's own does not look at
  /// Step::guard, the number is read here.
  void step_if_finite(const Tensor& number);
  /// Counts one step less.
  void uncount_step();
  /// Drops the gradients.
  void clear_grad();

  /// The rate of the next step, of groups without a rate of their own.
  double learning_rate() const { return learning_rate_; }
  /// Also changes the rate of every group, by the same factor.
  void set_learning_rate(double rate) { learning_rate_ = rate; }
  /// The rate of a group in the next step.
  double learning_rate(size_t group) const;
  /// How many groups there are; at least 1.
  size_t groups() const { return groups_.size(); }
  /// How many steps were taken.
  int64_t steps() const { return steps_; }
  /// All parameters in the order given.
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// "step" and, for each parameter, "<parameter>.<what>". They share their elements with the
  /// optimizer. Loaded into a new optimizer with the same options, they continue to the same bits.
  /// safetensors::save() writes them and safetensors::load() reads them.
  std::map<std::string, Tensor> state() const;
  /// Error: every name that is missing or unexpected and every shape that differs; nothing has
  /// changed then.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  /// A parameter in a step, contiguous like its gradient.
  struct Active {
    size_t index;            // among parameters()
    Tensor value, gradient;  // they share their elements with the parameter
  };
  /// What every optimizer has, of one group in one step.
  struct Step {
    int64_t number;                      // counted from 1
    double learning_rate, weight_decay;  // of this group, this step
    const double* guard = nullptr;       // of step_if_finite(), in the parameters' device's memory
  };

  /// Error: no parameters, one given twice, two of one name, one that is not floating-point or not
  /// contiguous; a learning rate or weight decay below 0; a group with a learning rate of its own
  /// where the optimizer's is 0.
  Optimizer(const ParameterList& parameters, double learning_rate, double weight_decay,
            std::string name);

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

  /// A step of the parameters of one group.
  virtual void update(const std::vector<Active>& active, const Step& step) = 0;
  /// Whether update() does nothing if *step.guard is not finite, without reading it here.
  virtual bool obeys_guard() const { return false; }

 private:
  struct Group {
    double factor = 1;  // its learning rate as a multiple of the optimizer's
    double weight_decay = 0;
  };

  void step(const double* guard);
  static Tensor zero_state(const Tensor& parameter, const std::optional<Shape>& shape);
  void add_group(const ParameterList::Options& options, double weight_decay);

  std::string name_;
  std::vector<std::string> names_;
  std::vector<Tensor> parameters_;
  std::vector<size_t> group_of_;
  std::vector<Group> groups_;
  std::vector<std::pair<std::string, std::vector<Tensor>>> state_;
  double learning_rate_;
  int64_t steps_ = 0;
};

}  // namespace tenet::optim
