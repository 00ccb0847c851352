/// One call of the kernels of LSH attention, and its definition in the terms of reference.h.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "array_view.h"

namespace lsh_test {

using namespace attention_reference;
using tenet::Compute;

/// The bucket of one row, factor by factor.
template <class T>
int64_t bucket_of(const T* q, const T* rotation, int64_t size, int64_t stride, int64_t column,
                  const std::vector<int64_t>& factors) {
  int64_t bucket = 0, unit = 1;
  for (const int64_t factor : factors) {
    std::vector<double> z;
    for (int64_t c = 0; c < factor / 2; ++c) {
      double sum = 0;
      for (int64_t n = 0; n < size; ++n) {
        sum += double(q[n]) * double(rotation[n * stride + column + c]);
      }
      z.push_back(sum);
    }
    for (int64_t c = 0; c < factor / 2; ++c) z.push_back(-z[c]);
    bucket += unit * (std::max_element(z.begin(), z.end()) - z.begin());
    unit *= factor;
    column += factor / 2;
  }
  return bucket;
}

template <class T>
struct Run {
  tiles::LshShape shape;
  std::vector<int64_t> factors;
  Array<T> q, v, dy;
  Array<T> y, dq, dv;
  std::vector<Compute<T>> rotation, log_sum;
  std::vector<int32_t> bucket, order;
  std::vector<uint8_t> mask;
  tiles::AttentionDropout dropout;

  Run(tiles::LshShape shape_, std::vector<int64_t> factors_, unsigned seed, bool masked)
      : shape(shape_), factors(std::move(factors_)) {
    std::mt19937 random(seed);
    const bool by_length = seed % 2 == 0;
    const auto& s = shape;
    shape.key_scale = {0.8, true};
    q = random_array<T>(s.B, s.H, s.L, s.size, by_length, random);
    v = random_array<T>(s.B, s.H, s.L, s.size, !by_length, random);
    dy = random_array<T>(s.B, s.H, s.L, s.size, by_length, random);
    y = dq = dv = Array<T>(s.B, s.H, s.L, s.size, !by_length);
    for (Array<T>* x : {&y, &dq, &dv}) std::fill(x->values.begin(), x->values.end(), T(NAN));
    std::normal_distribution<double> normal;
    rotation.resize(s.H * s.size * columns());
    for (Compute<T>& value : rotation) value = static_cast<Compute<T>>(normal(random));
    if (masked) {
      for (int64_t j = 0; j < s.B * s.L; ++j) mask.push_back(random() % 4 > 0);
    }
    log_sum.resize(s.B * s.H * s.L);
    bucket.resize(s.B * s.H * s.R * s.L);
    order.resize(bucket.size());
  }
  int64_t columns() const {
    return shape.R * std::accumulate(factors.begin(), factors.end(), int64_t{0}) / 2;
  }
  int64_t buckets() const {
    return std::accumulate(factors.begin(), factors.end(), int64_t{1}, std::multiplies<>());
  }
  const uint8_t* mask_data() const { return mask.empty() ? nullptr : mask.data(); }
  void hash() {
    const auto& s = shape;
    tiles::lsh_hash<T>({s.B, s.H, s.L, s.size, s.R, factors}, view(std::as_const(q)),
                       rotation.data(), bucket.data());
    sort();
  }
  void sort() {
    const auto& s = shape;
    tiles::lsh_sort(s.B, s.H, s.R, s.L, buckets(), bucket.data(), mask_data(), order.data());
  }
  tiles::LshInputs<T> inputs() const {
    return {view(q), view(v), order.data(), mask_data(), dropout};
  }
  void forward() {
    hash();
    attend();
  }
  void attend() { tiles::lsh_forward(shape, inputs(), view(y), log_sum.data()); }
  void backward() {
    tiles::lsh_backward(shape, inputs(), view(std::as_const(y)), view(std::as_const(dy)),
                        log_sum.data(), view(dq), view(dv));
  }

  bool used(int64_t b, int64_t i) const { return mask.empty() || mask[b * shape.L + i]; }
  std::vector<Seen> sees(int64_t b, int64_t h, int64_t i) const {
    std::vector<Seen> keys;
    if (!used(b, i)) return keys;
    for (int64_t r = 0; r < shape.R; ++r) {
      const int32_t* round = bucket.data() + ((b * shape.H + h) * shape.R + r) * shape.L;
      for (int direction : {-1, 1}) {
        int64_t found = 0;
        for (int64_t j = i + direction; j >= 0 && j < shape.L && found < shape.window;
             j += direction) {
          if (!used(b, j) || round[j] != round[i]) continue;
          keys.push_back({r, j});
          ++found;
        }
        if (shape.causal) break;
      }
    }
    return keys;
  }
  Definition definition() const {
    Definition how;
    how.R = shape.R;
    how.scale = shape.key_scale.scale;
    how.normalize = true;
    how.drop = dropout.p;
    how.random = dropout.key;
    how.sees = [this](int64_t b, int64_t h, int64_t i) { return sees(b, h, i); };
    how.alone = [this](int64_t b, int64_t i) { return used(b, i) ? i : -1; };
    return how;
  }
};

}  // namespace lsh_test
