/// Single ops, forward and backward, in three sizes; the cost of an op of 16 elements; a step of a
/// small MLP. bench/peers/ops_pytorch.py measures the same rows in PyTorch.
///
/// forward: the call with its node, and the end of its result. backward: the walk alone, each on a
/// fresh graph, into leaves without gradients. Sizes are about 1 K (small), 256 K (cache) and 16 M
/// (large) numbers. With --device cuda, 16 calls are timed together, until the last one is done.
#include <benchmark/benchmark.h>

#include <tenet/core/autograd.h>
#include <tenet/core/parallel.h>
#include <tenet/nn/activation.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/sequential.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/dropout.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/index.h>
#include <tenet/ops/layer_norm.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/sort.h>
#include <tenet/optim/adam.h>

#include <chrono>
#include <functional>
#include <string_view>

namespace {

using namespace tenet;

/// A case whose tensors are there: the leaves that collect gradients, and the call.
struct Instance {
  Tensors leaves;
  std::function<Tensor()> forward;
};
using Make = std::function<Instance()>;

Device device;  // of all tensors

/// How many calls are timed together.
size_t at_a_time() { return device.is_cpu() ? 1 : 16; }

Tensor leaf(const Shape& shape, DType dtype = DType::f32) {
  Tensor x = randn(shape, {.device = device}).to(dtype).detach();
  x.set_requires_grad(true);
  return x;
}

Tensor indices_below(int64_t most, const Shape& shape) {
  return randint(shape, 0, most, {DType::i64, device});
}

/// Seconds of one of the calls, all of them done.
template <class F>
double seconds_of_each(size_t calls, F&& call) {
  synchronize(device);
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < calls; ++i) call(i);
  synchronize(device);
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(end - begin).count() / static_cast<double>(calls);
}

void run_forward(benchmark::State& state, const Make& make) {
  const Instance instance = make();
  const auto call = [&](size_t = 0) {
    const Tensor y = instance.forward();
    benchmark::DoNotOptimize(y.body().storage->data());
  };
  for (auto _ : state) {
    if (device.is_cpu()) {
      call();
    } else {
      state.SetIterationTime(seconds_of_each(at_a_time(), call));
    }
  }
}

void run_backward(benchmark::State& state, const Make& make) {
  const Instance instance = make();
  const Tensor first = instance.forward();
  const Tensor dy = randn(first.shape(), {.device = device}).to(first.dtype());
  for (auto _ : state) {
    Tensors graphs;
    for (size_t i = 0; i < at_a_time(); ++i) graphs.push_back(instance.forward());
    const auto clear = [&] {
      for (const Tensor& x : instance.leaves) x.clear_grad();
    };
    clear();
    state.SetIterationTime(seconds_of_each(graphs.size(), [&](size_t i) {
      if (i > 0) clear();
      backward(graphs[i], {.dy = dy});
    }));
  }
}

void add_rows(const std::string& name, const Make& make) {
  const auto unit = benchmark::kMicrosecond;
  auto* forward = benchmark::RegisterBenchmark((name + "/forward").c_str(), run_forward, make);
  forward->Unit(unit);
  device.is_cpu() ? forward->UseRealTime() : forward->UseManualTime();
  benchmark::RegisterBenchmark((name + "/backward").c_str(), run_backward, make)
      ->UseManualTime()
      ->Unit(unit);
}

struct Size {
  const char* name;
  Shape matrix;  // of the ops that take a matrix
  int64_t product, width, rows, images, channels, plane;
  Shape batched;
};

const Size sizes[] = {{"small", {16, 64}, 32, 32, 32, 1, 4, 16, {4, 16, 16}},
                      {"cache", {1024, 256}, 512, 256, 1024, 4, 64, 32, {64, 64, 64}},
                      {"large", {16384, 1024}, 2048, 1024, 16384, 16, 64, 128, {1024, 128, 128}}};

void add_products(const Size& s, DType dtype) {
  const auto row = [&](const std::string& op, const Make& make) {
    add_rows(op + (dtype == DType::bf16 ? "_bf16/" : "/") + s.name, make);
  };
  row("matmul", [=] {
    const Tensor a = leaf({s.product, s.product}, dtype), b = leaf({s.product, s.product}, dtype);
    return Instance{{a, b}, [=] { return matmul(a, b); }};
  });
  row("bmm", [=] {
    const Tensor a = leaf(s.batched, dtype), b = leaf(s.batched, dtype);
    return Instance{{a, b}, [=] { return matmul(a, b); }};
  });
  row("linear", [=] {
    const Tensor x = leaf({s.rows, s.width}, dtype), w = leaf({s.width, s.width}, dtype);
    const Tensor bias = leaf({s.width}, dtype);
    return Instance{{x, w, bias}, [=] { return linear(x, w, bias); }};
  });
  row("conv2d", [=] {
    const Tensor x = leaf({s.images, s.channels, s.plane, s.plane}, dtype);
    const int64_t outputs = s.channels == 4 ? 8 : s.channels;
    const Tensor w = leaf({outputs, s.channels, 3, 3}, dtype), bias = leaf({outputs}, dtype);
    return Instance{{x, w, bias}, [=] { return conv2d(x, w, bias, {.padding = 1}); }};
  });
}

void add_others(const Size& s) {
  const auto row = [&](const std::string& op, const Make& make) {
    add_rows(op + "/" + s.name, make);
  };
  const auto unary = [&](const std::string& op, const std::function<Tensor(const Tensor&)>& f) {
    row(op, [=] {
      const Tensor x = leaf(s.matrix);
      return Instance{{x}, [=] { return f(x); }};
    });
  };
  const int64_t rows = s.matrix[0], width = s.matrix[1];
  unary("softmax", [](const Tensor& x) { return softmax(x); });
  unary("gelu", [](const Tensor& x) { return gelu(x); });
  unary("dropout", [](const Tensor& x) { return dropout(x, 0.1); });
  unary("sort", [](const Tensor& x) { return sort(x).values; });
  unary("sum", [](const Tensor& x) { return sum(x); });
  row("add", [=] {
    const Tensor a = leaf(s.matrix), b = leaf(s.matrix);
    return Instance{{a, b}, [=] { return add(a, b); }};
  });
  row("layer_norm", [=] {
    const Tensor x = leaf(s.matrix), w = leaf({width}), b = leaf({width});
    return Instance{{x, w, b}, [=] { return layer_norm(x, w, b); }};
  });
  row("cross_entropy", [=] {
    const Tensor x = leaf(s.matrix), targets = indices_below(width, {rows});
    return Instance{{x}, [=] { return cross_entropy(x, targets); }};
  });
  row("embedding", [=] {
    const Tensor table = leaf(s.matrix), indices = indices_below(rows, {rows});
    return Instance{{table}, [=] { return embedding(table, indices); }};
  });
  row("gather", [=] {
    const Tensor x = leaf(s.matrix), index = indices_below(width, s.matrix);
    return Instance{{x}, [=] { return gather(x, index, 1); }};
  });
}

/// One op of 16 elements that enters the graph.
void tiny_op(benchmark::State& state) {
  const Tensor a = leaf({16}), b = leaf({16});
  for (auto _ : state) {
    const Tensor y = mul(a, b);
    benchmark::DoNotOptimize(y.body().storage->data());
  }
}

/// 16 ops on 16 elements, their sum, and the way back.
void tiny_chain(benchmark::State& state) {
  const Tensor x = leaf({16}), w = leaf({16}), b = leaf({16});
  for (auto _ : state) {
    Tensor y = x;
    for (int i = 0; i < 8; ++i) y = add(mul(y, w), b);
    backward(sum(y));
    for (const Tensor& t : {x, w, b}) t.clear_grad();
  }
}

/// 64 -> 128 -> 128 -> 10 on 32 rows: loss, backward, Adam.
void mlp_step(benchmark::State& state) {
  nn::Sequential model(nn::Linear(64, 128), nn::Relu(), nn::Linear(128, 128), nn::Relu(),
                       nn::Linear(128, 10));
  model.to(device);
  optim::Adam optimizer(model.parameters());
  const Tensor x = randn({32, 64}, {.device = device}), targets = indices_below(10, {32});
  for (auto _ : state) {
    optimizer.clear_grad();
    backward(cross_entropy(model(x), targets));
    optimizer.step();
  }
}

void register_all() {
  for (const Size& s : sizes) {
    add_products(s, DType::f32);
    add_products(s, DType::bf16);
    add_others(s);
  }
  benchmark::RegisterBenchmark("tiny_op", tiny_op)->UseRealTime();
  benchmark::RegisterBenchmark("tiny_chain", tiny_chain)->UseRealTime();
  benchmark::RegisterBenchmark("mlp_step", mlp_step)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);
  if (argc == 3 && std::string_view(argv[1]) == "--device") {
    device = parse_device(argv[2]);
    argc = 1;
  }
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("threads", std::to_string(num_threads()));
  register_all();
  benchmark::RunSpecifiedBenchmarks();
} catch (const std::exception& error) {
  std::fprintf(stderr, "ops: %s\n", error.what());
  return 1;
}
