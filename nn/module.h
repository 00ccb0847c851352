/// Module: the base of everything with parameters.
#pragma once

#include <tenet/core/detail/formatter.h>
#include <tenet/nn/fields.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

/// Modules: layers with parameters, losses and what holds them together.
namespace tenet::nn {

/// Tensors by name, in the order of fields().
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
/// Tensors by name, as a file holds them.
using StateDict = std::map<std::string, Tensor>;

/// What a load_state_dict() that is not strict passed over.
struct LoadReport {
  /// Names that only the module has, and names that only the state has.
  std::vector<std::string> missing, unexpected;
};

/// A plain struct with members and one method that lists them; every other method here is written
/// with that list.
///
///     struct FeedForward : nn::Module {
///       nn::Linear up, down;
///       FeedForward(int d_model, int d_ff) : up(d_model, d_ff), down(d_ff, d_model) {}
///       Tensor operator()(const Tensor& x) { return down(gelu(up(x))); }
///       void fields(nn::Fields& f) override { f("up", up), f("down", down); }
///     };
///
/// Modules are moved, not copied: see clone(). A tensor listed twice (tied weights) counts once,
/// under its first name.
class Module {
 public:
  virtual ~Module() = default;

  /// Lists the members: f("up", up) for modules, f.parameter("w", w), f.buffer("mean", mean).
  virtual void fields(Fields& f) = 0;
  /// One line for to_string(); by default the type's name.
  virtual std::string describe() const;

  /// The tensors that are trained, here and below, in the order of fields(), alone or with their
  /// names: "layers.3.attention.weight".
  std::vector<Tensor> parameters() const;
  NamedTensors named_parameters() const;
  /// The tensors that are saved and moved but not trained, likewise.
  std::vector<Tensor> buffers() const;
  NamedTensors named_buffers() const;
  /// How many numbers are trained.
  int64_t parameter_count() const;

  /// Switches dropout and the like on or off, here and below.
  void train(bool on = true);
  void eval() { train(false); }
  /// Whether the module trains; in the second run of a reversible or checkpointed function, whether
  /// it did in the first.
  bool training() const;

  /// Freezes the parameters here and below (false), or trains them again. Frozen ones have no
  /// gradient, and an optimizer that holds them passes over them.
  void set_requires_grad(bool requires_grad);

  /// Converts floating-point parameters, buffers and gradients. Handles to them, an optimizer's
  /// say, see the change.
  void to(DType dtype);
  /// Moves everything. Handles see the change.
  void to(Device device);
  /// Where the parameters are: the first one's device; the CPU if there is none.
  Device device() const;

  /// All parameters and buffers by name; they share their elements with the module.
  StateDict state_dict() const;
  /// Copies values into the parameters and buffers, converted to their type. One Error lists every
  /// name that is missing or unexpected (if strict) and every shape or kind of type that differs;
  /// the module is then as it was. A tensor with several names needs one of them.
  LoadReport load_state_dict(const StateDict& state, bool strict = true);

  /// Drops the gradients of all parameters.
  void clear_grad();

  /// The tree of modules with their parameter counts; also what fmt::print("{}", module) writes.
  std::string to_string() const;

 protected:
  Module() = default;
  Module(Module&&) noexcept = default;
  Module& operator=(Module&&) noexcept = default;
  /// For clone() only; Error elsewhere.
  Module(const Module& other);
  Module& operator=(const Module&) = delete;

 private:
  friend class detail::TrainFields;
  bool training_ = true;
};

/// A copy with tensors of its own, without gradients. Modules held by shared_ptr are copied too,
/// generators are shared. Error: a module that is held by a pointer to its base.
template <std::derived_from<Module> M>
M clone(const M& module) {
  detail::CloneScope scope;
  scope.check_type(module, typeid(M), true);
  M copy(module);
  scope.separate_tensors(copy);
  return copy;
}

}  // namespace tenet::nn

template <std::derived_from<tenet::nn::Module> M>
struct fmt::formatter<M> : tenet::detail::TextFormatter {
  auto format(const M& module, format_context& out) const { return write(module.to_string(), out); }
};
