#include <tenet/core/error.h>
#include <tenet/models/witten_bell.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tenet {
namespace {

/// The low `n` bytes of a history, whose newest byte is the lowest.
uint32_t last_bytes(uint32_t history, int n) {
  return n >= 4 ? history : history & ((1u << (8 * n)) - 1);
}

}  // namespace

namespace detail {

template <class Value>
size_t CountTable<Value>::slot_of(uint32_t key) const {
  const size_t mask = slots_.size() - 1;
  size_t i = ((key * 0x9e3779b97f4a7c15u) >> 32) & mask;
  while (slots_[i].value.count != 0 && slots_[i].key != key) i = (i + 1) & mask;
  return i;
}

template <class Value>
void CountTable<Value>::grow() {
  std::vector<Slot> old(std::max<size_t>(256, 2 * slots_.size()));
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.value.count != 0) slots_[slot_of(slot.key)] = slot;
}

template <class Value>
Value& CountTable<Value>::operator[](uint32_t key) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  Slot& slot = slots_[slot_of(key)];
  if (slot.value.count == 0) {
    slot.key = key;
    ++used_;
  }
  return slot.value;
}

template <class Value>
const Value* CountTable<Value>::find(uint32_t key) const {
  if (slots_.empty()) return nullptr;
  const Slot& slot = slots_[slot_of(key)];
  return slot.value.count != 0 ? &slot.value : nullptr;
}

template class CountTable<ByteCount>;
template class CountTable<ContextCount>;

}  // namespace detail

WittenBell::WittenBell(std::span<const uint8_t> text, int order) {
  check(order >= 0 && order <= max_order, "witten_bell: order {} is not in 0..{}", order,
        max_order);
  check(!text.empty(), "witten_bell: the text to count is empty");
  check(text.size() <= std::numeric_limits<uint32_t>::max(),
        "witten_bell: {} bytes are too many to count in 32 bits", text.size());
  bytes_.resize(order + 1);
  contexts_.resize(order + 1);
  uint32_t history = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int known = static_cast<int>(std::min<size_t>(i, order));
    const uint32_t with_byte = history << 8 | text[i];
    for (int k = 0; k <= known; ++k) {
      detail::ContextCount& context = contexts_[k][last_bytes(history, k)];
      detail::ByteCount& seen = bytes_[k][last_bytes(with_byte, k + 1)];
      context.count += 1;
      context.distinct += seen.count == 0;
      seen.count += 1;
    }
    history = with_byte;
  }
}

void WittenBell::check_order(int order) const {
  check(order >= 0 && order < std::ssize(bytes_),
        "witten_bell: order {} asked of a model of order {}", order, std::ssize(bytes_) - 1);
}

double WittenBell::after(uint32_t history, int known, uint8_t b) const {
  double p = 1.0 / 256;
  for (int k = 0; k <= known; ++k) {
    const detail::ContextCount* context = contexts_[k].find(last_bytes(history, k));
    if (context == nullptr) break;
    const detail::ByteCount* seen = bytes_[k].find(last_bytes(history << 8 | b, k + 1));
    const double count = seen != nullptr ? seen->count : 0;
    p = (count + context->distinct * p) / (static_cast<double>(context->count) + context->distinct);
  }
  return p;
}

double WittenBell::probability(std::span<const uint8_t> context, uint8_t b, int order) const {
  check_order(order);
  const auto known = std::min<size_t>(context.size(), order);
  uint32_t history = 0;
  for (const uint8_t byte : context.last(known)) history = history << 8 | byte;
  return after(history, static_cast<int>(known), b);
}

double WittenBell::bits_per_byte(std::span<const uint8_t> text, int order) const {
  check_order(order);
  check(text.size() >= 2, "witten_bell: {} bytes leave nothing to predict; at least 2 are needed",
        text.size());
  double bits = 0;
  uint32_t history = text[0];
  for (size_t i = 1; i < text.size(); ++i) {
    bits -= std::log2(after(history, static_cast<int>(std::min<size_t>(i, order)), text[i]));
    history = history << 8 | text[i];
  }
  return bits / static_cast<double>(text.size() - 1);
}

}  // namespace tenet
