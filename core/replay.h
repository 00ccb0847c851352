/// The replay record: what a forward takes from outside its tensors, kept so that running it again
/// gives the same bits.
#pragma once

#include <tenet/core/error.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <tenet/core/dtype.h>

namespace tenet {

/// True inside the second run of a reversible or checkpointed function: do not update buffers,
/// print or trace.
bool replaying();

namespace detail {

/// Values by section, in the order of their making. See Note [Sections].
class ReplayRecord {
 public:
  void append(uint64_t section, const void* value, size_t bytes);
  const std::vector<std::byte>* section(uint64_t section) const;
  int64_t bytes() const;

  std::optional<DType> autocast;  // the scope at the time of the forward

 private:
  std::vector<std::pair<uint64_t, std::vector<std::byte>>> sections_;
};

/// While it lives, replay() on this thread writes to `record` or, in the second run, reads from it.
class ReplayScope {
 public:
  enum class Mode { record, replay };

  ReplayScope(ReplayRecord& record, Mode mode);
  ~ReplayScope();
  ReplayScope(const ReplayScope&) = delete;
  ReplayScope& operator=(const ReplayScope&) = delete;

  static ReplayScope* current();
  Mode mode() const { return mode_; }
  ReplayScope* outer() const { return outer_; }
  void enter_section(int part);
  void leave_section() { sections_.pop_back(); }
  /// Where the next read of each section begins.
  using Positions = std::vector<std::pair<uint64_t, size_t>>;
  Positions exchange_positions(Positions positions) {
    return std::exchange(positions_, std::move(positions));
  }

  void write(const void* value, size_t bytes);
  void read(void* value, size_t bytes);

 private:
  friend class OuterReplay;
  ReplayRecord& record_;
  Mode mode_;
  ReplayScope* outer_;
  uint64_t section() const { return sections_.empty() ? 0 : sections_.back(); }

  std::vector<uint64_t> sections_;  // a number for each path of nested sections entered
  Positions positions_;             // read position by section
};

/// Makes the scope outside `scope` the current one while it lives.
class OuterReplay {
 public:
  explicit OuterReplay(ReplayScope& scope);
  ~OuterReplay();
  OuterReplay(const OuterReplay&) = delete;
  OuterReplay& operator=(const OuterReplay&) = delete;

 private:
  ReplayScope* inner_;
};

}  // namespace detail

/// The value of make(), or, in the second run of a reversible or checkpointed function, the value
/// of the first run. Everything that a forward reads beside its tensors and that may differ later
/// goes through here: places in a random stream, training flags, rounds. Trivially copyable and
/// small, for example a seed and an offset, never a mask.
template <class Make>
auto replay(Make&& make) {
  using T = std::invoke_result_t<Make>;
  static_assert(std::is_trivially_copyable_v<T>);
  detail::ReplayScope* scope = detail::ReplayScope::current();
  if (!scope) return make();
  T value;
  if (scope->mode() == detail::ReplayScope::Mode::replay) {
    scope->read(&value, sizeof(T));
    return value;
  }
  {
    const detail::OuterReplay outer(*scope);
    value = replay(make);
  }
  scope->write(&value, sizeof(T));
  return value;
}

/// Note [Sections]: inverse() usually runs the parts of a function in another order than forward()
/// did. A part that may call replay() (dropout, say) therefore runs inside a section: `{ const
/// ReplaySection part(1); g(y1); }` in both. Sections nest: part 1 inside part 0 is not part 1. A
/// reversible function inside another enters its sections in the records of both, since its first
/// run may have been a plain call inside the outer one.
class ReplaySection {
 public:
  /// `part` tells the sections of one function apart, from 0.
  explicit ReplaySection(int part);
  ~ReplaySection();
  ReplaySection(const ReplaySection&) = delete;
  ReplaySection& operator=(const ReplaySection&) = delete;

 private:
  detail::ReplayScope* scope_;
};

}  // namespace tenet
