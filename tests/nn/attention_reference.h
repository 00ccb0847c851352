/// Attention layers by their definition, in double, one query at a time.
#pragma once

#include "module_check.h"

#include <tenet/nn/attention.h>

namespace tenet::test {

/// Which keys position i of head h in batch row b sees, repeats included; none: the value at
/// `alone`, or 0 if that is -1.
struct Sight {
  std::vector<int64_t> keys;
  int64_t alone = -1;
};
using Sees = std::function<Sight(int64_t b, int64_t h, int64_t i)>;

struct HeadShape {
  int64_t B, H, Lq, Lk, K;
};

/// Rows (B, L, H K) of q, k, v to the rows (B, Lq, H K) before the output projection.
inline Numbers attend(const Numbers& q, const Numbers& k, const Numbers& v, const HeadShape& s,
                      bool normalize_keys, const Sees& sees) {
  const int64_t A = s.H * s.K;
  const auto at = [&](const Numbers& x, int64_t L, int64_t b, int64_t h, int64_t i, int64_t c) {
    return x[static_cast<size_t>((b * L + i) * A + h * s.K + c)];
  };
  Numbers y(static_cast<size_t>(s.B * s.Lq * A));
  for (int64_t b = 0; b < s.B; ++b) {
    for (int64_t h = 0; h < s.H; ++h) {
      for (int64_t i = 0; i < s.Lq; ++i) {
        const Sight sight = sees(b, h, i);
        std::vector<int64_t> keys = sight.keys;
        if (keys.empty() && sight.alone >= 0) keys = {sight.alone};
        Numbers weights;
        double total = 0;
        for (const int64_t j : keys) {
          double score = 0, squares = 0;
          for (int64_t c = 0; c < s.K; ++c) {
            const double key = at(k, s.Lk, b, h, j, c);
            score += at(q, s.Lq, b, h, i, c) * key;
            squares += key * key;
          }
          const double size =
              normalize_keys ? std::sqrt(squares / static_cast<double>(s.K) + 1e-6) : 1;
          weights.push_back(std::exp(score / size / std::sqrt(static_cast<double>(s.K))));
          total += weights.back();
        }
        for (size_t n = 0; n < keys.size(); ++n) {
          for (int64_t c = 0; c < s.K; ++c) {
            y[static_cast<size_t>((b * s.Lq + i) * A + h * s.K + c)] +=
                weights[n] / total * at(v, s.Lk, b, h, keys[n], c);
          }
        }
      }
    }
  }
  return y;
}

/// The projection `name` of rows x.
inline Numbers project(const nn::Module& module, const std::string& name, const Numbers& x) {
  return affine(x, parameter(module, name + ".weight"));
}

inline Tensor key_mask(const std::vector<bool>& seen, Shape shape) {
  std::vector<uint8_t> bytes(seen.begin(), seen.end());
  return from_vector(bytes, shape).to(DType::boolean);
}

}  // namespace tenet::test
