#include <doctest/doctest.h>
#include <tenet/core/checkpoint.h>
#include <tenet/core/function.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>
#include <tenet/core/trace.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;
using trace::Kind;

namespace {

std::vector<trace::Span> of_kind(const trace::Trace& trace, Kind kind) {
  std::vector<trace::Span> list;
  for (const trace::Span& span : trace.spans()) {
    if (span.kind == kind) list.push_back(span);
  }
  return list;
}

std::vector<std::string> names_of(const std::vector<trace::Span>& spans) {
  std::vector<std::string> names;
  for (const trace::Span& span : spans) names.push_back(span.name);
  return names;
}

using Names = std::vector<std::string>;

bool inside(const trace::Span& inner, const trace::Span& outer) {
  return inner.begin >= outer.begin && inner.end <= outer.end;
}

/// Two spans overlap only if one lies in the other.
bool all_nest(const std::vector<trace::Span>& spans) {
  for (size_t i = 0; i < spans.size(); ++i) {
    for (size_t k = i + 1; k < spans.size(); ++k) {
      const trace::Span &a = spans[i], &b = spans[k];
      const bool apart = a.end <= b.begin || b.end <= a.begin;
      if (!apart && !inside(a, b) && !inside(b, a)) return false;
    }
  }
  return true;
}

/// A folder of this test, removed at its end.
struct Folder {
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               fmt::format("tenet-trace-{}", static_cast<const void*>(this));
};

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t count(const std::string& text, const std::string& piece) {
  size_t found = 0;
  for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) {
    ++found;
  }
  return found;
}

/// A training step through a chain of couplings.
void coupled_step(int depth, Mode mode) {
  const Couplings fs = make_couplings(depth, 8);
  const Tensors y = run_chain(mode, fs, streams_of(leaf({4, 8}, 5)));
  backward(weighted(merged(y), pattern({4, 8}, 9)));
}

}  // namespace

TEST_CASE("a trace has every op and every backward node, in order, with times and bytes") {
  const Tensor x = leaf({4, 8}, 1), w = leaf({8, 8}, 2);
  auto trace = trace::record();
  Tensor h = product(x, w);
  const Tensor t = tanh_of(h), y = total(t);
  backward(y, {.retain_graph = true});
  trace.stop();
  total(t);  // no longer seen

  std::vector<trace::Span> ops = of_kind(trace, Kind::op);
  REQUIRE(ops.size() >= 3);
  CHECK(names_of({ops.begin(), ops.begin() + 3}) == Names{"product", "tanh", "total"});
  CHECK(ops[1].detail == "f32 (4, 8)");
  CHECK(ops[1].live_after - ops[1].live_before == 128);
  CHECK(ops[1].peak == ops[1].live_after);
  CHECK(ops[1].node == static_cast<int64_t>(graph::node(t)->sequence()));
  CHECK(ops[1].begin < ops[1].end);
  CHECK_FALSE(ops[1].replayed);

  const std::vector<trace::Span> nodes = of_kind(trace, Kind::backward);
  CHECK(names_of(nodes) == Names{"total", "tanh", "product"});
  CHECK(nodes[1].node == ops[1].node);
  const std::vector<trace::Span> walks = of_kind(trace, Kind::walk);
  REQUIRE(walks.size() == 1);
  CHECK(walks[0].name == "backward");
  for (const trace::Span& node : nodes) CHECK(inside(node, walks[0]));
  CHECK(walks[0].begin >= ops[2].end);
  CHECK(all_nest(trace.spans()));
  CHECK(of_kind(trace, Kind::kernel).size() > 0);
}

TEST_CASE("the samples are the live bytes, and spans know their peak") {
  memory::reset_peak();
  auto trace = trace::record();
  const auto live = [](memory::Category c) { return memory::stats(Device::cpu(), c).live; };
  {
    const trace::Scope scope("block");
    const memory::Buffer a(10'000, Device::cpu(), memory::Category::activation);
    const trace::Scope inner("inner");
    const memory::Buffer b(20'000, Device::cpu(), memory::Category::workspace);
  }
  const memory::Buffer kept(5'000, Device::cpu(), memory::Category::optimizer);
  trace.stop();
  REQUIRE(trace.samples().size() == 6);
  const trace::Sample& last = trace.samples().back();
  CHECK(last.activation == live(memory::Category::activation));
  CHECK(last.workspace == live(memory::Category::workspace));
  CHECK(last.other == live(memory::Category::all) - live(memory::Category::working));
  int64_t most = 0;
  for (const trace::Sample& sample : trace.samples()) most = std::max(most, sample.working());
  CHECK(most == memory::stats(Device::cpu(), memory::Category::working).peak);
  REQUIRE(names_of(trace.spans()) == Names{"inner", "block"});
  CHECK(trace.spans()[0].peak - trace.spans()[0].live_before == 20'000);
  CHECK(trace.spans()[1].peak - trace.spans()[1].live_before == 30'000);
}

TEST_CASE("a view takes no time, and an op around another encloses it") {
  struct Twice : Function<Twice> {
    static Tensor forward(Context&, const Tensor& x) { return plus(x, x); }
    static Tensors backward(Context&, Tensors dy) { return {plus(dy[0], dy[0])}; }
  };
  const Tensor x = leaf({4, 8}, 1);
  auto trace = trace::record();
  const Tensor fresh = from_vector(std::vector<float>(6, 1), {2, 3});
  transposed(fresh);
  Twice::apply(x);
  trace.stop();
  const auto ops = of_kind(trace, Kind::op);
  REQUIRE(names_of(ops) == Names{"transposed", "plus", "function"});
  CHECK(ops[0].begin == ops[0].end);
  CHECK(inside(ops[1], ops[2]));
  CHECK(all_nest(trace.spans()));
}

TEST_CASE("freeing and rebuilding of reversible nodes") {
  const auto before = detail::reversible_counters();
  auto trace = trace::record();
  coupled_step(4, Mode::moved);
  trace.stop();
  const auto& now = detail::reversible_counters();
  std::vector<trace::Mark> freed, rebuilt;
  for (const trace::Mark& mark : trace.marks()) (mark.rebuilt ? rebuilt : freed).push_back(mark);
  CHECK(static_cast<int64_t>(freed.size()) == now.releases - before.releases);
  CHECK(static_cast<int64_t>(rebuilt.size()) == now.rebuilds - before.rebuilds);
  REQUIRE(freed.size() == 8);
  REQUIRE(rebuilt.size() == 6);
  CHECK(freed[0].node == "coupling");
  CHECK(freed[0].shape == Shape{4, 8});
  CHECK(freed[0].bytes == 128);

  const auto walks = of_kind(trace, Kind::walk), replays = of_kind(trace, Kind::replay);
  const trace::Span& walk = walks.back();
  CHECK(walk.name == "backward");
  CHECK(of_kind(trace, Kind::reversible).size() == 4);
  CHECK(replays.size() == 4);
  for (const trace::Span& replay : replays) CHECK(inside(replay, walk));
  for (const trace::Mark& mark : freed) CHECK(mark.time < walk.begin);
  for (const trace::Mark& mark : rebuilt) CHECK(mark.time > walk.begin);
  int64_t again = 0;
  for (const trace::Span& op : of_kind(trace, Kind::op)) {
    again += op.replayed;
    if (op.replayed) {
      CHECK(std::any_of(replays.begin(), replays.end(),
                        [&](const trace::Span& replay) { return inside(op, replay); }));
    }
  }
  CHECK(again > 4 * 4);  // product and tanh, twice a block, at least
  CHECK(all_nest(trace.spans()));

  auto kept = trace::record();
  coupled_step(4, Mode::kept);
  kept.stop();
  CHECK(kept.marks().empty());
}

TEST_CASE("a checkpointed function runs again as a replay") {
  auto trace = trace::record();
  const Tensor x = leaf({4, 8}, 1);
  backward(total(checkpoint([](const Tensor& t) { return tanh_of(t); }, x)));
  trace.stop();
  CHECK(names_of(of_kind(trace, Kind::reversible)) == Names{"checkpoint"});
  CHECK(names_of(of_kind(trace, Kind::replay)) == Names{"checkpoint"});
  const auto walks = of_kind(trace, Kind::walk);
  REQUIRE(names_of(walks) == Names{"grad", "backward"});
  CHECK(walks[0].replayed);
  CHECK_FALSE(walks[1].replayed);
}

TEST_CASE("one trace a thread; other threads are not seen") {
  auto trace = trace::record();
  CHECK(error_of([] { trace::Trace second({}); }) ==
        "trace: this thread records already; stop() the other trace");
  std::thread([&] {
    const Tensor x = leaf({4}, 1);
    plus(x, x);
    auto own = trace::record();
    plus(x, x);
    CHECK(own.spans().size() == 1);
    CHECK(own.thread() != trace.thread());
  }).join();
  CHECK(trace.spans().empty());
  trace.stop();
  CHECK(error_of([] { trace::Trace none({.limit = 0}); }) ==
        "trace: limit is 0; it must be positive");
  auto next = trace::record();
  CHECK(next.thread() == trace.thread());
}

TEST_CASE("scopes and traces may end in any order, also by an exception") {
  std::optional<trace::Scope> before, during;
  before.emplace("before");
  {
    auto trace = trace::record();
    during.emplace("during");
    before.reset();
    CHECK(trace.spans().empty());
    CHECK(error_of([] {
            const trace::Scope scope("fails");
            throw Error("told to throw");
          }) == "told to throw");
    CHECK(names_of(trace.spans()) == Names{"fails"});
    trace.stop();
    CHECK(names_of(trace.spans()) == Names{"fails", "during"});
  }
  during.reset();
  auto trace = trace::record();
  CHECK(trace.spans().empty());
}

TEST_CASE("what exceeds the limit is counted") {
  const auto events = [](const trace::Trace& trace) {
    return static_cast<int64_t>(trace.spans().size() + trace.marks().size() +
                                trace.samples().size());
  };
  auto all = trace::record();
  coupled_step(2, Mode::moved);
  all.stop();
  trace::Trace some({.limit = 10});
  coupled_step(2, Mode::moved);
  some.stop();
  CHECK(all.dropped() == 0);
  CHECK(events(some) == 10);
  CHECK(some.dropped() == events(all) - 10);
  CHECK(some.to_string().ends_with(
      fmt::format("{} later events were left out; raise Options::limit\n", some.dropped())));
}

TEST_CASE("the table lists kinds and names") {
  const Tensor x = leaf({4}, 1);
  auto trace = trace::record();
  backward(total(plus(plus(x, x), x)));
  trace.stop();
  const std::string table = trace.to_string();
  CHECK(table.starts_with(
      "kind        name                           count          ms        peak bytes\n"));
  CHECK(table.find("op          plus                               2") != std::string::npos);
  CHECK(table.find("backward    plus                               2") != std::string::npos);
  CHECK(table.find("walk        backward                           1") != std::string::npos);
}

TEST_CASE("Chrome's format, read back") {
  const Folder folder;
  auto trace = trace::record();
  {
    const trace::Scope scope("a \"name\"\n with \x01 and \xff");
    coupled_step(3, Mode::moved);
  }
  trace.stop();
  const std::string path = folder / "trace.json";
  trace.save_json(path);
  const auto json = nlohmann::json::parse(contents(path));
  CHECK(json["displayTimeUnit"] == "ms");
  CHECK(json["otherData"]["dropped"] == 0);
  std::map<std::string, size_t> phases;
  std::vector<nlohmann::json> spans;
  for (const auto& event : json["traceEvents"]) {
    ++phases[event["ph"]];
    CHECK(event["pid"].is_number());
    CHECK(event["tid"] == trace.thread());
    if (event["ph"] != "M") CHECK(event["ts"].get<double>() >= 0);
    if (event["ph"] == "X") spans.push_back(event);
  }
  CHECK(phases == std::map<std::string, size_t>{{"M", 1},
                                                {"X", trace.spans().size()},
                                                {"i", trace.marks().size()},
                                                {"C", trace.samples().size()}});
  REQUIRE(spans.size() == trace.spans().size());
  for (size_t i = 0; i < spans.size(); ++i) {
    const trace::Span& span = trace.spans()[i];
    CHECK(spans[i]["cat"] == trace::to_string(span.kind));
    CHECK(std::abs(spans[i]["dur"].get<double>() - (span.end - span.begin)) < 1e-3);
    CHECK(spans[i]["args"]["peak"] == span.peak);
    CHECK(spans[i]["args"].contains("node") == (span.node >= 0));
    CHECK(spans[i]["args"].contains("replayed") == span.replayed);
  }
  CHECK(spans.back()["name"] == "a \"name\"\n with \x01 and \xef\xbf\xbd");
}

TEST_CASE("a file that cannot be written is an error with the path and the reason") {
  auto trace = trace::record();
  trace.stop();
  const std::string path = "/no such folder/trace.json";
  const std::string reason = "/no such folder/trace.json";
  CHECK(error_of([&] { trace.save_json(path); }).find("No such file or directory") !=
        std::string::npos);
  CHECK(error_of([&] { trace.save_json(path); }).starts_with("save: cannot create \"" + reason));
  CHECK(error_of([&] { trace.save_svg(path); }).starts_with("save: cannot create \"" + reason));
}

TEST_CASE("the picture of memory over time") {
  const Folder folder;
  auto moved = trace::record();
  coupled_step(4, Mode::moved);
  moved.stop();
  auto kept = trace::record();
  coupled_step(4, Mode::kept);
  kept.stop();
  auto empty = trace::record();
  empty.stop();

  const std::string path = folder / "memory.svg";
  moved.save_svg(path, {.title = "four <couplings> & more"});
  const std::string svg = contents(path);
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("four &lt;couplings&gt; &amp; more") != std::string::npos);
  CHECK(svg.find(">peak ") != std::string::npos);
  CHECK(svg.find("nothing is freed") == std::string::npos);
  CHECK(count(svg, "stroke-width=\"1.2\"") == moved.marks().size());
  CHECK(count(svg, "<text") == count(svg, "</text>"));
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);

  trace::save_svg(path, {{"freed", &moved}, {"kept", &kept}, {"empty", &empty}});
  const std::string three = contents(path);
  CHECK(count(three, ">peak ") == 3);
  CHECK(count(three, "nothing is freed before the backward pass") == 2);
  CHECK(three.find("nan") == std::string::npos);
  CHECK(error_of([&] {
          trace::save_svg(path, {{"a", nullptr}});
        }) == "save_svg: panel \"a\" has no trace");
}
