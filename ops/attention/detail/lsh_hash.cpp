#include <omp.h>

#include <tenet/ops/attention/detail/lsh_hash.h>

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>

namespace tenet::detail::tiles {
namespace {

/// The best of a factor's columns so far, for a panel of positions: largest and smallest z with
/// their first columns.
template <class T>
struct Best {
  Vector<T> high[2], low[2];
  IndexVector<T> high_at[2], low_at[2];

  using S = Compute<T>;

  Best() {
    for (int n = 0; n < 2; ++n) {
      high[n] = splat(-std::numeric_limits<S>::infinity());
      low[n] = splat(std::numeric_limits<S>::infinity());
      high_at[n] = low_at[n] = IndexVector<T>{};
    }
  }
  void take(const S* z, int64_t column) {
    const IndexVector<T> at = splat_index<T>(column);
    for (int n = 0; n < 2; ++n) {
      const Vector<T> value = load(z + n * kLanes<T>);
      high_at[n] = value > high[n] ? at : high_at[n];
      high[n] = larger(value, high[n]);
      low_at[n] = value < low[n] ? at : low_at[n];
      low[n] = smaller(value, low[n]);
    }
  }
  /// argmax(concat(z, -z)) over `columns` columns.
  void write(int64_t columns, Lane<T>* index) const {
    for (int n = 0; n < 2; ++n) {
      const IndexVector<T> negative = low_at[n] + splat_index<T>(columns);
      const IndexVector<T> best = high[n] >= -low[n] ? high_at[n] : negative;
      std::memcpy(index + n * kLanes<T>, &best, sizeof(best));
    }
  }
};

/// Columns of a rotation that lie together.
template <class T>
constexpr int64_t kGroup = std::is_same_v<T, bf16> ? amx::rows : kRows<T>;

/// How many elements pack_rotation() writes.
template <class T>
constexpr int64_t rotation_room(int64_t width, int64_t columns) {
  return (std::is_same_v<T, bf16> ? 2 : 1) * round_up(columns, kGroup<T>) * width;
}

/// The columns of one head's rotation [size, columns] in groups of kRows, [group][size][kRows], the
/// last one filled up with zeros: what a product reads lies together.
template <class T>
void pack_rotation(const T* rotation, int64_t size, int64_t columns, T* to) {
  for (int64_t first = 0; first < columns; first += kRows<T>) {
    for (int64_t k = 0; k < size; ++k) {
      for (int64_t c = first; c < first + kRows<T>; ++c) {
        *to++ = c < columns ? rotation[k * columns + c] : T(0);
      }
    }
  }
}

/// z[c][i] = rotation column first + c . q_i for the columns [first, first + count) of a panel of
/// positions, and for those that share a group of kRows with them; returns where column `first`
/// lies.
template <class T>
const T* rotate(const T* rotation, int64_t first, int64_t count, int64_t size, const T* panel,
                T* z) {
  constexpr int64_t P = kPanel<T>;
  const int64_t begin = first - first % kRows<T>;
  for (int64_t c = begin; c < first + count; c += kRows<T>) {
    tile_product<kRows<T>, 2, Start::zero>(size, rotation + c * size, 1, kRows<T>, panel, P,
                                           z + (c - begin) * P, P);
  }
  return z + (first - begin) * P;
}

#if TENET_HAVE_AVX512

/// The same as two bf16 each, the upper 16 bits and what remains: in groups of 16 columns [2][16]
/// [width].
void pack_rotation(const float* rotation, int64_t size, int64_t columns, bf16* to) {
  const int64_t width = round_up(size, amx::depth), half = amx::rows * width;
  std::fill_n(to, rotation_room<bf16>(width, columns), bf16());
  for (int64_t c = 0; c < columns; ++c) {
    bf16* const upper = to + c / amx::rows * 2 * half + c % amx::rows * width;
    for (int64_t k = 0; k < size; ++k) {
      const float all = rotation[k * columns + c];
      upper[k] = bf16(all);
      upper[k + half] = bf16(all - static_cast<float>(upper[k]));
    }
  }
}

/// z[c][i] for the 16 columns at `rotation`, by tile registers.
void rotate_by_registers(const bf16* rotation, int64_t width, const bf16* panel, float* z) {
  constexpr int64_t P = kPanel<bf16>, z_row = P * sizeof(float);
  const int64_t half = amx::rows * width, stride = width * static_cast<int64_t>(sizeof(bf16));
  amx::zero<0>();
  amx::zero<1>();
  for (int64_t k = 0; k < width; k += amx::depth) {
    amx::load<2>(rotation + k, stride);
    amx::load<3>(rotation + half + k, stride);
    amx::load<4>(panel + k * P, z_row);
    amx::load<5>(panel + k * P + amx::depth, z_row);
    amx::dot<0, 2, 4>();
    amx::dot<1, 2, 5>();
    amx::dot<0, 3, 4>();
    amx::dot<1, 3, 5>();
  }
  amx::store<0>(z, z_row);
  amx::store<1>(z + amx::rows, z_row);
}

/// The same by vectors.
void rotate_by_vectors(const bf16* rotation, int64_t width, const bf16* panel, float* z) {
  constexpr int64_t P = kPanel<bf16>;
  PairProduct x{.rows = amx::rows,
                .vectors = 2,
                .pairs = width / 2,
                .a = rotation,
                .a_row = width,
                .a_pair = 2,
                .a_group = amx::depth,
                .b = panel,
                .b_vector = amx::depth,
                .b_pair = 2 * P,
                .b_group = amx::depth * P,
                .c = z,
                .c_row = P,
                .add = false};
  multiply_pairs(x);
  x.a += amx::rows * width, x.add = true;
  multiply_pairs(x);
}

const float* rotate(const bf16* rotation, int64_t first, int64_t count, int64_t size,
                    const bf16* panel, float* z) {
  const int64_t width = round_up(size, amx::depth), begin = first - first % amx::rows;
  const auto rotate_16 = amx::available() ? &rotate_by_registers : &rotate_by_vectors;
  for (int64_t c = begin; c < first + count; c += amx::rows) {
    rotate_16(rotation + 2 * c * width, width, panel, z + (c - begin) * kPanel<bf16>);
  }
  return z + (first - begin) * kPanel<bf16>;
}

#endif

constexpr int64_t kColumns = 256;  // columns of z held at a time

/// One thread's scratch space.
template <class T>
struct Scratch {
  T *rows, *panel, *rotation;
  Compute<T>* z;
  int64_t head = -1;  // whose rotation it holds

  Scratch(Carver& carver, int64_t width, int64_t columns) {
    rows = carver.take<T>(kPanel<T> * width);
    panel = carver.take<T>(kPanel<T> * width);
    z = carver.take<Compute<T>>((kColumns + 2 * kGroup<T>)*kPanel<T>);
    rotation = carver.take<T>(rotation_room<T>(width, columns));
  }
};

/// The argmax of one factor: `columns` columns of the rotation from `start`.
template <class T>
void factor_index(int64_t start, int64_t columns, int64_t size, const Scratch<T>& scratch,
                  Lane<T>* index) {
  Best<T> best;
  for (int64_t first = 0; first < columns; first += kColumns) {
    const int64_t count = std::min(kColumns, columns - first);
    const Compute<T>* z =
        rotate(scratch.rotation, start + first, count, size, scratch.panel, scratch.z);
    for (int64_t c = 0; c < count; ++c) best.take(z + c * kPanel<T>, first + c);
  }
  best.write(columns, index);
}

/// Buckets of the positions [first, first + count) in all rounds; bucket is the head's [R, L].
template <class T>
void hash_panel(const HashShape& shape, int64_t first, int64_t count, const Scratch<T>& scratch,
                int32_t* bucket) {
  int64_t half = 0;
  for (const int64_t factor : shape.factors) half += factor / 2;
  for (int64_t r = 0; r < shape.R; ++r) {
    int64_t sum[kPanel<T>] = {};
    int64_t unit = 1, column = r * half;
    for (const int64_t factor : shape.factors) {
      alignas(64) Lane<T> index[kPanel<T>];
      factor_index(column, factor / 2, shape.size, scratch, index);
      for (int64_t i = 0; i < count; ++i) sum[i] += unit * index[i];
      unit *= factor;
      column += factor / 2;
    }
    for (int64_t i = 0; i < count; ++i) {
      bucket[r * shape.L + first + i] = static_cast<int32_t>(sum[i]);
    }
  }
}

}  // namespace

template <class T>
void lsh_hash(const HashShape& shape, HeadView<const T> q, const Compute<T>* rotation,
              int32_t* bucket) {
  const int64_t width = round_up(shape.size, kWidthUnit<T>);
  int64_t columns = 0;
  for (const int64_t factor : shape.factors) columns += shape.R * (factor / 2);
  Carver measure;
  (void)Scratch<T>(measure, width, columns);
  const int threads = threads_for(shape.B * shape.H * shape.L * shape.size * columns);
  memory::Workspace<std::byte> space(measure.used() * threads);
  const int64_t panels = (shape.L + kPanel<T> - 1) / kPanel<T>;
#pragma omp parallel num_threads(threads)
  {
    const TileScope<T> tiles;
    Carver carver(space.data() + measure.used() * omp_get_thread_num());
    Scratch<T> scratch(carver, width, columns);
#pragma omp for collapse(2) schedule(static)
    for (int64_t head = 0; head < shape.B * shape.H; ++head) {
      for (int64_t panel = 0; panel < panels; ++panel) {
        const int64_t h = head % shape.H, first = panel * kPanel<T>;
        const int64_t count = std::min<int64_t>(kPanel<T>, shape.L - first);
        if (scratch.head != h) {
          pack_rotation(rotation + h * shape.size * columns, shape.size, columns, scratch.rotation);
          scratch.head = h;
        }
        pack_rows(scratch.rows, head_rows(q, head / shape.H, h), first, count, shape.size, width);
        transpose_panel(scratch.panel, scratch.rows, count, width);
        hash_panel(shape, first, count, scratch, bucket + head * shape.R * shape.L);
      }
    }
  }
}

template void lsh_hash<float>(const HashShape&, HeadView<const float>, const float*, int32_t*);
template void lsh_hash<double>(const HashShape&, HeadView<const double>, const double*, int32_t*);
#if TENET_HAVE_AVX512
template void lsh_hash<bf16>(const HashShape&, HeadView<const bf16>, const float*, int32_t*);
#endif

}  // namespace tenet::detail::tiles
