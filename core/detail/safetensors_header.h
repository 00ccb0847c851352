/// The JSON header of a safetensors file.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/shape.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tenet::safetensors::detail {

/// One tensor: its bytes are [begin, end) of the data after the header.
struct Entry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  int64_t begin = 0, end = 0;
};

struct Header {
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
};

/// Reads a header, trusting nothing in it. On success every entry has 0 <= begin <= end and as many
/// bytes as its shape and type need. Errors name the file (as given, quoted) and the tensor.
Header parse_header(std::string_view json, const std::string& file);

std::string format_header(const std::vector<Entry>& entries,
                          const std::map<std::string, std::string>& metadata,
                          const std::string& file);

/// The text in quotation marks, with control characters spelt out, shortened if it is very long.
std::string in_quotes(std::string_view text);

}  // namespace tenet::safetensors::detail
