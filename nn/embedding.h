/// A table of vectors.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/nn/module.h>

#include <cstdint>

namespace tenet::nn {

/// What an Embedding is made with.
struct EmbeddingOptions {
  double std = 1;                  // of the initial rows
  Generator* generator = nullptr;  // null: default_generator()
};

/// Row indices[...] of weight (V, D): (...) i64 or i32 -> (..., D).
class Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t width, EmbeddingOptions options = {});

  Tensor operator()(const Tensor& indices) const;
  void fields(Fields& f) override { f.parameter("weight", weight); }
  std::string describe() const override;

  Tensor weight;  // (V, D), initially N(0, std^2)
};

}  // namespace tenet::nn
