/// Every kernel slot of the library; tests/checks/kernel_slots.sh compares with the headers.
#include <stand_in_gpu.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/attention/attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/detail/window.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/index.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/pool2d.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/update/update.h>

#include <cstring>
#include <string>
#include <vector>

namespace tenet::test::stand_in {
namespace {

using namespace tenet::detail;

/// The tensor as the CPU's kernel may touch it.
void open(const char* op, View& v) {
  if (v.data == nullptr) return;
  check(!v.device.is_cpu() && owns(v.data), "stand-in GPU: {} got a tensor on {}", op,
        owns(v.data) ? "cpu" : "the host");
  v.data = opened(v.data);
  v.device = Device::cpu();
}
void open(const char* op, std::initializer_list<View*> views) {
  for (View* v : views) open(op, *v);
}
void open(const char* op, LayerNormForward& a) {
  open(op, {&a.y, &a.mean, &a.rstd, &a.x, &a.weight, &a.bias});
}
void open(const char* op, LayerNormBackward& a) {
  open(op, {&a.dx, &a.dweight, &a.dbias, &a.dy, &a.x, &a.mean, &a.rstd, &a.weight});
}
void open(const char* op, ChannelNorm& a) {
  open(op, {&a.y, &a.x, &a.mean, &a.variance, &a.weight, &a.bias});
}
void open(const char* op, BatchNormBackward& a) {
  open(op, {&a.dx, &a.dweight, &a.dbias, &a.dy, &a.x, &a.mean, &a.variance, &a.weight});
}
void open(const char* op, AttentionForward& a) {
  open(op, {&a.y, &a.log_sum, &a.q, &a.k, &a.v, &a.mask});
}
void open(const char* op, AttentionBackward& a) {
  open(op, {&a.dq, &a.dk, &a.dv, &a.y, &a.dy, &a.log_sum, &a.q, &a.k, &a.v, &a.mask});
}
void open(const char* op, LshSort& a) { open(op, {&a.order, &a.bucket, &a.mask}); }
void open(const char* op, LshForward& a) {
  open(op, {&a.y, &a.log_sum, &a.qk, &a.v, &a.order, &a.mask});
}
void open(const char* op, LshStep& a) { open(op, {&a.y, &a.q, &a.own, &a.k, &a.v, &a.seen}); }
void open(const char* op, LshBackward& a) {
  open(op, {&a.dqk, &a.dv, &a.y, &a.dy, &a.log_sum, &a.qk, &a.v, &a.order, &a.mask});
}
void open(const char* op, SgdTensor& a) { open(op, {&a.w, &a.dw, &a.momentum}); }
void open(const char* op, AdamTensor& a) { open(op, {&a.w, &a.dw, &a.first, &a.second}); }
void open(const char* op, RmsPropTensor& a) {
  open(op, {&a.w, &a.dw, &a.square, &a.mean, &a.momentum});
}
void open(const char* op, AdafactorTensor& a) {
  open(op, {&a.w, &a.dw, &a.row, &a.column, &a.momentum});
}
template <class T>
void open(const char* op, std::vector<T>& all) {
  if constexpr (!std::is_arithmetic_v<T>) {
    for (T& one : all) open(op, one);
  }
}
/// An optimizer's step, whose guard is a number on the GPU.
template <class Step>
requires requires(Step s) { s.guard; }
void open(const char* op, Step& step) {
  if (step.guard == nullptr) return;
  check(owns(step.guard), "stand-in GPU: {} got a guard on the host", op);
  step.guard = static_cast<const double*>(opened(step.guard));
}

/// A copy for the CPU's kernel.
template <class T>
T opened_copy(const char* op, T argument) {
  if constexpr (requires { open(op, argument); }) open(op, argument);
  return argument;
}

/// The CPU's kernel of a slot, on memory that is open.
template <auto& kernel, class Slot = std::remove_cvref_t<decltype(kernel)>>
struct OnCpu;
template <auto& kernel, class... Args>
struct OnCpu<kernel, Kernel<void(Args...)>> {
  static void run(Args... args) {
    kernel(Device::cpu(), opened_copy<std::remove_cvref_t<Args>>(kernel.name(), args)...);
  }
};

/// The names of CUDA slots that hold nothing.
using Names = std::vector<std::string>;

/// Notes the empty ones, or, without a list, fills them.
template <auto&... kernels>
void visit(Names* empty) {
  const auto one = [empty]<auto & kernel>() {
    if (empty == nullptr) {
      kernel.fill(Device::Kind::cuda, &OnCpu<kernel>::run);
    } else if (!kernel.filled(Device::Kind::cuda)) {
      empty->push_back(kernel.name());
    }
  };
  (one.template operator()<kernels>(), ...);
}
template <class F>
void visit_backward(Names* empty) {
  if constexpr (F::saves != functor::Saves::nothing) visit<unary_backward_kernel<F>>(empty);
}
template <class... F>
void visit_unary(TypeList<F...>, Names* empty) {
  visit<unary_kernel<F>...>(empty);
  (visit_backward<F>(empty), ...);
}
template <class... F>
void visit_binary(TypeList<F...>, Names* empty) {
  visit<binary_kernel<F>...>(empty);
}
template <class... F>
void visit_binary_backward(TypeList<F...>, Names* empty) {
  visit<binary_backward_kernel<F>...>(empty);
}

/// Between the host's memory and the stand-in's; one side is open to all.
void transfer(View to, View from) {
  check(to.dtype == from.dtype, "transfer: {} to {} between devices", from.dtype, to.dtype);
  const auto bytes = static_cast<size_t>(to.numel() * itemsize(to.dtype));
  if (bytes == 0) return;
  check(to.device.is_cpu() != from.device.is_cpu() && to.device.is_cpu() != owns(to.data) &&
            from.device.is_cpu() != owns(from.data),
        "stand-in GPU: transfer from {} to {} of memory that is elsewhere", from.device, to.device);
  std::memcpy(to.device.is_cpu() ? to.data : opened(to.data),
              from.device.is_cpu() ? from.data : opened(from.data), bytes);
}

void visit_all(Names* empty) {
  visit_unary(UnaryFunctors(), empty);
  visit_unary(ScalarFunctors(), empty);
  visit_unary(ActivationFunctors(), empty);
  visit_binary(BinaryFunctors(), empty);
  visit_binary_backward(BinaryBackwardFunctors(), empty);
  visit<copy_kernel, fill_kernel, accumulate_kernel, sum_to_kernel, where_kernel, arange_kernel,
        rand_kernel, randn_kernel, randint_kernel, bernoulli_kernel, dropout_kernel,
        add_scaled_kernel, matmul_kernel>(empty);
  visit<sum_kernel, mean_kernel, norm_kernel, logsumexp_kernel, max_kernel, min_kernel,
        argmax_kernel, argmin_kernel, var_kernel, cumsum_kernel, argsort_kernel>(empty);
  visit<softmax_kernel, log_softmax_kernel, softmax_backward_kernel, log_softmax_backward_kernel,
        layer_norm_kernel, layer_norm_backward_kernel, channel_statistics_kernel,
        channel_norm_kernel, batch_norm_backward_kernel, check_index_kernel, gather_rows_kernel,
        add_rows_kernel, gather_kernel, scatter_add_kernel, cross_entropy_kernel,
        cross_entropy_backward_kernel>(empty);
  visit<encode_kernel, decode_kernel, coupling_add_kernel, coupling_sub_kernel, conv2d_kernel,
        conv2d_input_kernel, conv2d_weight_kernel, max_pool2d_kernel, pick_kernel, unpick_kernel,
        avg_pool2d_kernel, avg_unpool2d_kernel>(empty);
  visit<attention_kernel, attention_backward_kernel, lsh_hash_kernel, lsh_sort_kernel,
        lsh_attention_kernel, lsh_step_kernel, lsh_attention_backward_kernel>(empty);
  visit<sgd_update_kernel, adam_update_kernel, rmsprop_update_kernel, adafactor_update_kernel,
        square_sum_kernel, scale_kernel>(empty);
}

}  // namespace

void fill_slots() {
  transfer_kernel.fill(Device::Kind::cuda, &transfer);
  visit_all(nullptr);
}

std::vector<std::string> empty_slots() {
  Names names;
  visit_all(&names);
  if (!transfer_kernel.filled(Device::Kind::cuda)) names.push_back(transfer_kernel.name());
  return names;
}

}  // namespace tenet::test::stand_in
