#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tenet/core/atomic_file.h>
#include <tenet/core/detail/safetensors_header.h>
#include <tenet/core/safetensors.h>
#include <tenet/core/view.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>

namespace tenet::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

using detail::Entry;
using detail::in_quotes;

/// A file mapped into memory. What is written to it stays in this process.
class Map {
 public:
  explicit Map(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    check_call(file >= 0, "open", path);
    struct Close {
      int file;
      ~Close() { ::close(file); }
    } const closer{file};
    struct stat info {};
    check_call(::fstat(file, &info) == 0, "read", path);
    check(S_ISREG(info.st_mode), "safetensors: {} is not a regular file", in_quotes(path));
    size_ = info.st_size;
    if (size_ == 0) return;
    void* memory = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_NORESERVE, file, 0);
    check_call(memory != MAP_FAILED, "map", path);
    data_ = static_cast<std::byte*>(memory);
  }
  ~Map() {
    if (data_) ::munmap(data_, static_cast<size_t>(size_));
  }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  static void check_call(bool good, const char* call, const std::string& path) {
    const int error = errno;
    check(good, "safetensors: cannot {} {}: {}", call, in_quotes(path),
          std::generic_category().message(error));
  }

  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

/// The header's length in bytes, checked against the file's size.
int64_t header_length(const Map& map, const std::string& file) {
  constexpr uint64_t limit = 100'000'000;
  check(map.size() >= 8, "safetensors: {} has {} bytes; the header's length alone takes 8", file,
        map.size());
  uint64_t length = 0;
  std::memcpy(&length, map.data(), 8);
  check(length <= limit, "safetensors: {} has a header of {} bytes; at most {} are read", file,
        length, limit);
  check(static_cast<int64_t>(length) <= map.size() - 8,
        "safetensors: {} has {} bytes but a header of {}; it is truncated", file, map.size(),
        length);
  return static_cast<int64_t>(length);
}

/// Every byte of the data belongs to one tensor.
void check_layout(const std::vector<Entry>& entries, int64_t data_bytes, const std::string& file) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  const Entry* previous = nullptr;
  int64_t covered = 0;
  for (const Entry* entry : order) {
    check(entry->end <= data_bytes,
          "safetensors: {}: tensor {} ends at byte {} of {} bytes of data; the file is truncated "
          "or damaged",
          file, in_quotes(entry->name), entry->end, data_bytes);
    check(!previous || entry->begin >= covered, "safetensors: {}: tensors {} and {} overlap", file,
          in_quotes(previous ? previous->name : ""), in_quotes(entry->name));
    check(entry->begin == covered,
          "safetensors: {}: bytes {} to {} of the data belong to no tensor", file, covered,
          entry->begin);
    covered = entry->end;
    previous = entry;
  }
  check(covered == data_bytes, "safetensors: {}: bytes {} to {} of the data belong to no tensor",
        file, covered, data_bytes);
}

Tensor tensor_of(const Entry& entry, const std::shared_ptr<Map>& map, std::byte* data,
                 const std::string& file) {
  std::byte* first = data + entry.begin;
  if (entry.dtype == DType::boolean) {
    const bool valid =
        std::all_of(first, data + entry.end, [](std::byte b) { return b <= std::byte{1}; });
    check(valid, "safetensors: {}: tensor {} of BOOL has a byte that is neither 0 nor 1", file,
          in_quotes(entry.name));
  }
  const auto misaligned =
      reinterpret_cast<uintptr_t>(first) % static_cast<size_t>(itemsize(entry.dtype));
  if (misaligned == 0 && entry.begin < entry.end) {
    return from_external(first, entry.shape, {entry.dtype}, [map] {});
  }
  Tensor copy = empty(entry.shape, {entry.dtype});
  std::memcpy(view(copy).data, first, static_cast<size_t>(entry.end - entry.begin));
  return copy;
}

std::vector<Entry> lay_out(const std::vector<std::pair<std::string, Tensor>>& tensors,
                           const std::string& file) {
  std::vector<Entry> entries;
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    check(tensor.defined(), "safetensors: {}: tensor {} is undefined", file, in_quotes(name));
    check(name != "__metadata__" && names.insert(name).second,
          "safetensors: {}: the name {} is taken; give every tensor another", file,
          in_quotes(name));
    entries.push_back(
        {name, tensor.dtype(), tensor.shape(), 0, tensor.numel() * itemsize(tensor.dtype())});
    if (tensor.dtype() == DType::fixed32) entries.back().dtype = DType::i32;
  }
  // Large elements first, so that all are aligned in the file.
  int64_t offset = 0;
  for (const int64_t size : {8, 4, 2, 1}) {
    for (Entry& entry : entries) {
      if (itemsize(entry.dtype) != size) continue;
      entry.begin = offset;
      entry.end += offset;
      offset = entry.end;
    }
  }
  return entries;
}

}  // namespace

File load(const std::string& path) {
  const auto map = std::make_shared<Map>(path);
  const std::string file = in_quotes(path);
  const int64_t length = header_length(*map, file);
  const std::string_view text(reinterpret_cast<const char*>(map->data()) + 8,
                              static_cast<size_t>(length));
  detail::Header header = detail::parse_header(text, file);
  std::byte* data = map->data() + 8 + length;
  check_layout(header.entries, map->size() - 8 - length, file);
  File result{{}, std::move(header.metadata)};
  for (const Entry& entry : header.entries) {
    result.tensors.emplace(entry.name, tensor_of(entry, map, data, file));
  }
  return result;
}

void save(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
          const std::map<std::string, std::string>& metadata) {
  const std::string file = in_quotes(path);
  const std::vector<Entry> entries = lay_out(tensors, file);
  std::string header = detail::format_header(entries, metadata, file);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();

  std::vector<size_t> order(entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].begin, entries[a].end) <
           std::pair(entries[b].begin, entries[b].end);
  });
  atomic_write(path, [&](const ByteSink& sink) {
    sink({reinterpret_cast<const char*>(&length), 8});
    sink(header);
    for (const size_t i : order) {
      const Tensor tensor = tensors[i].second.detach().to(Device::cpu()).contiguous();
      sink({static_cast<const char*>(view(tensor).data),
            static_cast<size_t>(entries[i].end - entries[i].begin)});
    }
  });
}

void save(const std::string& path, const std::map<std::string, Tensor>& tensors,
          const std::map<std::string, std::string>& metadata) {
  save(path, std::vector<std::pair<std::string, Tensor>>(tensors.begin(), tensors.end()), metadata);
}

}  // namespace tenet::safetensors
