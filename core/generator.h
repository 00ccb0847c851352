/// A stream of random numbers that the caller owns: no draw reads or writes any other state.
#pragma once

#include <tenet/core/philox.h>

namespace tenet {

/// A place in the stream of numbers of a seed: seed and stream choose the sequence, and each draw
/// moves on in it. Copies go on from the same place.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t stream = 0) : key_{seed, stream, 0} {}

  /// What the sequence was chosen by.
  uint64_t seed() const { return key_.seed; }
  uint64_t stream() const { return key_.stream; }
  /// How many blocks of four words were drawn so far.
  uint64_t offset() const { return key_.offset; }
  /// Moves to a place in the sequence.
  void set_offset(uint64_t offset) { key_.offset = offset; }

  /// Reserves `count` numbers and returns where they begin. Inside a reversible or checkpointed
  /// function the replay gets the same place again and the generator does not move.
  PhiloxKey take(uint64_t count);

 private:
  PhiloxKey key_;
};

/// This thread's generator for draws that name none; seed 0 until set_seed().
Generator& default_generator();

/// Restarts this thread's default generator.
void set_seed(uint64_t seed);

}  // namespace tenet
