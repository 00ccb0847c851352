/// Axes: which axes an op works on.
#pragma once

#include <tenet/core/shape.h>

#include <initializer_list>
#include <optional>
#include <vector>

namespace tenet {

/// One axis, a list of axes, or (by default) all of them; negative ones count from the end.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : list_{{axis}} {}                        // NOLINT(google-explicit-constructor)
  Axes(std::initializer_list<int> axes) : list_{axes} {}   // NOLINT(google-explicit-constructor)
  Axes(std::vector<int> axes) : list_{std::move(axes)} {}  // NOLINT(google-explicit-constructor)
  Axes(bool) = delete;

  /// Whether every axis is meant.
  bool all() const { return !list_.has_value(); }
  /// The axes as written; empty for all.
  const std::vector<int>& list() const {
    static const std::vector<int> none;
    return list_ ? *list_ : none;
  }
  /// One flag per axis. Errors: `op: axis 2 is out of range for 2 dimensions`, `op: axis 1 is given
  /// twice`.
  std::vector<bool> flags(int dim, const char* op) const;

 private:
  std::optional<std::vector<int>> list_;
};

}  // namespace tenet
