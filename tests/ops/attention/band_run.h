/// One call of the kernels of band attention, and its definition in the terms of reference.h.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/attention/detail/band_kernel.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "array_view.h"

namespace band_test {

using namespace attention_reference;
using tenet::Compute;

template <class T>
struct Run {
  tiles::BandShape shape;
  Array<T> q, k, v, dy;
  Array<T> y, dq, dk, dv;
  std::vector<uint8_t> mask;
  std::vector<Compute<T>> log_sum;
  tiles::AttentionDropout dropout;

  Run(tiles::BandShape shape_, unsigned seed, bool masked) : shape(shape_) {
    std::mt19937 random(seed);
    const bool by_length = seed % 2 == 0;
    const auto& s = shape;
    q = random_array<T>(s.B, s.H, s.Lq, s.size, by_length, random);
    k = random_array<T>(s.B, s.H, s.Lk, s.size, !by_length, random);
    v = random_array<T>(s.B, s.H, s.Lk, s.size, by_length, random);
    dy = random_array<T>(s.B, s.H, s.Lq, s.size, !by_length, random);
    y = dq = Array<T>(s.B, s.H, s.Lq, s.size, by_length);
    dk = dv = Array<T>(s.B, s.H, s.Lk, s.size, by_length);
    for (Array<T>* x : {&y, &dq, &dk, &dv}) std::fill(x->values.begin(), x->values.end(), T(7));
    log_sum.resize(s.B * s.H * s.Lq);
    if (masked) {
      for (int64_t j = 0; j < s.B * s.Lk; ++j) mask.push_back(random() % 3 > 0);
    }
  }
  tiles::BandInputs<T> inputs() const {
    return {view(q), view(k), view(v), mask.empty() ? nullptr : mask.data(), dropout};
  }
  void forward() { tiles::band_forward(shape, inputs(), view(y), log_sum.data()); }
  void backward() {
    tiles::band_backward(shape, inputs(), view(std::as_const(y)), view(std::as_const(dy)),
                         log_sum.data(), view(dq), view(dk), view(dv));
  }
  Definition definition() const {
    Definition how;
    how.scale = shape.key_scale.scale;
    how.normalize = shape.key_scale.normalize;
    how.drop = dropout.p;
    how.random = dropout.key;
    how.sees = [this](int64_t b, int64_t, int64_t i) {
      std::vector<Seen> keys;
      const int64_t p = i + shape.offset;
      for (int64_t j = 0; j < shape.Lk; ++j) {
        if (!mask.empty() && !mask[b * shape.Lk + j]) continue;
        if (shape.causal && j > p) continue;
        if (shape.exclude_self && j == p) continue;
        if (shape.chunk > 0) {
          const int64_t distance = j / shape.chunk - p / shape.chunk;
          if (distance > shape.after || -distance > shape.before) continue;
        }
        keys.push_back({0, j});
      }
      return keys;
    };
    how.alone = [this](int64_t b, int64_t i) {
      const int64_t p = i + shape.offset;
      const bool usable = p < shape.Lk && (mask.empty() || mask[b * shape.Lk + p]);
      return shape.exclude_self && usable ? p : -1;
    };
    return how;
  }
};

}  // namespace band_test
