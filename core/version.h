#pragma once

/// The engine (core/), its ops (ops/) and language models (models/).
namespace tenet {

/// The library's version, "major.minor.patch".
const char* version();

}  // namespace tenet
