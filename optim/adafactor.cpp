#include <tenet/core/dtype.h>
#include <tenet/core/parallel.h>
#include <tenet/optim/adafactor.h>

#include <algorithm>
#include <cmath>

namespace tenet::optim {
namespace {

enum Slot : size_t { row_slot, column_slot, whole_slot };

bool factored(const Shape& shape) { return shape.dim() >= 2; }

/// The constants of one step.
struct Step {
  double beta, epsilon1, clipping_threshold, weight_decay, size;
};

/// One matrix, seen as rows x columns; a vector is one row whose second moment is kept whole.
template <class T>
struct Matrix {
  T* w;
  const T* g;
  T* row;     // [rows]
  T* column;  // [columns]
  T* whole;   // [columns], of a vector
  int64_t rows, columns;
};

/// sum_i f(i) over rows in parallel, each row's sum apart, added in order: the same for any number of threads.
template <class F>
double sum_rows(int64_t rows, int64_t columns, F&& row_sum) {
  std::vector<double> sums(static_cast<size_t>(rows));
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(columns, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) sums[static_cast<size_t>(r)] = row_sum(r);
               });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

template <class T>
double mean_square(const T* x, int64_t rows, int64_t columns) {
  const double total = sum_rows(rows, columns, [=](int64_t r) {
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += double(x[r * columns + c]) * double(x[r * columns + c]);
    return sum;
  });
  return total / static_cast<double>(rows * columns);
}

template <class T>
void update_moments(const Matrix<T>& m, const Step& s) {
  if (m.whole) {
    parallel_for(m.columns, 16384, [=](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        m.whole[c] = T(s.beta * m.whole[c] + (1 - s.beta) * (double(m.g[c]) * m.g[c] + s.epsilon1));
      }
    });
    return;
  }
  parallel_for(m.rows, 8, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < m.columns; ++c) {
        const double g = m.g[r * m.columns + c];
        sum += g * g + s.epsilon1;
      }
      m.row[r] = T(s.beta * m.row[r] + (1 - s.beta) * sum / static_cast<double>(m.columns));
    }
  });
  parallel_for(m.columns, 64, [=](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double sum = 0;
      for (int64_t r = 0; r < m.rows; ++r) {
        const double g = m.g[r * m.columns + c];
        sum += g * g + s.epsilon1;
      }
      m.column[c] = T(s.beta * m.column[c] + (1 - s.beta) * sum / static_cast<double>(m.rows));
    }
  });
}

template <class T>
void adafactor_step(const Matrix<T>& m, const Step& s) {
  update_moments(m, s);
  double mean_row = 0;
  for (int64_t r = 0; r < m.rows && m.row; ++r) mean_row += m.row[r];
  mean_row /= static_cast<double>(m.rows);
  const auto direction = [=](int64_t r, int64_t c) {
    const double v = m.whole ? double(m.whole[c]) : double(m.row[r]) / mean_row * double(m.column[c]);
    return double(m.g[r * m.columns + c]) / std::sqrt(v);
  };
  const double square = sum_rows(m.rows, m.columns, [&](int64_t r) {
    double sum = 0;
    for (int64_t c = 0; c < m.columns; ++c) sum += direction(r, c) * direction(r, c);
    return sum;
  });
  const double rms = std::sqrt(square / static_cast<double>(m.rows * m.columns));
  const double scale = s.size / std::max(1.0, rms / s.clipping_threshold);
  parallel_for(m.rows, std::max<int64_t>(1, 16384 / m.columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < m.columns; ++c) {
        T& w = m.w[r * m.columns + c];
        w = T((1 - s.weight_decay) * double(w) - scale * direction(r, c));
      }
    }
  });
}

}  // namespace

Adafactor::Adafactor(NamedTensors parameters, AdafactorOptions options)
    : Optimizer(std::move(parameters), options.learning_rate, {"row", "column", "square"}),
      options_(options) {
  make_slots();
}

bool Adafactor::has_slot(size_t slot, const Shape& parameter) const {
  return factored(parameter) == (slot != whole_slot);
}

Shape Adafactor::slot_shape(size_t slot, const Shape& parameter) const {
  Shape shape = parameter;
  if (slot == row_slot) shape.erase(shape.dim() - 1);
  if (slot == column_slot) shape.erase(shape.dim() - 2);
  return shape;
}

void Adafactor::update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
                       int64_t t) {
  if (parameter.numel() == 0) return;
  const Shape& shape = parameter.shape();
  const bool matrix = factored(shape);
  const int64_t columns = matrix ? shape.back() : parameter.numel();
  const int64_t rows = matrix ? shape[shape.dim() - 2] : 1;
  const int64_t count = parameter.numel() / (rows * columns);
  dispatch(TypeList<float, double>(), parameter.dtype(), "adafactor", [&]<class T>() {
    T* w = parameter.mutable_data<T>();
    Step step{.beta = 1 - std::pow(static_cast<double>(t), -options_.decay_rate),
              .epsilon1 = options_.epsilon1,
              .clipping_threshold = options_.clipping_threshold,
              .weight_decay = options_.weight_decay,
              .size = learning_rate()};
    if (options_.multiply_by_parameter_scale) {
      const double size = std::sqrt(mean_square(w, count * rows, columns));
      step.size *= std::max(size, options_.epsilon2);
    }
    const auto slot = [&](size_t i) { return slots[i].defined() ? slots[i].mutable_data<T>() : nullptr; };
    T *row = slot(row_slot), *column = slot(column_slot), *whole = slot(whole_slot);
    const T* g = gradient.data<T>();
    for (int64_t b = 0; b < count; ++b) {
      adafactor_step<T>({.w = w + b * rows * columns,
                         .g = g + b * rows * columns,
                         .row = row ? row + b * rows : nullptr,
                         .column = column ? column + b * columns : nullptr,
                         .whole = whole,
                         .rows = rows,
                         .columns = columns},
                        step);
    }
  });
}

}  // namespace tenet::optim
