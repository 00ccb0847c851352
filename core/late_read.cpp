#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/core/late_read.h>
#include <tenet/core/view.h>

namespace tenet {

LateRead::LateRead(const Tensor& x) : defined_(true) {
  check(x.numel() == 1, "late read: the tensor has shape {}, not one element", x.shape());
  if (x.device().is_cpu()) {
    value_ = x.item<double>();
    return;
  }
  const Tensor number = x.detach().to(DType::f64).contiguous();
  detail::select_device(x.device());
  pending_ = detail::device_runtime(x.device().kind)
                 ->read_later(view(number).as<const double>(), x.device().index);
}

LateRead::LateRead() = default;
LateRead::LateRead(LateRead&&) noexcept = default;
LateRead& LateRead::operator=(LateRead&&) noexcept = default;
LateRead::~LateRead() = default;

double LateRead::value() {
  check(defined_, "late read: there is no number");
  if (pending_) {
    const std::unique_ptr<detail::PendingNumber> pending = std::move(pending_);
    value_ = pending->wait();
  }
  return value_;
}

}  // namespace tenet
