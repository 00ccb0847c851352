#include <tenet/core/generator.h>
#include <tenet/core/replay.h>

namespace tenet {

PhiloxKey Generator::take(uint64_t count) {
  return replay([&] {
    const PhiloxKey key = key_;
    key_.offset += (count + 3) / 4;
    return key;
  });
}

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}

void set_seed(uint64_t seed) { default_generator() = Generator(seed); }

}  // namespace tenet
