#include <doctest/doctest.h>

#include <tenet/core/error.h>
#include <tenet/core/work_graph.h>

using namespace tenet;

TEST_CASE("work for the CPU is done at once") {
  WorkGraph graph(Device::cpu());
  int runs = 0;
  for (int i = 1; i <= 3; ++i) {
    graph.run([&] { ++runs; });
    CHECK(runs == i);
  }
  CHECK_THROWS_WITH_AS(graph.run([] { fail("no"); }), "no", Error);
  WorkGraph moved = std::move(graph);
  moved.run([&] { ++runs; });
  CHECK(runs == 4);
}
