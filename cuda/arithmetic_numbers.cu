/// Arithmetic of a tensor and a number, on the GPU.
#include <tenet/cuda/detail/unary.h>
#include <tenet/ops/arithmetic.h>

namespace tenet::cuda {
namespace {

const bool filled = fill_unary(tenet::detail::ScalarFunctors());

}  // namespace
}  // namespace tenet::cuda
