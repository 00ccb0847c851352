#include <doctest/doctest.h>

#include <tenet/core/late_read.h>

#include "compare.h"

using namespace tenet;
using namespace tenet::test;

TEST_CASE("a number read late is the one of when the reading began") {
  Tensor x = from_vector<float>({2.5f}, {1});
  LateRead late(x);
  *x.mutable_data<float>() = 7;
  CHECK(late.defined());
  CHECK(late.value() == 2.5);
  CHECK(late.value() == 2.5);
  LateRead moved = std::move(late);
  CHECK(moved.value() == 2.5);
}

TEST_CASE("what is no number cannot be read late") {
  LateRead none;
  CHECK_FALSE(none.defined());
  check_error([&] { none.value(); }, "late read: there is no number");
  check_error(
      [] {
        LateRead(from_vector<float>({1, 2}, {2}));
      },
      "late read: the tensor has shape (2,), not one element");
}
