#include <tenet/core/grad_mode.h>
#include <tenet/core/replay.h>

namespace tenet {
namespace {

thread_local detail::ReplayScope* current_scope = nullptr;

}  // namespace

bool replaying() {
  for (const auto* scope = current_scope; scope; scope = scope->outer()) {
    if (scope->mode() == detail::ReplayScope::Mode::replay) return true;
  }
  return false;
}

namespace detail {

void ReplayRecord::append(uint64_t section, const void* value, size_t bytes) {
  auto* first = static_cast<const std::byte*>(value);
  for (auto& [id, values] : sections_) {
    if (id == section) {
      values.insert(values.end(), first, first + bytes);
      return;
    }
  }
  sections_.emplace_back(section, std::vector<std::byte>(first, first + bytes));
}

const std::vector<std::byte>* ReplayRecord::section(uint64_t section) const {
  for (const auto& [id, values] : sections_) {
    if (id == section) return &values;
  }
  return nullptr;
}

int64_t ReplayRecord::bytes() const {
  int64_t total = 0;
  for (const auto& [id, values] : sections_) total += static_cast<int64_t>(values.size());
  return total;
}

ReplayScope::ReplayScope(ReplayRecord& record, Mode mode)
    : record_(record), mode_(mode), outer_(std::exchange(current_scope, this)) {
  if (mode == Mode::record) record.autocast = autocast_dtype();
}

ReplayScope::~ReplayScope() { current_scope = outer_; }

ReplayScope* ReplayScope::current() { return current_scope; }

void ReplayScope::enter_section(int part) {
  constexpr uint64_t radix =
      0x100000001b3;  // distinct paths get distinct numbers for all practical depths
  sections_.push_back(section() * radix + static_cast<uint64_t>(part) + 1);
}

void ReplayScope::write(const void* value, size_t bytes) {
  record_.append(section(), value, bytes);
}

void ReplayScope::read(void* value, size_t bytes) {
  size_t* position = nullptr;
  for (auto& [id, read] : positions_) {
    if (id == section()) position = &read;
  }
  if (!position) position = &positions_.emplace_back(section(), 0).second;
  const std::vector<std::byte>* values = record_.section(section());
  check(values && *position + bytes <= values->size(),
        "replay: the second run asks for more values than the first gave; forward() and "
        "inverse() must take the same steps, each part in its ReplaySection");
  std::memcpy(value, values->data() + *position, bytes);
  *position += bytes;
}

OuterReplay::OuterReplay(ReplayScope& scope)
    : inner_(std::exchange(current_scope, scope.outer())) {}
OuterReplay::~OuterReplay() { current_scope = inner_; }

}  // namespace detail

ReplaySection::ReplaySection(int part) : scope_(detail::ReplayScope::current()) {
  for (auto* scope = scope_; scope; scope = scope->outer()) scope->enter_section(part);
}

ReplaySection::~ReplaySection() {
  for (auto* scope = scope_; scope; scope = scope->outer()) scope->leave_section();
}

}  // namespace tenet
