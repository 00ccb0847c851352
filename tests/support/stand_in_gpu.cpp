#include <stand_in_gpu.h>
#include <sys/mman.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/detail/device_runtime.h>
#include <tenet/core/error.h>
#include <tenet/core/memory.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace tenet::test {
namespace {

/// One range of addresses. Blocks are powers of two; what is given back is handed out again.
class Memory : public detail::Allocator {
 public:
  Memory() {
    const int file = ::memfd_create("stand-in GPU", 0);
    check(file >= 0 && ::ftruncate(file, stand_in_bytes) == 0, "stand-in GPU: no memory");
    const auto map = [file](int protection) {
      void* const range =
          ::mmap(nullptr, stand_in_bytes, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
      check(range != MAP_FAILED, "stand-in GPU: no addresses");
      return static_cast<std::byte*>(range);
    };
    first_ = map(PROT_NONE);
    open_ = map(PROT_READ | PROT_WRITE);
  }

  std::byte* allocate(int64_t bytes) override {
    std::byte* const data = take(size_of(bytes));
    if (data == nullptr) return nullptr;
    std::memset(opened(data), 0xff, static_cast<size_t>(bytes));
    return data;
  }
  void deallocate(std::byte* data, int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    free_[size_of(bytes)].push_back(data);
  }
  int64_t reserved() const override { return used_; }
  void trim() override {}

  void* opened(const void* data) const {
    return open_ + (static_cast<const std::byte*>(data) - first_);
  }
  bool owns(const void* data) const { return data >= first_ && data < first_ + stand_in_bytes; }

 private:
  static int64_t size_of(int64_t bytes) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(bytes, 64))));
  }
  std::byte* take(int64_t size) {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte*>& blocks = free_[size];
    if (!blocks.empty()) {
      std::byte* const data = blocks.back();
      blocks.pop_back();
      return data;
    }
    if (size > stand_in_bytes - used_) return nullptr;
    used_ += size;
    return first_ + used_ - size;
  }
  std::mutex mutex_;
  std::byte *first_ = nullptr, *open_ = nullptr;
  std::map<int64_t, std::vector<std::byte*>> free_;
  int64_t used_ = 0;
};

Memory& gpu_memory() {
  static auto* memory = new Memory;  // tensors with static storage may outlive everything else
  return *memory;
}

struct Number : detail::PendingNumber {
  explicit Number(double number) : number(number) {}
  double wait() override { return number; }
  double number;
};

struct Runtime : detail::DeviceRuntime {
  int count() override { return 1; }
  void select(int index) override {
    check(index == 0, "cuda: there is no cuda:{}; this machine has 1 GPU", index);
  }
  void synchronize(int index) override { select(index); }
  std::unique_ptr<detail::PendingNumber> read_later(const double* number, int) override {
    return std::make_unique<Number>(*static_cast<const double*>(stand_in::opened(number)));
  }
};

/// Before any other initialiser, so that the kernels of a build with CUDA find their slots taken.
[[gnu::constructor(200)]] void take_slots() {
  if (wants_stand_in_gpu()) stand_in::fill_slots();
}

}  // namespace

bool wants_stand_in_gpu() {
  const char* const value = std::getenv("TENET_STAND_IN_GPU");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

void install_stand_in_gpu() {
  static Runtime runtime;
  detail::set_device_runtime(Device::Kind::cuda, &runtime);
  detail::set_allocator(Device::cuda(), &gpu_memory());
}

namespace stand_in {

void* opened(const void* data) { return gpu_memory().opened(data); }

bool owns(const void* data) { return gpu_memory().owns(data); }

}  // namespace stand_in
}  // namespace tenet::test
