#include <doctest/doctest.h>
#include <tenet/core/detail/arena.h>
#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/memory.h>
#include <tenet/core/tensor.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>

#include <sys/resource.h>

#include "core/small_ops.h"

using namespace tenet;
using memory::Category;
using tenet::test::error_of;

namespace {

constexpr int64_t mega = 1 << 20;

int64_t live(Category category = Category::all) {
  return memory::stats(Device::cpu(), category).live;
}
int64_t peak(Category category = Category::all) {
  return memory::stats(Device::cpu(), category).peak;
}

}  // namespace

TEST_CASE("buffers count under their category, in working where they belong to it, and in all") {
  const Category own[] = {Category::parameter, Category::gradient, Category::optimizer,
                          Category::activation, Category::workspace};
  for (const Category category : own) {
    int64_t before[static_cast<int>(Category::all) + 1];
    for (int i = 0; i <= static_cast<int>(Category::all); ++i)
      before[i] = live(static_cast<Category>(i));
    const memory::Buffer buffer(1000, Device::cpu(), category);
    for (int i = 0; i <= static_cast<int>(Category::all); ++i) {
      const auto other = static_cast<Category>(i);
      const bool working = category == Category::activation || category == Category::workspace;
      const bool counts =
          other == category || other == Category::all || (other == Category::working && working);
      CHECK(live(other) - before[i] == (counts ? 1000 : 0));
    }
  }
}

TEST_CASE("scopes nest and set the category of this thread's buffers") {
  CHECK(memory::current_category() == Category::activation);
  const memory::Scope outer(Category::parameter);
  {
    const memory::Scope inner(Category::optimizer);
    CHECK(memory::Buffer(8, Device::cpu()).category() == Category::optimizer);
    std::thread([] { CHECK(memory::current_category() == Category::activation); }).join();
  }
  CHECK(memory::current_category() == Category::parameter);
}

TEST_CASE("the peak is the most since it was reset") {
  memory::reset_peak();
  const int64_t start = live();
  CHECK(peak() == start);
  { const memory::Buffer a(5000, Device::cpu()), b(3000, Device::cpu()); }
  CHECK(live() == start);
  CHECK(peak() == start + 8000);
  memory::reset_peak();
  CHECK(peak() == start);
  const memory::Buffer kept(100, Device::cpu(), Category::gradient);
  CHECK(peak(Category::gradient) == live(Category::gradient));
}

TEST_CASE("a buffer moves, changes its category and is 64-byte aligned") {
  const int64_t start = live();
  {
    memory::Buffer a(4097, Device::cpu());
    std::memset(a.data(), 7, 4097);
    memory::Buffer b = std::move(a);
    CHECK(b.bytes() == 4097);
    CHECK(a.data() == nullptr);
    CHECK(static_cast<int>(b.data()[4096]) == 7);
    const int64_t parameters = live(Category::parameter);
    b.set_category(Category::parameter);
    CHECK(live(Category::parameter) == parameters + 4097);
    CHECK(live() == start + 4097);
    for (const int64_t bytes : {0, 1, 63, 64, 65, 4095, 4096, 5000, 1 << 20}) {
      const memory::Buffer c(bytes, Device::cpu());
      CHECK(reinterpret_cast<uintptr_t>(c.data()) % 64 == 0);
    }
    const memory::Workspace<double> scratch(10);
    scratch[9] = 1.5;
    CHECK(scratch.data()[9] == 1.5);
  }
  CHECK(live() == start);
}

TEST_CASE("threads count together") {
  const int64_t start = live();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 1; i < 200; ++i) {
        memory::Buffer buffer(i * 100 + t, Device::cpu());
        std::memset(buffer.data(), t, static_cast<size_t>(buffer.bytes()));
        const memory::Buffer moved = std::move(buffer);
        if (static_cast<int>(moved.data()[moved.bytes() - 1]) != t) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(live() == start);
}

TEST_CASE("the report is a table of all categories") {
  const memory::Buffer buffer(12345, Device::cpu(), Category::optimizer);
  const std::string report = memory::report();
  CHECK(report.starts_with("category          live bytes      peak bytes\n"));
  CHECK(report.find(fmt::format("optimizer   {:>16}{:>16}\n", live(Category::optimizer),
                                peak(Category::optimizer))) != std::string::npos);
  CHECK(report.find(fmt::format("reserved    {:>16}\n", memory::stats(Device::cpu()).reserved)) !=
        std::string::npos);
}

TEST_CASE("an allocation that fails is an error with the numbers, and the program goes on") {
  const Tensor kept = empty({100});
  const memory::Buffer weights(60, Device::cpu(), Category::parameter);
  const memory::Stats now = memory::stats(Device::cpu());
  detail::fail_allocation_after(1);
  const Tensor first = empty({3});
  std::string text;
  try {
    empty({1000});
  } catch (const OutOfMemory& error) {
    text = error.what();
  }
  CHECK(text ==
        fmt::format("memory: 4000 bytes on cpu could not be allocated ({} live: activation {}, "
                    "parameter {}; {} reserved); use a smaller batch or length, or more chunks",
                    now.live + 12, live(Category::activation), live(Category::parameter),
                    now.reserved));
  CHECK(empty({1000}).numel() == 1000);
  if (detail::device_runtime(Device::Kind::cuda) == nullptr) {
    CHECK(error_of([] { memory::Buffer(8, Device::cuda(5)); }) ==
          "memory: no allocator for cuda:5 in this build");
  }
  CHECK(error_of([] { memory::stats(Device::cuda(64)); }) == "memory: no device cuda:64");
}

#if !defined(TENET_SANITIZE)  // under the sanitizers every buffer is an allocation of its own

TEST_CASE("more than the machine has is an error") {
  CHECK_THROWS_AS(empty({int64_t{1} << 46}), OutOfMemory);
}

TEST_CASE("small blocks take nothing from the arena, others what they need") {
  detail::Arena arena;
  std::byte* small = arena.allocate(4095);
  CHECK(arena.reserved() == 0);
  arena.deallocate(small, 4095);
  std::byte* block = arena.allocate(4096);
  CHECK(arena.reserved() == 2 * mega);
  std::byte* large = arena.allocate(17 * mega);
  CHECK(arena.reserved() == 2 * mega + 17 * mega);
  arena.deallocate(block, 4096);
  arena.deallocate(large, 17 * mega);
  std::byte* larger = arena.allocate(19 * mega + 1);  // of the pages that are free, and new ones
  CHECK(arena.reserved() == 2 * mega + 19 * mega + mega / 16);
  arena.deallocate(larger, 19 * mega + 1);
}

TEST_CASE("freed neighbours join, in whatever order they are freed") {
  int order[] = {0, 1, 2, 3};
  do {
    detail::Arena arena;
    std::byte* blocks[4];
    for (std::byte*& block : blocks) block = arena.allocate(mega / 4);
    for (const int i : order) arena.deallocate(blocks[i], mega / 4);
    std::byte* whole = arena.allocate(mega);
    CHECK(whole == blocks[0]);
    arena.deallocate(whole, mega);
    std::byte* all = arena.allocate(2 * mega - 64);  // with what was never used
    CHECK(all == blocks[0]);
    CHECK(arena.reserved() == 2 * mega);
    arena.deallocate(all, 2 * mega - 64);
  } while (std::next_permutation(std::begin(order), std::end(order)));
}

TEST_CASE("of the free blocks that fit, the smallest is taken") {
  const int64_t unit = mega / 8;
  detail::Arena arena;
  std::byte* a = arena.allocate(3 * unit);
  std::byte* gap = arena.allocate(unit);
  std::byte* b = arena.allocate(2 * unit);
  std::byte* end = arena.allocate(unit);
  arena.deallocate(a, 3 * unit);
  arena.deallocate(b, 2 * unit);
  std::byte* fits = arena.allocate(2 * unit);
  CHECK(fits == b);
  arena.deallocate(fits, 2 * unit);
  arena.deallocate(gap, unit);
  arena.deallocate(end, unit);
}

/// A line of /proc/self/status in bytes.
int64_t process_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  FAIL("no " << key);
  return 0;
}

TEST_CASE("trim gives back free pages, and of medium blocks those of addresses at the end") {
  for (const int64_t size : {mega, 16 * mega}) {
    detail::Arena arena;
    std::vector<std::byte*> blocks(48);
    for (std::byte*& block : blocks) {
      block = arena.allocate(size);
      std::memset(block, 1, static_cast<size_t>(size));
    }
    CHECK(arena.reserved() == 48 * size);
    const auto free = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) arena.deallocate(blocks[i], size);
    };
    free(0, 16);
    free(32, 48);
    const int64_t before = process_bytes("VmRSS");
    arena.trim();
    CHECK(before - process_bytes("VmRSS") > 31 * size);
    CHECK(arena.reserved() == (size == mega ? 32 : 16) * size);
    CHECK(blocks[16][size - 1] == std::byte{1});
    free(16, 32);
    arena.trim();
    CHECK(arena.reserved() == 0);
    std::byte* again = arena.allocate(size);
    CHECK(again[size - 1] == std::byte{0});
    CHECK(arena.reserved() == std::max(size, 2 * mega));
    arena.deallocate(again, size);
  }
}

/// While it lives, a limit of this process.
class Limit {
 public:
  Limit(decltype(RLIMIT_AS) what, rlim_t value) : what_(what) {
    REQUIRE(getrlimit(what_, &before_) == 0);
    const rlimit limit{std::min(value, before_.rlim_max), before_.rlim_max};
    REQUIRE(setrlimit(what_, &limit) == 0);
  }
  ~Limit() { setrlimit(what_, &before_); }

 private:
  decltype(RLIMIT_AS) what_;
  rlimit before_{};
};

TEST_CASE("where addresses are rationed, trim gives them back as well") {
  const Limit limit(RLIMIT_AS, rlim_t{1} << 46);
  detail::Arena arena;
  const auto fill_and_trim = [&] {
    std::vector<std::byte*> blocks(150);
    for (std::byte*& block : blocks) block = arena.allocate(mega);
    for (std::byte* block : blocks) arena.deallocate(block, mega);
    arena.trim();
  };
  const int64_t before = process_bytes("VmSize");
  for (int round = 0; round < 8; ++round) fill_and_trim();
  CHECK(arena.reserved() == 0);
  CHECK(process_bytes("VmSize") - before < 128 * mega);
}

TEST_CASE("a small block that cannot be had is asked for again without what is cached") {
  detail::Arena arena;
  constexpr int64_t large = 192 * mega;
  const Limit limit(RLIMIT_DATA, static_cast<rlim_t>(process_bytes("VmData") + 256 * mega));
  std::byte* const data = arena.allocate(large);
  REQUIRE(data != nullptr);
  arena.deallocate(data, large);
  std::vector<std::byte*> blocks(40'000);  // 160 MB
  for (std::byte*& block : blocks) block = arena.allocate(4032);
  CHECK(std::count(blocks.begin(), blocks.end(), nullptr) == 0);
  CHECK(arena.reserved() == 0);
  for (std::byte* block : blocks) arena.deallocate(block, 4032);
}

TEST_CASE("what cannot be had is null, after what is cached was given back") {
  detail::Arena arena;
  std::byte* a = arena.allocate(mega);
  arena.deallocate(a, mega);
  for (const int bits : {45, 48}) {  // addresses there are, memory not; not even addresses
    CHECK(arena.allocate(int64_t{1} << bits) == nullptr);
    CHECK(arena.reserved() == 0);
  }
}

TEST_CASE("blocks of random sizes never overlap, and a steady loop takes nothing new") {
  detail::Arena arena;
  std::mt19937 random(1);
  std::vector<std::pair<std::byte*, int64_t>> blocks(64, {nullptr, 0});
  int64_t reserved = 0;
  for (int round = 0; round < 4; ++round) {
    random.seed(5);
    for (int step = 0; step < 2000; ++step) {
      auto& [data, size] = blocks[random() % blocks.size()];
      if (data) {
        const auto mark = static_cast<std::byte>(size % 251);
        if (data[0] != mark || data[size - 1] != mark) FAIL("a block was overwritten");
        arena.deallocate(data, size);
      }
      size = 4096 + static_cast<int64_t>(random() % (4 * mega));
      data = arena.allocate(size);
      data[0] = data[size - 1] = static_cast<std::byte>(size % 251);
    }
    for (auto& [data, size] : blocks) {
      if (data) arena.deallocate(std::exchange(data, nullptr), size);
    }
    if (round == 0) reserved = arena.reserved();
    CHECK(arena.reserved() == reserved);
  }
  arena.trim();
  CHECK(arena.reserved() == 0);
}

TEST_CASE("large blocks leave no holes: what is reserved is the most that was live") {
  const int64_t unit = mega / 4;
  detail::Arena arena;
  std::mt19937 random(2);
  std::vector<std::pair<std::byte*, int64_t>> blocks(8, {nullptr, 0});
  int64_t live = 0, most = 0;
  for (int step = 0; step < 4000; ++step) {
    auto& [data, size] = blocks[random() % blocks.size()];
    const auto mark = static_cast<std::byte>(step % 251);
    if (data) {
      for (int64_t i = 0; i < size; i += unit) REQUIRE(data[i] == data[size - 1]);
      arena.deallocate(data, size);
      live -= size;
    }
    size = (8 + static_cast<int64_t>(random() % 64)) * unit;
    data = arena.allocate(size);
    live += size;
    most = std::max(most, live);
    REQUIRE(arena.reserved() == most);
    for (int64_t i = 0; i < size; i += unit) data[i] = mark;
    data[size - 1] = mark;
  }
  for (auto& [data, size] : blocks) {
    if (data) arena.deallocate(data, size);
  }
  arena.trim();
  CHECK(arena.reserved() == 0);
}

/// Mappings of this process.
int64_t mappings() {
  std::ifstream file("/proc/self/maps");
  return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
}

TEST_CASE("large blocks of changing sizes are not made of ever more pieces") {
  const int64_t unit = mega / 4;
  detail::Arena arena;
  std::mt19937 random(3);
  const int64_t before = mappings();
  std::vector<std::pair<std::byte*, int64_t>> blocks(64, {nullptr, 0});
  for (int step = 0; step < 40000; ++step) {
    auto& [data, size] = blocks[random() % blocks.size()];
    if (data) arena.deallocate(data, size);
    size = (8 + static_cast<int64_t>(random() % 400)) * unit;
    data = arena.allocate(size);
    REQUIRE(data != nullptr);
  }
  CHECK(mappings() - before < 16384);
  for (auto& [data, size] : blocks) {
    if (data) arena.deallocate(data, size);
  }
}

#endif
