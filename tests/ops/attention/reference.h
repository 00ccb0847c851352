/// Attention written from its formulas, in double, one query at a time.
#pragma once

#include <tenet/core/philox.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

namespace attention_reference {

/// A [B, H, L, size] array stored as [B, L, H, size] or as it is.
template <class T>
struct Array {
  int64_t B = 0, H = 0, L = 0, size = 0;
  bool by_length = false;
  std::vector<T> values;

  Array() = default;
  Array(int64_t B_, int64_t H_, int64_t L_, int64_t size_, bool by_length_ = false)
      : B(B_), H(H_), L(L_), size(size_), by_length(by_length_), values(B * H * L * size) {}
  int64_t batch() const { return H * L * size; }
  int64_t head() const { return by_length ? size : L * size; }
  int64_t row() const { return by_length ? H * size : size; }
  T* at(int64_t b, int64_t h, int64_t i) {
    return values.data() + b * batch() + h * head() + i * row();
  }
  const T* at(int64_t b, int64_t h, int64_t i) const {
    return const_cast<Array*>(this)->at(b, h, i);
  }
};

template <class T>
Array<T> random_array(int64_t B, int64_t H, int64_t L, int64_t size, bool by_length,
                      std::mt19937& random) {
  Array<T> x(B, H, L, size, by_length);
  std::normal_distribution<double> normal;
  for (T& value : x.values) value = static_cast<T>(normal(random));
  return x;
}

/// x in another type.
template <class T, class S>
Array<T> converted(const Array<S>& x) {
  Array<T> y(x.B, x.H, x.L, x.size, x.by_length);
  for (size_t i = 0; i < x.values.size(); ++i) y.values[i] = static_cast<T>(x.values[i]);
  return y;
}

struct Seen {
  int64_t round, key;
};

/// Everything but the tensors: which keys a query sees, and, if none, which value it takes (-1:
/// zeros).
struct Definition {
  int64_t R = 1;
  double scale = 1, drop = 0;
  bool normalize = false;
  tenet::PhiloxKey random;
  std::function<std::vector<Seen>(int64_t b, int64_t h, int64_t i)> sees;
  std::function<int64_t(int64_t b, int64_t i)> alone;
};

template <class T>
struct Result {
  Array<double> y, dq, dk, dv;
  std::vector<double> log_sum;
};

template <class T>
class Attention {
 public:
  Attention(const Definition& how, const Array<T>& q, const Array<T>& k, const Array<T>& v)
      : how_(how), q_(q), k_(k), v_(v) {}

  /// y and the gradients of sum(y * dy). Those of the scores are made with `y`, if it is given,
  /// instead of the exact one.
  Result<T> run(const Array<T>& dy, const Array<T>* y = nullptr) const {
    Result<T> out{{q_.B, q_.H, q_.L, q_.size},
                  {q_.B, q_.H, q_.L, q_.size},
                  {k_.B, k_.H, k_.L, k_.size},
                  {k_.B, k_.H, k_.L, k_.size},
                  {}};
    for (int64_t b = 0; b < q_.B; ++b) {
      for (int64_t h = 0; h < q_.H; ++h) {
        for (int64_t i = 0; i < q_.L; ++i) query(b, h, i, dy, y, out);
      }
    }
    return out;
  }

 private:
  double dot(const T* a, const T* b) const {
    double sum = 0;
    for (int64_t n = 0; n < q_.size; ++n) sum += double(a[n]) * double(b[n]);
    return sum;
  }
  double norm(const T* k) const {
    return how_.normalize ? std::sqrt(dot(k, k) / double(q_.size) + 1e-6) : 1;
  }
  double factor(int64_t b, int64_t h, int64_t i, const Seen& seen) const {
    if (how_.drop == 0) return 1;
    const int64_t e = (((b * q_.H + h) * how_.R + seen.round) * q_.L + i) * k_.L + seen.key;
    return tenet::philox_uniform(how_.random, e) >= float(how_.drop) ? 1 / (1 - how_.drop) : 0;
  }

  void query(int64_t b, int64_t h, int64_t i, const Array<T>& dy, const Array<T>* y,
             Result<T>& out) const {
    const std::vector<Seen> keys = how_.sees(b, h, i);
    if (keys.empty()) return lonely(b, h, i, dy, out);
    std::vector<double> score;
    double top = -INFINITY, sum = 0, delta = 0;
    for (const Seen& seen : keys) {
      const T* k = k_.at(b, h, seen.key);
      score.push_back(how_.scale * dot(q_.at(b, h, i), k) / norm(k));
      top = std::max(top, score.back());
    }
    for (const double s : score) sum += std::exp(s - top);
    out.log_sum.push_back(top + std::log(sum));
    for (size_t n = 0; n < keys.size(); ++n) {
      const double p = std::exp(score[n] - top) / sum * factor(b, h, i, keys[n]);
      const T* v = v_.at(b, h, keys[n].key);
      for (int64_t c = 0; c < q_.size; ++c) out.y.at(b, h, i)[c] += p * v[c];
      delta += p * dot(dy.at(b, h, i), v);
    }
    if (y) delta = dot(dy.at(b, h, i), y->at(b, h, i));
    for (size_t n = 0; n < keys.size(); ++n) {
      const double p = std::exp(score[n] - top) / sum, kept = p * factor(b, h, i, keys[n]);
      const T* v = v_.at(b, h, keys[n].key);
      const double ds = kept * dot(dy.at(b, h, i), v) - p * delta;
      for (int64_t c = 0; c < q_.size; ++c) {
        out.dv.at(b, h, keys[n].key)[c] += kept * dy.at(b, h, i)[c];
      }
      score_gradient(b, h, i, keys[n].key, ds * how_.scale, out);
    }
  }

  /// s = q . k / sqrt(mean(k^2) + 1e-6).
  void score_gradient(int64_t b, int64_t h, int64_t i, int64_t j, double ds, Result<T>& out) const {
    const T *q = q_.at(b, h, i), *k = k_.at(b, h, j);
    const double r = norm(k), along = dot(q, k) / (double(q_.size) * r * r * r);
    for (int64_t c = 0; c < q_.size; ++c) {
      out.dq.at(b, h, i)[c] += ds * k[c] / r;
      out.dk.at(b, h, j)[c] += ds * (q[c] / r - (how_.normalize ? k[c] * along : 0));
    }
  }

  void lonely(int64_t b, int64_t h, int64_t i, const Array<T>& dy, Result<T>& out) const {
    out.log_sum.push_back(-INFINITY);
    const int64_t j = how_.alone(b, i);
    for (int64_t c = 0; j >= 0 && c < q_.size; ++c) {
      out.y.at(b, h, i)[c] = v_.at(b, h, j)[c];
      out.dv.at(b, h, j)[c] += dy.at(b, h, i)[c];
    }
  }

  const Definition& how_;
  const Array<T>&q_, &k_, &v_;
};

/// The largest difference, over the larger of 1 and the reference's largest value; NaN or infinity
/// if there is one.
template <class T>
double difference(const Array<T>& got, const Array<double>& want) {
  double worst = 0, size = 1;
  for (const double value : want.values) size = std::max(size, std::abs(value));
  for (int64_t b = 0; b < want.B; ++b) {
    for (int64_t h = 0; h < want.H; ++h) {
      for (int64_t i = 0; i < want.L; ++i) {
        for (int64_t c = 0; c < want.size; ++c) {
          const double error = std::abs(double(got.at(b, h, i)[c]) - want.at(b, h, i)[c]) / size;
          if (!(error <= worst)) worst = error;
        }
      }
    }
  }
  return worst;
}

}  // namespace attention_reference
