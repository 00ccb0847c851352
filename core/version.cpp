#include <tenet/core/version.h>

namespace tenet {

const char* version() { return TENET_VERSION; }

}  // namespace tenet
