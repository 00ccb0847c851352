#include <tenet/core/error.h>
#include <tenet/cuda/detail/fault.h>
#include <tenet/cuda/detail/index_task.h>
#include <tenet/cuda/detail/radix_sort.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/index.h>

#include <mutex>
#include <unordered_set>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

// --- Indices ------------------------------------------------------------------------------------

std::string say_index(const FaultFacts& facts, const Fault& fault) {
  return fmt::format("{}: index {} at position {} is outside 0..{}", facts.op, fault.integer,
                     fault.place, facts.numbers[0] - 1);
}

/// The same text for as long as the program runs: the name of a node does not outlive it.
const char* kept_name(const char* name) {
  static auto* names = new std::unordered_set<std::string>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return names->insert(name).first->c_str();
}

/// The lowest bad place that a block sees is noted by one thread.
__global__ void check_index(const int64_t* index, int64_t count, int64_t n, int64_t ignored,
                            FaultNote note) {
  __shared__ unsigned long long first;
  if (threadIdx.x == 0) first = ~0ull;
  __syncthreads();
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    const int64_t at = index[i];
    if (static_cast<uint64_t>(at) < static_cast<uint64_t>(n) || at == ignored) continue;
    atomicMin(&first, static_cast<unsigned long long>(i));
    break;
  }
  __syncthreads();
  if (threadIdx.x != 0 || first == ~0ull) return;
  const auto place = static_cast<int64_t>(first);
  note_fault(note, place, index[place]);
}

void check_index_cuda(View index, int64_t n, int64_t ignored, const char* op) {
  if (index.numel() == 0) return;
  const FaultFacts facts{.op = kept_name(op), .numbers = {n}, .shape = {}};
  launch(op, &check_index, grid_for(index.numel(), 1024), 256, 0, index.as<const int64_t>(),
         index.numel(), n, ignored, expect_faults(facts, &say_index));
}

// --- Reading ------------------------------------------------------------------------------------

struct alignas(16) Word16 {
  uint64_t low, high;
};

/// Calls fn.operator()<Word>() with the type of `bytes` bytes.
template <class F>
void dispatch_word(int64_t bytes, F&& fn) {
  switch (bytes) {
    case 1:
      return fn.template operator()<uint8_t>();
    case 2:
      return fn.template operator()<uint16_t>();
    case 4:
      return fn.template operator()<uint32_t>();
    case 8:
      return fn.template operator()<uint64_t>();
    default:
      return fn.template operator()<Word16>();
  }
}

/// The most bytes, up to 16, in which all of these are counted.
int64_t common_word(std::initializer_list<int64_t> bytes) {
  uint64_t all = 16;
  for (const int64_t some : bytes) all |= static_cast<uint64_t>(some);
  return static_cast<int64_t>(all & (~all + 1));
}

int64_t address(const View& v) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(v.data)); }

/// Rows that lie in one piece are copied in the widest words that fit.
void gather_rows_cuda(View y, View x, View index) {
  if (y.numel() == 0 || x.shape[1] == 0) return;
  const int64_t item = itemsize(x.dtype), inner = y.shape[2];
  const bool whole = x.strides[2] == 1 || inner == 1;
  const int64_t bytes = whole ? common_word({inner * item, x.strides[0] * item, x.strides[1] * item,
                                             address(x), address(y)})
                              : item;
  dispatch_word(bytes, [&]<class Word>() {
    const auto words = [&](int64_t elements) { return elements * item / int64_t{sizeof(Word)}; };
    const int64_t count = words(y.numel());
    const GatherRowsTask<Word> task{count,
                                    RowDivider(words(inner), count),
                                    RowDivider(y.shape[1], count),
                                    x.shape[1],
                                    words(x.strides[0]),
                                    words(x.strides[1]),
                                    whole ? 1 : x.strides[2],
                                    y.as<Word>(),
                                    x.as<const Word>(),
                                    index.as<const int64_t>()};
    launch_task("gather_rows", task, task.grid(), task.most_threads);
  });
}

void gather_cuda(View y, View x, View index) {
  const int64_t n = x.shape.back(), step = x.strides.back();
  if (y.numel() == 0 || n == 0) return;
  View starts = x;
  starts.shape = y.shape;
  starts.strides[starts.dim() - 1] = 0;
  dispatch_word(itemsize(x.dtype), [&]<class Word>() {
    const GatherTask<Word> task{y.numel(),
                                Indexing<3>(y.shape, {y, starts, index}),
                                n,
                                step,
                                y.as<Word>(),
                                x.as<const Word>(),
                                index.as<const int64_t>()};
    launch_task("gather", task, task.grid(), task.most_threads);
  });
}

// --- Adding -------------------------------------------------------------------------------------

void add_rows_cuda(View x, View index, View src) {
  const int64_t n = x.shape[1], m = src.shape[1];
  if (x.numel() == 0 || src.numel() == 0) return;
  tenet::check(n <= int64_t{1} << 32, "add_rows: {} rows are too many on the GPU", n);
  NumberedKeys<uint32_t> sorted(m);
  launch_strided("add_rows",
                 NumberRowsTask{m, n, index.as<const int64_t>(), sorted.keys(), sorted.numbers()},
                 m);
  sorted.sort(bits_below(n));
  const Workspace<uint32_t> bounds(2 * n);
  check(cudaMemsetAsync(bounds.data(), 0, static_cast<size_t>(bounds.bytes()), stream()),
        "add_rows");
  uint32_t *const begin = bounds.data(), *const end = begin + n;
  launch_strided("add_rows", BoundsTask{m, sorted.keys(), begin, end}, m);
  dispatch(NumberTypes(), x.dtype, "add_rows", [&]<class T>() {
    const AddRowsTask<T> task{x.numel(),
                              RowDivider(x.shape[2], x.numel()),
                              RowDivider(n, x.numel()),
                              x.strides[0],
                              x.strides[1],
                              x.strides[2],
                              src.strides[0],
                              src.strides[1],
                              src.strides[2],
                              x.as<T>(),
                              src.as<const T>(),
                              begin,
                              end,
                              sorted.numbers()};
    launch_task("add_rows", task, task.grid(), task.most_threads);
  });
}

/// Lines up to here are a thread's each.
constexpr int64_t short_line = 32;
/// Entries that are sorted at a time.
constexpr int64_t most_entries = int64_t{1} << 30;

template <class T>
void scatter_sorted(const ScatterLines& lines, const View& x, const View& index, const View& src) {
  const int64_t together = std::max<int64_t>(most_entries / lines.length, 1);
  for (int64_t first = 0; first < lines.lines; first += together) {
    const int64_t here = std::min(together, lines.lines - first), count = here * lines.length;
    NumberedKeys<uint64_t> sorted(count);
    launch_strided("scatter_add",
                   NumberEntriesTask{lines, first, count, index.as<const int64_t>(), sorted.keys(),
                                     sorted.numbers()},
                   count);
    sorted.sort(bits_below(here * lines.n));
    launch_strided("scatter_add",
                   ScatterSortedTask<T>{lines, first, count, sorted.keys(), sorted.numbers(),
                                        x.as<T>(), src.as<const T>()},
                   count);
  }
}

void scatter_add_cuda(View x, View index, View src) {
  if (src.numel() == 0 || x.shape.back() == 0) return;
  Shape rows = src.shape;
  rows.erase(rows.dim() - 1);
  const ScatterLines lines{Indexing<3>(rows, {x, index, src}),
                           rows.numel(),
                           src.shape.back(),
                           x.shape.back(),
                           x.strides.back(),
                           index.strides.back(),
                           src.strides.back()};
  dispatch(NumberTypes(), x.dtype, "scatter_add", [&]<class T>() {
    if (lines.length > short_line) return scatter_sorted<T>(lines, x, index, src);
    launch_strided(
        "scatter_add",
        ScatterShortTask<T>{lines, x.as<T>(), index.as<const int64_t>(), src.as<const T>()},
        lines.lines);
  });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled = check_index_kernel.fill(cuda, &check_index_cuda) &&
                    gather_rows_kernel.fill(cuda, &gather_rows_cuda) &&
                    add_rows_kernel.fill(cuda, &add_rows_cuda) &&
                    gather_kernel.fill(cuda, &gather_cuda) &&
                    scatter_add_kernel.fill(cuda, &scatter_add_cuda);

}  // namespace
}  // namespace tenet::cuda
