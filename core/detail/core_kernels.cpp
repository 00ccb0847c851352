#include <tenet/core/detail/core_kernels.h>

namespace tenet::detail {

constinit Kernel<void(View, View)> copy_kernel{"copy"};
constinit Kernel<void(View, Scalar)> fill_kernel{"fill"};
constinit Kernel<void(View, View)> accumulate_kernel{"accumulate"};
constinit Kernel<void(View, View)> sum_to_kernel{"sum_to"};
constinit Kernel<void(View, View)> transfer_kernel{"transfer"};

}  // namespace tenet::detail
