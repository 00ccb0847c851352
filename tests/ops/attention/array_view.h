/// Arrays of reference.h as the kernels of attention take them.
#pragma once

#include <tenet/ops/attention/detail/pack.h>

#include "reference.h"

namespace attention_reference {

namespace tiles = tenet::detail::tiles;

template <class T>
tiles::HeadView<T> view(Array<T>& x) {
  return {x.values.data(), x.batch(), x.head(), x.row()};
}
template <class T>
tiles::HeadView<const T> view(const Array<T>& x) {
  return {x.values.data(), x.batch(), x.head(), x.row()};
}

}  // namespace attention_reference
