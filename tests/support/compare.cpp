#include <compare.h>
#include <tenet/core/error.h>
#include <tenet/core/view.h>

#include <doctest/doctest.h>

#include <cstring>

namespace tenet::test {

bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Device host = Device::cpu();
  const Tensor x = a.detach().to(host).contiguous(), y = b.detach().to(host).contiguous();
  const auto bytes = static_cast<size_t>(x.numel() * itemsize(x.dtype()));
  return bytes == 0 || std::memcmp(view(x).data, view(y).data, bytes) == 0;
}

bool same_bits(const Tensors& a, const Tensors& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) same = same_bits(a[i], b[i]);
  return same;
}

void check_error(const std::function<void()>& call, const std::string& text) {
  std::string message = "(nothing was thrown)";
  try {
    call();
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message == text);
}

}  // namespace tenet::test
