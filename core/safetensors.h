/// The safetensors format: a JSON header and raw little-endian tensors.
#pragma once

#include <tenet/core/tensor.h>

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// Tensors in files.
namespace tenet::safetensors {

/// What a file holds.
struct File {
  std::map<std::string, Tensor> tensors;        // by name
  std::map<std::string, std::string> metadata;  // free text by key
};

/// Maps the file into memory and returns its tensors as views of the map, which they keep alive; a
/// tensor that lies misaligned in the file is copied. Changing one in place changes no file. Every
/// header entry is checked: size of the file, JSON, types, shapes, offsets inside the file, no
/// overlaps, no holes. Errors name the file, the tensor and what is wrong.
File load(const std::string& path);

/// Writes the tensors atomically: a temporary file, fsync, rename. The header lists them in the
/// order given; their bytes follow with the larger element types first, so that all are aligned.
/// fixed32 is stored as I32. Error: the path and the system's reason; an older file at `path` is
/// then as it was.
void save(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
          const std::map<std::string, std::string>& metadata = {});
void save(const std::string& path, const std::map<std::string, Tensor>& tensors,
          const std::map<std::string, std::string>& metadata = {});
/// For a list in braces.
inline void save(const std::string& path,
                 std::initializer_list<std::pair<std::string, Tensor>> tensors,
                 const std::map<std::string, std::string>& metadata = {}) {
  save(path, std::vector<std::pair<std::string, Tensor>>(tensors), metadata);
}

}  // namespace tenet::safetensors
