/// The safetensors format: a JSON header and raw little-endian tensors.
#pragma once

#include <tenet/core/tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tenet::safetensors {

struct File {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Maps the file into memory and returns its tensors as read-only views of the map, which they keep alive; clone() one
/// to change it. Every header entry is checked: size of the file, JSON, types, shapes, offsets inside the file, no
/// overlaps, no holes. Errors name the file, the tensor and what is wrong. fixed32 is stored as I32.
File load(const std::string& path);

/// Writes the tensors in the order given, atomically: a temporary file, fsync, rename. Error: the path and the system's
/// reason; an older file at `path` is then as it was.
void save(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
          const std::map<std::string, std::string>& metadata = {});
void save(const std::string& path, const std::map<std::string, Tensor>& tensors,
          const std::map<std::string, std::string>& metadata = {});

}  // namespace tenet::safetensors
