/// The functions of one number, on the GPU.
#include <tenet/cuda/detail/unary.h>
#include <tenet/ops/elementwise.h>

namespace tenet::cuda {
namespace {

const bool filled = fill_unary(tenet::detail::UnaryFunctors());

}  // namespace
}  // namespace tenet::cuda
