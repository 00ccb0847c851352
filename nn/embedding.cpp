#include <tenet/nn/embedding.h>
#include <tenet/nn/init.h>
#include <tenet/ops/embedding.h>

namespace tenet::nn {

Embedding::Embedding(int64_t count, int64_t width, EmbeddingOptions options) {
  check(count >= 1 && width >= 1, "embedding: {} rows of width {}; both must be at least 1", count,
        width);
  weight = normal_parameter({count, width}, options.std,
                            options.generator ? *options.generator : default_generator());
}

Tensor Embedding::operator()(const Tensor& indices) const { return embedding(weight, indices); }

std::string Embedding::describe() const {
  return fmt::format("Embedding({} x {})", weight.size(0), weight.size(1));
}

}  // namespace tenet::nn
