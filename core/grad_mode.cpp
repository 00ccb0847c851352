#include <tenet/core/error.h>
#include <tenet/core/grad_mode.h>

#include <utility>

namespace tenet {
namespace {

thread_local detail::GradMode mode;
thread_local bool anomaly = false;
thread_local std::optional<DType> autocast;

}  // namespace

namespace detail {

GradMode& grad_mode() { return mode; }
GradModeScope::GradModeScope(GradMode next) : previous_(std::exchange(mode, next)) {}
GradModeScope::~GradModeScope() { mode = previous_; }

}  // namespace detail

bool grad_enabled() { return mode.enabled; }

Anomaly::Anomaly() : previous_(std::exchange(anomaly, true)) {}
Anomaly::~Anomaly() { anomaly = previous_; }
bool anomaly_enabled() { return anomaly; }

Autocast::Autocast(std::optional<DType> dtype) : previous_(autocast) {
  check(!dtype || *dtype == DType::bf16 || *dtype == DType::f16,
        "autocast: dtype {} is not a half type; use bf16 or f16", dtype ? to_string(*dtype) : "");
  autocast = dtype;
}
Autocast::~Autocast() { autocast = previous_; }
std::optional<DType> autocast_dtype() { return autocast; }

}  // namespace tenet
