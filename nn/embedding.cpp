#include <tenet/nn/embedding.h>
#include <tenet/nn/init.h>
#include <tenet/ops/embedding.h>

namespace tenet::nn {

Embedding::Embedding(int64_t count, int64_t width, EmbeddingOptions options)
    : weight(normal_parameter({count, width}, options.std,
                              options.generator ? *options.generator : default_generator())) {}

Tensor Embedding::operator()(const Tensor& indices) const { return embedding(weight, indices); }

}  // namespace tenet::nn
