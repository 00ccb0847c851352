#include <doctest/doctest.h>
#include <tenet/core/cpu_level.h>

#include <cstdlib>
#include <string>

TEST_CASE("the level of the kernels is one of five, and TENET_ISA lowers it") {
  const std::string level = tenet::cpu_level();
  const bool several = level.starts_with("x86-64-v");
  if (!several) {
    CHECK((level == "native" || level == "generic"));
    CHECK_FALSE(tenet::detail::cpu_level_lowered());
    return;
  }
  CHECK((level == "x86-64-v2" || level == "x86-64-v3" || level == "x86-64-v4"));
  const char* asked = std::getenv("TENET_ISA");
  if (asked == nullptr) {
    CHECK_FALSE(tenet::detail::cpu_level_lowered());
  } else if (std::string("v2") == asked) {
    CHECK(level == "x86-64-v2");
  }
}
