/// The memory-over-time picture.
#pragma once

#include <tenet/core/trace.h>

#include <string>
#include <vector>

namespace tenet::detail {

/// 0, step, 2 step, ... up to `largest` and no more than `most` + 1 of them; step is 1, 2 or 5
/// times a power of ten.
std::vector<double> picture_ticks(double largest, int most);

/// At most a few samples for each of `columns` equal parts of the time: the first and last, the
/// highest and lowest.
std::vector<trace::Sample> thin_out(const std::vector<trace::Sample>& samples, double end,
                                    int columns);

/// An SVG document: the panels below each other, with the same scales.
std::string memory_picture(const std::vector<trace::Panel>& panels);

}  // namespace tenet::detail
