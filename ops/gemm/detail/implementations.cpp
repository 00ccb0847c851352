#include <tenet/ops/gemm/detail/gemm.h>
#include <tenet/ops/gemm/detail/onednn.h>

#include <mutex>
#include <set>

namespace tenet::detail {
namespace {

std::mutex names_mutex;
std::set<std::string>& names() {
  static std::set<std::string> set;
  return set;
}

}  // namespace

void note_implementation(const std::string& name) {
  const std::lock_guard lock(names_mutex);
  names().insert(name);
}

std::vector<std::string> onednn_implementations() {
  const std::lock_guard lock(names_mutex);
  return {names().begin(), names().end()};
}

}  // namespace tenet::detail
