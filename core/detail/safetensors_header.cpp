#include <fmt/format.h>

#include <tenet/core/detail/safetensors_header.h>
#include <tenet/core/error.h>

#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace tenet::safetensors::detail {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, DType>, 8> types{{{"BOOL", DType::boolean},
                                                                   {"U8", DType::u8},
                                                                   {"I32", DType::i32},
                                                                   {"I64", DType::i64},
                                                                   {"F16", DType::f16},
                                                                   {"BF16", DType::bf16},
                                                                   {"F32", DType::f32},
                                                                   {"F64", DType::f64}}};

std::string_view name_of(DType dtype) {
  for (const auto& [name, type] : types) {
    if (type == dtype) return name;
  }
  fail("safetensors: the format has no type {}", dtype);
}

/// Follows the parser and accepts nothing but
/// {"__metadata__": {string: string}, name: {"dtype": string, "shape": [n...], "data_offsets": [n,
/// n]}}. Anything deeper ends the parse, so that depth costs no stack.
class Reader {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit Reader(const std::string& file) : file_(file) {}
  Header take() { return std::move(header_); }

  bool null() { unexpected("null"); }
  bool boolean(bool) { unexpected("a truth value"); }
  bool binary(binary_t&) { unexpected("binary data"); }
  bool number_integer(number_integer_t value) { bad_number(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) { bad_number(text); }
  bool number_unsigned(number_unsigned_t value);
  bool string(string_t& value);
  bool start_object(size_t);
  bool end_object();
  bool start_array(size_t);
  bool end_array();
  bool key(string_t& name);
  bool parse_error(size_t position, const std::string&, const Json::exception&) {
    fail("safetensors: {} has a header that is not JSON, at byte {} of it", file_, position);
  }

 private:
  enum class Place { outside, top, metadata, entry, array };

  [[noreturn]] void unexpected(std::string_view what) const {
    fail("safetensors: {}: {} has {} where it may not be", file_, where(), what);
  }
  [[noreturn]] void bad_number(const std::string& text) const {
    if (place_ != Place::array) unexpected("a number");
    fail("safetensors: {}: {} has {} in its {}; only whole numbers from 0 are allowed", file_,
         where(), in_quotes(text), key_);
  }
  std::string where() const {
    if (place_ == Place::outside || place_ == Place::top) return "the header";
    return place_ == Place::metadata || in_metadata_ ? "__metadata__"
                                                     : "tensor " + in_quotes(entry_.name);
  }
  void finish_entry();

  const std::string& file_;
  Header header_;
  std::set<std::string> names_;
  Place place_ = Place::outside;
  bool in_metadata_ = false;
  std::string key_;
  Entry entry_;
  std::set<std::string> fields_;
  std::vector<int64_t> shape_, offsets_;
};

bool Reader::start_object(size_t) {
  if (place_ == Place::outside) {
    place_ = Place::top;
  } else if (place_ == Place::top) {
    in_metadata_ = key_ == "__metadata__";
    place_ = in_metadata_ ? Place::metadata : Place::entry;
    entry_ = {key_, {}, {}, 0, 0};
    fields_.clear();
    shape_.clear();
    offsets_.clear();
  } else {
    unexpected("an object");
  }
  return true;
}

bool Reader::end_object() {
  if (place_ == Place::entry) finish_entry();
  place_ = place_ == Place::top ? Place::outside : Place::top;
  return true;
}

bool Reader::start_array(size_t) {
  if (place_ != Place::entry || key_ == "dtype") unexpected("a list");
  place_ = Place::array;
  return true;
}

bool Reader::end_array() {
  place_ = Place::entry;
  return true;
}

bool Reader::key(string_t& name) {
  if (place_ == Place::top) {
    check(names_.insert(name).second, "safetensors: {}: {} comes twice", file_, in_quotes(name));
  } else if (place_ == Place::metadata) {
    check(!header_.metadata.contains(name), "safetensors: {}: __metadata__ has {} twice", file_,
          in_quotes(name));
  } else {
    check(name == "dtype" || name == "shape" || name == "data_offsets",
          "safetensors: {}: {} has an unknown field {}", file_, where(), in_quotes(name));
    check(fields_.insert(name).second, "safetensors: {}: {} has {} twice", file_, where(), name);
  }
  key_ = name;
  return true;
}

bool Reader::string(string_t& value) {
  if (place_ == Place::metadata) {
    header_.metadata.emplace(key_, value);
    return true;
  }
  if (place_ != Place::entry || key_ != "dtype") unexpected("a text");
  for (const auto& [name, type] : types) {
    if (name != value) continue;
    entry_.dtype = type;
    return true;
  }
  fail("safetensors: {}: {} has dtype {}, which is not supported", file_, where(),
       in_quotes(value));
}

bool Reader::number_unsigned(number_unsigned_t value) {
  if (place_ != Place::array || value > uint64_t{INT64_MAX}) bad_number(std::to_string(value));
  std::vector<int64_t>& list = key_ == "shape" ? shape_ : offsets_;
  const size_t most = key_ == "shape" ? Shape::max_dim : 2;
  check(list.size() < most, "safetensors: {}: {} has more than {} numbers in its {}", file_,
        where(), most, key_);
  list.push_back(static_cast<int64_t>(value));
  return true;
}

void Reader::finish_entry() {
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    check(fields_.contains(field), "safetensors: {}: {} has no {}", file_, where(), field);
  }
  check(offsets_.size() == 2 && offsets_[0] <= offsets_[1],
        "safetensors: {}: {} has data_offsets [{}], not a beginning and an end", file_, where(),
        fmt::join(offsets_, ", "));
  entry_.shape = Shape(shape_);
  entry_.begin = offsets_[0];
  entry_.end = offsets_[1];
  int64_t bytes = itemsize(entry_.dtype);
  bool fits = true;
  for (const int64_t size : shape_) fits = fits && !__builtin_mul_overflow(bytes, size, &bytes);
  check(fits, "safetensors: {}: {} has shape {}, too large for any file", file_, where(),
        entry_.shape);
  check(bytes == entry_.end - entry_.begin,
        "safetensors: {}: {} of {} {} needs {} bytes, its data_offsets give {}", file_, where(),
        name_of(entry_.dtype), entry_.shape, bytes, entry_.end - entry_.begin);
  header_.entries.push_back(std::move(entry_));
}

}  // namespace

Header parse_header(std::string_view json, const std::string& file) {
  check(!json.empty() && json.front() == '{',
        "safetensors: {} has a header that is not JSON, at byte 1 of it", file);
  const size_t nul = json.find('\0');  // which the parser would take for the end
  check(nul == json.npos, "safetensors: {} has a header that is not JSON, at byte {} of it", file,
        nul + 1);
  Reader reader(file);
  Json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

std::string format_header(const std::vector<Entry>& entries,
                          const std::map<std::string, std::string>& metadata,
                          const std::string& file) {
  const auto text = [&](const std::string& value) {
    try {
      return Json(value).dump();
    } catch (const Json::exception&) {
      fail("safetensors: {}: {} is not UTF-8", file, in_quotes(value));
    }
  };
  std::string json = "{";
  const auto comma = [&] { return json.size() > 1 ? "," : ""; };
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    const char* separator = "";
    for (const auto& [name, value] : metadata) {
      json += fmt::format("{}{}:{}", std::exchange(separator, ","), text(name), text(value));
    }
    json += '}';
  }
  for (const Entry& entry : entries) {
    json +=
        fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", comma(),
                    text(entry.name), name_of(entry.dtype),
                    fmt::join(entry.shape.begin(), entry.shape.end(), ","), entry.begin, entry.end);
  }
  return json + "}";
}

std::string in_quotes(std::string_view text) {
  constexpr size_t most = 300;
  std::string result = "\"";
  for (const char c : text.substr(0, most)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + (text.size() > most ? "...\"" : "\"");
}

}  // namespace tenet::safetensors::detail
