#define DOCTEST_CONFIG_IMPLEMENT
#include <device.h>
#include <doctest/doctest.h>
#include <stand_in_gpu.h>

#include <cstdio>

namespace {

int cases_run = 0;

// Counts the cases that pass the filters, which doctest reports to listeners only.
struct CaseCounter : doctest::IReporter {
  explicit CaseCounter(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData&) override { ++cases_run; }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("case_counter", 1, CaseCounter);

constexpr int nothing_ran = 77;  // ctest shows this exit status as skipped

}  // namespace

int main(int argc, char** argv) {
  using namespace tenet::test;
  if (wants_stand_in_gpu()) install_stand_in_gpu();
  if (!test_device().is_cpu() && !has_cuda()) {
    std::puts("skipped: TENET_TEST_DEVICE=cuda, and there is no GPU");
    return nothing_ran;
  }
  doctest::Context context(argc, argv);
  const int status = context.run();
  if (context.shouldExit() || status != 0) return status;
  if (cases_without_gpu() > 0) std::puts("skipped: what needs a GPU; there is none");
  return cases_run == cases_without_gpu() ? nothing_ran : 0;
}
