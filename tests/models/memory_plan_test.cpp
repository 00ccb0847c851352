/// What the memory plan says beside what steps take.
#include <doctest/doctest.h>
#include <tenet/models/benchmark.h>
#include <tenet/models/detail/run.h>
#include <tenet/models/memory_plan.h>
#include <tenet/models/reformer.h>

using namespace tenet;

namespace {

MemoryPlan plan_of(const StepBenchmarkOptions& o) {
  const ReformerConfig config = benchmark_config(o.model, o.length);
  const int64_t parameters = Reformer(config).parameter_count();
  return plan_memory(config, parameters,
                     {.batch = o.batch,
                      .length = o.length,
                      .dtype = detail::autocast_of(o.model.dtype).value_or(DType::f32),
                      .reversible = o.reversible});
}

std::vector<BenchmarkModel> models() {
  const BenchmarkModel small{
      .layers = 2, .d_model = 128, .heads = 2, .d_ff = 512, .hashes = 2, .chunk = 32};
  std::vector<BenchmarkModel> all(6, small);
  all[1].attention = "local,full";
  all[2].residual = "float";
  all[3].layers = 6, all[3].heads = 4, all[3].hashes = 4;
  all[4].layers = 1, all[4].d_ff = 2048;
  all[5].d_model = 256, all[5].d_ff = 256, all[5].attention = "lsh,local";
  return all;
}

}  // namespace

TEST_CASE("the planned peak is that of a step, within 10 %") {
  for (const BenchmarkModel& model : models()) {
    for (const char* dtype : {"f32", "bf16"}) {
      for (const bool reversible : {true, false}) {
        for (const auto& [batch, length] : {std::pair(1, 256), std::pair(3, 512)}) {
          StepBenchmarkOptions o{.model = model, .length = length, .batch = batch, .steps = 1};
          o.model.dtype = dtype;
          o.reversible = reversible;
          CAPTURE(o.model.attention);
          CAPTURE(o.model.residual);
          CAPTURE(o.model.d_ff);
          CAPTURE(o.model.dtype);
          CAPTURE(reversible);
          CAPTURE(length);
          const MemoryPlan plan = plan_of(o);
          CAPTURE(plan.fullest().name);
          const auto peak = static_cast<double>(benchmark_step(o).peak_bytes);
          const double ratio = static_cast<double>(plan.total()) / peak;
          CHECK(ratio > 0.9);
          CHECK(ratio < 1.1);
        }
      }
    }
  }
}

TEST_CASE("depth adds parameters to the plan of a reversible step, activations to the other") {
  StepBenchmarkOptions shallow{.model = models()[0], .length = 1024}, deep = shallow;
  deep.model.layers = 12;
  const MemoryPlan a = plan_of(shallow), b = plan_of(deep);
  CHECK(a.fullest().name == "attention");
  CHECK(a.fullest().activations == b.fullest().activations);
  CHECK(b.optimizer == 2 * b.parameters);
  CHECK(b.total() == b.parameters + b.optimizer + b.fullest().bytes());
  shallow.reversible = deep.reversible = false;
  CHECK(plan_of(deep).fullest().activations > 4 * plan_of(shallow).fullest().activations);
}

TEST_CASE("a plan as a table") {
  const MemoryPlan plan{.parameters = 1000,
                        .optimizer = 2000,
                        .moments = {{"loss", 10, 20, 30}, {"attention", 100, 200, 300}}};
  CHECK(plan.fullest().name == "attention");
  CHECK(plan.total() == 3600);
  const std::string text = to_string(plan);
  CHECK(text.find("predicted peak") != std::string::npos);
  CHECK(text.ends_with("  the peak is in: attention\n"));
}
