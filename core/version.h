#pragma once

namespace tenet {

/// The library's version, "major.minor.patch".
const char* version();

}  // namespace tenet
