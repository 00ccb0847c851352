/// Copies to, from and on a GPU: sizes stand around the pinned slots of 1 MiB; there are 8 of them.
#include <compare.h>
#include <device.h>
#include <tenet/core/autograd.h>
#include <tenet/core/error.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/views.h>

#include <doctest/doctest.h>

#include <thread>

using namespace tenet;
using namespace tenet::test;

namespace {

Tensor numbers(int64_t count, DType dtype = DType::f32) {
  return arange(0, count, 1, {DType::i64}).to(dtype);
}

Tensor there_and_back(const Tensor& x) { return x.to(Device::cuda()).to(Device::cpu()); }

}  // namespace

TEST_CASE("copies of any size and type come back as they were") {
  if (!gpu_or_skip()) return;
  constexpr int64_t slot = int64_t{1} << 18;  // f32 elements of 1 MiB
  for (const int64_t count :
       {int64_t{0}, int64_t{1}, int64_t{3}, slot - 1, slot, slot + 1, 9 * slot + 5}) {
    CAPTURE(count);
    CHECK(same_bits(there_and_back(numbers(count)), numbers(count)));
  }
  for (const DType dtype :
       {DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64, DType::boolean}) {
    CAPTURE(dtype);
    CHECK(same_bits(there_and_back(numbers(1001, dtype)), numbers(1001, dtype)));
  }
}

TEST_CASE("strided tensors come back in row-major order") {
  if (!gpu_or_skip()) return;
  const Tensor x = reshape(numbers(24), {2, 3, 4}), turned = permute(x, {2, 0, 1});
  CHECK(same_bits(there_and_back(turned), turned));
  const Tensor on_gpu = x.to(Device::cuda());
  CHECK(same_bits(permute(on_gpu, {2, 0, 1}).to(Device::cpu()), turned));
  CHECK(same_bits(slice(on_gpu, 2, 1, 3).contiguous(), slice(x, 2, 1, 3)));
  CHECK(same_bits(on_gpu.clone(), x));
  CHECK(same_bits(on_gpu.to(DType::f64), x.to(DType::f64)));
}

TEST_CASE("copies that follow each other do not overtake") {
  if (!gpu_or_skip()) return;
  Tensors copies;
  for (int64_t i = 0; i < 40; ++i) {
    // The source may change as soon as the copy is made.
    Tensor source = full({200000}, static_cast<double>(i));
    copies.push_back(source.to(Device::cuda()));
    source.mutable_data<float>()[0] = source.mutable_data<float>()[199999] = -1;
  }
  for (int64_t i = 0; i < 40; ++i) {
    const std::vector<float> values = copies[static_cast<size_t>(i)].to_vector<float>();
    CHECK(values.front() == static_cast<float>(i));
    CHECK(values.back() == static_cast<float>(i));
  }
}

TEST_CASE("threads copy and compute beside each other") {
  if (!gpu_or_skip()) return;
  std::vector<float> sums(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < sums.size(); ++t) {
    threads.emplace_back([&sum = sums[t], t] {
      for (int i = 0; i < 20; ++i) {
        const Tensor x = full({5000}, static_cast<double>(t), {.device = Device::cuda()});
        sum += (x + full({5000}, 1).to(Device::cuda())).to_vector<float>()[4999];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < sums.size(); ++t) CHECK(sums[t] == 20 * static_cast<float>(t + 1));
}

TEST_CASE("one number is read, and gradients pass between devices") {
  if (!gpu_or_skip()) return;
  Tensor x = full({3}, 2);
  x.set_requires_grad(true);
  const Tensor y = x.to(Device::cuda());
  CHECK(slice(y, 0, 1, 2).item<float>() == 2);
  backward(y * y, {.dy = ones({3}, {.device = Device::cuda()})});
  CHECK(x.grad().device() == Device::cpu());
  CHECK(x.grad().to_vector<float>() == std::vector<float>{4, 4, 4});
}

TEST_CASE("two GPUs hand tensors to each other") {
  if (!gpu_or_skip() || device_count(Device::Kind::cuda) < 2) return;
  const Tensor x = numbers(300000), first = x.to(Device::cuda(0)) * 2;
  const Tensor second = first.to(Device::cuda(1)) + 1;
  CHECK(same_bits(second.to(Device::cuda(0)), x * 2 + 1));
  check_error([&] { first + second; },
              "add: operands are on cuda:0 and cuda:1; move one with .to(device)");
}
