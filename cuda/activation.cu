/// The nonlinearities of neural networks, on the GPU.
#include <tenet/cuda/detail/unary.h>
#include <tenet/ops/activation.h>

namespace tenet::cuda {
namespace {

const bool filled = fill_unary(tenet::detail::ActivationFunctors());

}  // namespace
}  // namespace tenet::cuda
