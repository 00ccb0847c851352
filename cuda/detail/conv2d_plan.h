/// In which pieces a convolution goes through its work space. Plain C++.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tenet::cuda {

/// Bytes of patches that are kept at a time, unless one image's one channel (of gradients) or 64
/// windows (else) take more.
inline constexpr int64_t patch_bytes = int64_t{128} << 20;

/// Some images with all groups, or one image with some, or one group of it with some parts. That
/// one image's work is cut does not depend on how many there are.
struct Piece {
  int64_t images, groups, parts;

  /// The largest with `most` elements, where a part of a group has `each`.
  static Piece of(int64_t most, int64_t images, int64_t groups, int64_t parts, int64_t each) {
    const int64_t part = std::max<int64_t>(each, 1), group = std::max<int64_t>(parts, 1) * part;
    if (group > most) return {1, 1, std::max<int64_t>(most / part, 1)};
    const int64_t image = group * std::max<int64_t>(groups, 1);
    if (image > most) return {1, most / group, parts};
    return {std::clamp<int64_t>(most / image, 1, std::max<int64_t>(images, 1)), groups, parts};
  }
};

/// A piece at some place: what is left of images, groups and parts there.
struct Block {
  int64_t image, images, group, groups, part, parts;
};

/// Calls fn(block) for every piece, images outermost, in order.
template <class F>
void for_each_piece(const Piece& piece, int64_t images, int64_t groups, int64_t parts,
                    const F& fn) {
  for (int64_t i = 0; i < images; i += piece.images) {
    for (int64_t g = 0; g < groups; g += piece.groups) {
      for (int64_t p = 0; p < parts; p += piece.parts) {
        fn(Block{i, std::min(piece.images, images - i), g, std::min(piece.groups, groups - g), p,
                 std::min(piece.parts, parts - p)});
      }
    }
  }
}

}  // namespace tenet::cuda
