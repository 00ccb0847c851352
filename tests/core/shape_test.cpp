#include <doctest/doctest.h>
#include <tenet/core/shape.h>
#include <tenet/core/view.h>

#include "core/small_ops.h"

using namespace tenet;
using tenet::test::error_of;

TEST_CASE("shapes hold up to eight sizes") {
  const Shape s{2, 3, 4};
  CHECK(s.dim() == 3);
  CHECK(s.numel() == 24);
  CHECK(s[1] == 3);
  CHECK(s.back() == 4);
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{}.empty());
  CHECK(Shape{5, 0}.numel() == 0);
  CHECK(s == Shape{2, 3, 4});
  CHECK(s != Shape{2, 3});
  CHECK(s != Shape{2, 3, 5});
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }) ==
        "shape: 9 dimensions; at most 8 are supported");
}

TEST_CASE("axes are inserted, appended and erased") {
  Shape s{2, 4};
  s.insert(1, 3);
  CHECK(s == Shape{2, 3, 4});
  s.push_back(5);
  CHECK(s == Shape{2, 3, 4, 5});
  s.erase(0);
  CHECK(s == Shape{3, 4, 5});
  Shape full{1, 1, 1, 1, 1, 1, 1, 1};
  CHECK(error_of([&] { full.push_back(1); }) == "shape: 9 dimensions; at most 8 are supported");
}

TEST_CASE("shapes print as in Python") {
  CHECK(to_string(Shape{}) == "()");
  CHECK(to_string(Shape{2}) == "(2,)");
  CHECK(to_string(Shape{2, 3}) == "(2, 3)");
  CHECK(fmt::format("{}", Shape{7}) == "(7,)");
}

TEST_CASE("row-major strides") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(contiguous_strides({}) == Strides{});
  CHECK(contiguous_strides({2, 0, 4}) == Strides{4, 4, 1});
}

TEST_CASE("broadcasting is NumPy's") {
  CHECK(broadcast({2, 3}, {3}, "add") == Shape{2, 3});
  CHECK(broadcast({3}, {2, 3}, "add") == Shape{2, 3});
  CHECK(broadcast({2, 1, 4}, {3, 1}, "add") == Shape{2, 3, 4});
  CHECK(broadcast({}, {2}, "add") == Shape{2});
  CHECK(broadcast({1}, {0}, "add") == Shape{0});
  CHECK(broadcast({5, 1}, {1, 0}, "add") == Shape{5, 0});
  CHECK(error_of([] {
          broadcast({2, 3}, {4}, "add");
        }) == "add: shapes (2, 3) and (4,) do not broadcast");
  CHECK(error_of([] { broadcast({2}, {0}, "mul"); }) ==
        "mul: shapes (2,) and (0,) do not broadcast");
  CHECK(broadcasts_to({3}, {2, 3}));
  CHECK(broadcasts_to({1, 3}, {2, 3}));
  CHECK_FALSE(broadcasts_to({2, 3}, {3}));
  CHECK_FALSE(broadcasts_to({2, 3}, {1, 3}));
}

TEST_CASE("negative axes count from the end") {
  CHECK(normalize_axis(-1, 3, "sum") == 2);
  CHECK(normalize_axis(0, 3, "sum") == 0);
  CHECK(error_of([] { normalize_axis(2, 2, "sum"); }) ==
        "sum: axis 2 is out of range for 2 dimensions");
  CHECK(error_of([] { normalize_axis(-3, 2, "sum"); }) ==
        "sum: axis -3 is out of range for 2 dimensions");
}

TEST_CASE("a view is broadcast with stride 0") {
  const Tensor x = tenet::test::pattern({3, 1}, 1);
  const View v = broadcast_to(view(x), {2, 3, 4});
  CHECK(v.shape == Shape{2, 3, 4});
  CHECK(v.strides == Strides{0, 1, 0});
  CHECK(v.data == view(x).data);
  CHECK(v.numel() == 24);
}
