/// Positional embeddings: one vector (D) for each of L positions, to be added to token embeddings
/// (B, L, D).
#pragma once

#include <tenet/core/generator.h>
#include <tenet/nn/module.h>

#include <cstdint>
#include <vector>

namespace tenet::nn {

/// A trained table of max_positions rows.
class LearnedPositionalEmbedding : public Module {
 public:
  LearnedPositionalEmbedding(int64_t max_positions, int64_t d_model, double std = 0.02,
                             Generator& generator = default_generator());

  /// Rows 0 to length - 1, (L, D). Error: longer than the table.
  Tensor operator()(int64_t length) const;
  /// The rows of i64 positions (...), (..., D). Error: one outside the table.
  Tensor operator()(const Tensor& positions) const;
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor table_;
};

/// How axial weights begin: N(0, std^2), or harmonics of each axis with that mean square, from
/// which a model learns fixed distances several times faster.
enum class PositionInit { normal, harmonic };

/// Position t as a row-major index (i_0, .., i_n) over `shape`, the last axis fastest; its vector
/// is the concatenation of weight_k[i_k] of widths widths[k]. Memory grows with the sum of the
/// sizes, not with their product. Kitaev, Kaiser, Levskaya, "Reformer" (2020), section 5 and
/// appendix.
class AxialPositionalEmbedding : public Module {
 public:
  /// Error: as many widths as sizes are needed, all at least 1.
  AxialPositionalEmbedding(std::vector<int64_t> shape, std::vector<int64_t> widths,
                           double std = 1.0, Generator& generator = default_generator(),
                           PositionInit init = PositionInit::normal);

  /// The first `length` vectors, (L, D), for any length up to the product of the sizes.
  Tensor operator()(int64_t length) const;
  /// The vectors of i64 positions (...), (..., D). Error: one outside the grid.
  Tensor operator()(const Tensor& positions) const;
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  std::vector<int64_t> shape_, widths_;
  std::vector<Tensor> weights_;  // weight k is (1, .., shape[k], .., 1, widths[k])
};

}  // namespace tenet::nn
