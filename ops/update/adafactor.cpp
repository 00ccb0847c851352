#include <tenet/core/memory.h>
#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/update.h>

#include <cmath>
#include <optional>

namespace tenet::detail {

constinit Kernel<void(const std::vector<AdafactorTensor>&, const AdafactorStep&)>
    adafactor_update_kernel{"adafactor"};

namespace {

/// Rows [begin, end) of one group of a tensor, and what they add to its sums.
struct RowBlock {
  size_t tensor = 0;
  int64_t group = 0, begin = 0, end = 0;
  double* column_sums = nullptr;  // of dw^2 + eps1; only of factored tensors
  double weight_squares = 0, update_squares = 0;
};

/// What y and w of a tensor are multiplied by.
struct Scales {
  double update = 0, keep = 1;
};

/// The four passes for parameters of type T; A is the type of the state.
template <class T>
struct AdafactorUpdate {
  using A = Compute<T>;

  /// Updates `row` (all of it if not factored), adds up columns, w^2 and, if not factored, y^2.
  static void moments(const AdafactorTensor& t, const AdafactorStep& step, RowBlock& block) {
    const A beta2 = A(step.beta2), gain = A(1 - step.beta2), eps1 = A(step.eps1);
    for (int64_t r = block.begin; r < block.end; ++r) {
      const int64_t at = (block.group * t.rows + r) * t.columns;
      const T* w = t.w.as<const T>() + at;
      const T* dw = t.dw.as<const T>() + at;
      A row_sum = 0, w_sum = 0, y_sum = 0;
      if (t.column.data) {
#pragma omp simd reduction(+ : row_sum, w_sum)
        for (int64_t c = 0; c < t.columns; ++c) {
          const A q = A(dw[c]) * A(dw[c]) + eps1;
          row_sum += q;
          w_sum += A(w[c]) * A(w[c]);
          block.column_sums[c] += static_cast<double>(q);
        }
        A& v = t.row.as<A>()[block.group * t.rows + r];
        v = beta2 * v + gain * row_sum / A(t.columns);
      } else {
        A* v = t.row.as<A>() + at;
#pragma omp simd reduction(+ : w_sum, y_sum)
        for (int64_t c = 0; c < t.columns; ++c) {
          v[c] = beta2 * v[c] + gain * (A(dw[c]) * A(dw[c]) + eps1);
          y_sum += A(dw[c]) * A(dw[c]) / v[c];
          w_sum += A(w[c]) * A(w[c]);
        }
      }
      block.weight_squares += static_cast<double>(w_sum);
      block.update_squares += static_cast<double>(y_sum);
    }
  }

  /// Updates `column` from the sums of all blocks of a group, and leaves 1 / sqrt(row / mean(row))
  /// and 1 / sqrt(column).
  static void factors(const AdafactorTensor& t, const AdafactorStep& step, int64_t group,
                      const double* column_sums, double* row_factor, double* column_factor) {
    A* column = t.column.as<A>() + group * t.columns;
    const A* row = t.row.as<const A>() + group * t.rows;
    const double rows = static_cast<double>(t.rows);
    double mean = 0;
    for (int64_t r = 0; r < t.rows; ++r) mean += static_cast<double>(row[r]) / rows;
    for (int64_t r = 0; r < t.rows; ++r)
      row_factor[r] = std::sqrt(mean / static_cast<double>(row[r]));
    for (int64_t c = 0; c < t.columns; ++c) {
      column[c] =
          A(step.beta2 * static_cast<double>(column[c]) + (1 - step.beta2) * column_sums[c] / rows);
      column_factor[c] = 1 / std::sqrt(static_cast<double>(column[c]));
    }
  }

  /// Adds up y^2 of a factored block.
  static void squares(const AdafactorTensor& t, RowBlock& block, const double* row_factor,
                      const double* column_factor) {
    for (int64_t r = block.begin; r < block.end; ++r) {
      const T* dw = t.dw.as<const T>() + (block.group * t.rows + r) * t.columns;
      A row_sum = 0;
#pragma omp simd reduction(+ : row_sum)
      for (int64_t c = 0; c < t.columns; ++c) {
        const A y = A(dw[c]) * A(column_factor[c]);
        row_sum += y * y;
      }
      block.update_squares += static_cast<double>(row_sum) * row_factor[r] * row_factor[r];
    }
  }

  /// w = keep w - scale y
  static void apply(const AdafactorTensor& t, const AdafactorStep& step, const RowBlock& block,
                    const double* row_factor, const double* column_factor, const Scales& scales) {
    for (int64_t r = block.begin; r < block.end; ++r) {
      const int64_t at = (block.group * t.rows + r) * t.columns;
      const T* dw = t.dw.as<const T>() + at;
      if (t.column.data) {
        const A row_scale = A(scales.update * row_factor[r]);
        apply_row(t, step, at, scales,
                  [=](int64_t c) { return row_scale * (A(dw[c]) * A(column_factor[c])); });
      } else {
        const A* v = t.row.as<const A>() + at;
        const A scale = A(scales.update);
        apply_row(t, step, at, scales,
                  [=](int64_t c) { return scale * (A(dw[c]) / std::sqrt(v[c])); });
      }
    }
  }

  /// The row at element `at`; scaled(c) is scale y of column c.
  template <class F>
  static void apply_row(const AdafactorTensor& t, const AdafactorStep& step, int64_t at,
                        const Scales& scales, F scaled) {
    const A keep = A(scales.keep);
    T* w = t.w.as<T>() + at;
    if (!t.momentum.data) {
      for (int64_t c = 0; c < t.columns; ++c) w[c] = T(keep * A(w[c]) - scaled(c));
      return;
    }
    A* u = t.momentum.as<A>() + at;
    const A beta1 = A(step.beta1), gain = A(1 - step.beta1);
    for (int64_t c = 0; c < t.columns; ++c) {
      u[c] = beta1 * u[c] + gain * scaled(c);
      w[c] = T(keep * A(w[c]) - u[c]);
    }
  }
};

struct Passes {
  decltype(&AdafactorUpdate<float>::moments) moments;
  decltype(&AdafactorUpdate<float>::factors) factors;
  decltype(&AdafactorUpdate<float>::squares) squares;
  decltype(&AdafactorUpdate<float>::apply) apply;
};

class AdafactorRun {
 public:
  AdafactorRun(const std::vector<AdafactorTensor>& tensors, const AdafactorStep& step)
      : tensors_(tensors), step_(step) {
    int64_t doubles = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const AdafactorTensor& t = tensors[i];
      dispatch(FloatTypes(), t.w.dtype, "adafactor", [&]<class T>() {
        using Update = AdafactorUpdate<T>;
        passes_.push_back({&Update::moments, &Update::factors, &Update::squares, &Update::apply});
      });
      factors_at_.push_back(doubles);
      if (t.column.data) doubles += t.groups * (t.rows + t.columns);
      cut(i);
    }
    for (const RowBlock& block : blocks_) {
      if (factored(block)) doubles += tensors[block.tensor].columns;
    }
    scratch_.emplace(doubles);
    std::fill_n(scratch_->data(), doubles, 0.0);
    double* sums = scratch_->data() + doubles;
    for (RowBlock& block : blocks_) {
      if (factored(block)) block.column_sums = sums -= tensors[block.tensor].columns;
    }
  }

  void run() {
    parallel_each(blocks_.size(), [&](size_t i) {
      RowBlock& block = blocks_[i];
      passes_[block.tensor].moments(tensors_[block.tensor], step_, block);
    });
    parallel_each(groups_.size(), [&](size_t i) { finish_group(groups_[i]); });
    parallel_each(blocks_.size(), [&](size_t i) {
      RowBlock& block = blocks_[i];
      if (!factored(block)) return;
      passes_[block.tensor].squares(tensors_[block.tensor], block, row_factor(block),
                                    column_factor(block));
    });
    const std::vector<Scales> scales = scales_of_tensors();
    parallel_each(blocks_.size(), [&](size_t i) {
      const RowBlock& block = blocks_[i];
      passes_[block.tensor].apply(tensors_[block.tensor], step_, block, row_factor(block),
                                  column_factor(block), scales[block.tensor]);
    });
  }

 private:
  /// The blocks [begin, end) of a group of a factored tensor.
  struct Group {
    size_t begin, end;
  };

  void cut(size_t tensor) {
    const AdafactorTensor& t = tensors_[tensor];
    // Sums over rows cost 8 bytes per column and block: at least 32 rows keep them below a part of
    // the tensor.
    const int64_t step = std::max<int64_t>(32, block_elements / std::max<int64_t>(t.columns, 1));
    for (int64_t group = 0; group < t.groups; ++group) {
      const size_t first = blocks_.size();
      for (int64_t row = 0; row < t.rows; row += step) {
        blocks_.push_back({tensor, group, row, std::min(row + step, t.rows)});
      }
      if (t.column.data) groups_.push_back({first, blocks_.size()});
    }
  }

  bool factored(const RowBlock& block) const {
    return tensors_[block.tensor].column.data != nullptr;
  }
  double* row_factor(const RowBlock& block) const {
    return scratch_->data() + factors_at_[block.tensor] + block.group * tensors_[block.tensor].rows;
  }
  double* column_factor(const RowBlock& block) const {
    const AdafactorTensor& t = tensors_[block.tensor];
    return scratch_->data() + factors_at_[block.tensor] + t.groups * t.rows +
           block.group * t.columns;
  }

  void finish_group(const Group& group) {
    const RowBlock& first = blocks_[group.begin];
    const AdafactorTensor& t = tensors_[first.tensor];
    for (size_t i = group.begin + 1; i < group.end; ++i) {
      for (int64_t c = 0; c < t.columns; ++c) first.column_sums[c] += blocks_[i].column_sums[c];
    }
    passes_[first.tensor].factors(t, step_, first.group, first.column_sums, row_factor(first),
                                  column_factor(first));
  }

  std::vector<Scales> scales_of_tensors() const {
    std::vector<double> weight(tensors_.size()), update(tensors_.size());
    std::vector<Scales> scales(tensors_.size());
    for (const RowBlock& block : blocks_) {
      weight[block.tensor] += block.weight_squares;
      update[block.tensor] += block.update_squares;
    }
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const double count = static_cast<double>(tensors_[i].w.numel());
      const double own = step_.scaled ? std::max(std::sqrt(weight[i] / count), step_.eps2) : 1;
      const double rate = step_.rate * own;
      scales[i].update = rate / std::max(1.0, std::sqrt(update[i] / count) / step_.clip);
      scales[i].keep = 1 - step_.decay * (step_.decay_scaled ? rate : 1);
    }
    return scales;
  }

  const std::vector<AdafactorTensor>& tensors_;
  const AdafactorStep& step_;
  std::vector<Passes> passes_;
  std::vector<RowBlock> blocks_;
  std::vector<Group> groups_;
  std::vector<int64_t> factors_at_;  // per tensor: its row factors, then its column factors
  std::optional<memory::Workspace<double>> scratch_;
};

void adafactor_cpu(const std::vector<AdafactorTensor>& tensors, const AdafactorStep& step) {
  if (allowed(step)) AdafactorRun(tensors, step).run();
}

const bool filled = adafactor_update_kernel.fill(Device::Kind::cpu, &adafactor_cpu);

}  // namespace
}  // namespace tenet::detail
