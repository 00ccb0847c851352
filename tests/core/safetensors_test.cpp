#include <doctest/doctest.h>
#include <sys/resource.h>
#include <tenet/core/memory.h>
#include <tenet/core/safetensors.h>
#include <tenet/core/view.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

/// A file as another program would write it: the header's length, the header, the data.
std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// What load() says about a file with these bytes, with the file's name as FILE.
std::string load_error(const std::string& bytes) {
  static const ScratchFolder folder;
  folder.write("x.safetensors", bytes);
  const std::string path = folder / "x.safetensors";
  std::string text = error_of([&] { safetensors::load(path); });
  const size_t place = text.find('"' + path + '"');
  if (place != std::string::npos) text.replace(place, path.size() + 2, "FILE");
  return text;
}

/// The same for a header with `data` bytes of zeros behind it.
std::string header_error(const std::string& header, size_t data) {
  return load_error(file_of(header, std::string(data, '\0')));
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

TEST_CASE("a file in the layout that the Python package writes is read") {
  // save_file({"b": float32 [[1, 2], [3, 4]], "a": int64 [7], "m": bool [True, False]},
  // metadata={"format": "pt"})
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
      R"("m":{"dtype":"BOOL","shape":[2],"data_offsets":[24,26]}}      )";
  const ScratchFolder folder;
  folder.write("x.safetensors", file_of(header, bytes_of<int64_t>({7}) +
                                                    bytes_of<float>({1, 2, 3, 4}) + "\1" + '\0'));
  const safetensors::File file = safetensors::load(folder / "x.safetensors");
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file.tensors.size() == 3);
  CHECK(file.tensors.at("a").item<int64_t>() == 7);
  CHECK(file.tensors.at("b").shape() == Shape{2, 2});
  CHECK(file.tensors.at("b").to_vector<float>() == std::vector<float>{1, 2, 3, 4});
  CHECK(file.tensors.at("m").dtype() == DType::boolean);
  CHECK(file.tensors.at("m").to_vector<uint8_t>() == std::vector<uint8_t>{1, 0});
}

TEST_CASE("save writes exactly the documented bytes") {
  const ScratchFolder folder;
  const Tensor a = from_vector<float>({1.5f, -2}, {2}), b = from_vector<int64_t>({9}, {});
  safetensors::save(folder / "x", {{"a", a}, {"b", b}}, {{"k", "v\""}});
  std::string header =
      R"({"__metadata__":{"k":"v\""},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("b":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  CHECK(contents(folder / "x") ==
        file_of(header, bytes_of<int64_t>({9}) + bytes_of<float>({1.5f, -2})));
  safetensors::save(folder / "x", std::map<std::string, Tensor>{});
  CHECK(contents(folder / "x") == file_of("{}      ", ""));
  CHECK(safetensors::load(folder / "x").tensors.empty());
}

TEST_CASE("every type, views, empty and zero-dimensional tensors come back") {
  const ScratchFolder folder;
  std::vector<std::pair<std::string, Tensor>> tensors;
  const Tensor base = from_vector<double>({0, 1, 1, 0, 1, 0}, {2, 3});
  for (const DType dtype : {DType::boolean, DType::u8, DType::i32, DType::i64, DType::f16,
                            DType::bf16, DType::f32, DType::f64}) {
    tensors.emplace_back(to_string(dtype), base.to(dtype));
  }
  tensors.emplace_back("view", detail::view_of(base, {3, 2}, {1, 3}, 0));
  tensors.emplace_back("empty", empty({0, 3}));
  tensors.emplace_back("scalar", scalar(2.5));
  tensors.emplace_back("a \"name\"\n\xc3\xbc", scalar(1));
  safetensors::save(folder / "x", tensors);
  const safetensors::File file = safetensors::load(folder / "x");
  CHECK(file.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    const Tensor& read = file.tensors.at(name);
    CHECK(read.dtype() == tensor.dtype());
    CHECK(read.shape() == tensor.shape());
    CHECK(read.to_vector<double>() == tensor.to_vector<double>());
    CHECK((read.numel() == 0 || read.body().storage->external()));  // aligned: nothing is copied
  }
}

TEST_CASE("a fixed-point stream is stored as its integers") {
  const ScratchFolder folder;
  Tensor q = empty_fixed({2}, 16);
  q.mutable_data<int32_t>()[0] = 65536;
  q.mutable_data<int32_t>()[1] = -1;
  safetensors::save(folder / "x", {{"q", q}});
  const Tensor read = safetensors::load(folder / "x").tensors.at("q");
  CHECK(read.dtype() == DType::i32);
  CHECK(read.to_vector<int32_t>() == std::vector<int32_t>{65536, -1});
}

TEST_CASE("tensors keep the map alive, misaligned ones are copied, and writing changes no file") {
  const ScratchFolder folder;
  const std::string header = R"({"m":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("x":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  const std::string bytes = file_of(header, "\5" + bytes_of<float>({1, 2}));
  folder.write("x", bytes);
  Tensor m, x;
  {
    const safetensors::File file = safetensors::load(folder / "x");
    m = file.tensors.at("m");
    x = file.tensors.at("x");
  }
  CHECK(m.body().storage->external());
  CHECK_FALSE(x.body().storage->external());
  CHECK(x.to_vector<float>() == std::vector<float>{1, 2});
  m.mutable_data<uint8_t>()[0] = 77;
  CHECK(m.item<int>() == 77);
  CHECK(contents(folder / "x") == bytes);
}

TEST_CASE("files that are none of ours are refused in words") {
  const ScratchFolder folder;
  CHECK(error_of([&] { safetensors::load(folder / "none"); }) ==
        "safetensors: cannot open \"" + folder / "none" + "\": No such file or directory");
  CHECK(error_of([&] { safetensors::load(folder.path()); }) ==
        "safetensors: \"" + folder.path() + "\" is not a regular file");
  CHECK(load_error("") == "safetensors: FILE has 0 bytes; the header's length alone takes 8");
  CHECK(load_error("1234567") ==
        "safetensors: FILE has 7 bytes; the header's length alone takes 8");
  CHECK(load_error(std::string(8, '\xff')) ==
        "safetensors: FILE has a header of 18446744073709551615 bytes; at most 100000000 are read");
  CHECK(load_error(file_of("{}", "").substr(0, 9)) ==
        "safetensors: FILE has 9 bytes but a header of 2; it is truncated");
  const std::string start = "safetensors: FILE has a header that is not JSON, at byte ";
  CHECK(header_error("", 0) == start + "1 of it");
  CHECK(header_error("[]", 0) == start + "1 of it");
  CHECK(header_error("{\"a\"", 0) == start + "5 of it");
  CHECK(header_error("{} x", 0) == start + "4 of it");
  CHECK(header_error(std::string("{}\0", 3), 0) == start + "3 of it");
  CHECK(header_error("{\"\xff\":1}", 0) == start + "3 of it");
}

TEST_CASE("a header that breaks the format is refused with tensor and fact") {
  const std::string start = "safetensors: FILE: ";
  const auto one = [&](const std::string& value, size_t data = 4) {
    return header_error("{\"a\":" + value + "}", data);
  };
  CHECK(one("null") == start + "the header has null where it may not be");
  CHECK(one("1") == start + "the header has a number where it may not be");
  CHECK(one("[1]") == start + "the header has a list where it may not be");
  CHECK(one("{}") == start + "tensor \"a\" has no dtype");
  CHECK(one(R"({"dtype":"F32","shape":[1]})") == start + "tensor \"a\" has no data_offsets");
  CHECK(one(R"({"dtype":1})") == start + "tensor \"a\" has a number where it may not be");
  CHECK(one(R"({"dtype":[1]})") == start + "tensor \"a\" has a list where it may not be");
  CHECK(one(R"({"shape":{}})") == start + "tensor \"a\" has an object where it may not be");
  CHECK(one(R"({"shape":[[1]]})") == start + "tensor \"a\" has a list where it may not be");
  CHECK(one(R"({"shape":[true]})") == start + "tensor \"a\" has a truth value where it may not be");
  CHECK(one(R"({"shape":["1"]})") == start + "tensor \"a\" has a text where it may not be");
  CHECK(one(R"({"strides":[1]})") == start + "tensor \"a\" has an unknown field \"strides\"");
  CHECK(one(R"({"shape":[1],"shape":[2]})") == start + "tensor \"a\" has shape twice");
  CHECK(one(entry("F8_E4M3", "[4]", "[0,4]")) ==
        start + "tensor \"a\" has dtype \"F8_E4M3\", which is not supported");
  CHECK(one(entry("F32", "[-1]", "[0,4]")) ==
        start + "tensor \"a\" has \"-1\" in its shape; only whole numbers from 0 are allowed");
  CHECK(one(entry("F32", "[1]", "[0,4.0]")) ==
        start +
            "tensor \"a\" has \"4.0\" in its data_offsets; only whole numbers from 0 are allowed");
  CHECK(one(entry("F32", "[1e0]", "[0,4]")) ==
        start + "tensor \"a\" has \"1e0\" in its shape; only whole numbers from 0 are allowed");
  CHECK(one(entry("F32", "[9223372036854775808]", "[0,4]")) ==
        start +
            "tensor \"a\" has \"9223372036854775808\" in its shape; only whole numbers from 0 are "
            "allowed");
  CHECK(one(entry("F32", "[99999999999999999999]", "[0,4]")) ==
        start +
            "tensor \"a\" has \"99999999999999999999\" in its shape; only whole numbers from 0 are "
            "allowed");
  CHECK(one(entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]")) ==
        start + "tensor \"a\" has more than 8 numbers in its shape");
  CHECK(one(entry("F32", "[4294967296,4294967296]", "[0,0]")) ==
        start + "tensor \"a\" has shape (4294967296, 4294967296), too large for any file");
  CHECK(one(entry("F32", "[1]", "[0,4,8]")) ==
        start + "tensor \"a\" has more than 2 numbers in its data_offsets");
  CHECK(one(entry("F32", "[1]", "[4]")) ==
        start + "tensor \"a\" has data_offsets [4], not a beginning and an end");
  CHECK(one(entry("F32", "[1]", "[4,0]")) ==
        start + "tensor \"a\" has data_offsets [4, 0], not a beginning and an end");
  CHECK(one(entry("F32", "[2,3]", "[0,20]"), 20) ==
        start + "tensor \"a\" of F32 (2, 3) needs 24 bytes, its data_offsets give 20");
  CHECK(header_error(R"({"__metadata__":{"k":1}})", 0) ==
        start + "__metadata__ has a number where it may not be");
  CHECK(header_error(R"({"__metadata__":[]})", 0) ==
        start + "the header has a list where it may not be");
  CHECK(header_error(R"({"__metadata__":{"k":"1","k":"2"}})", 0) ==
        start + "__metadata__ has \"k\" twice");
}

TEST_CASE("every byte of the data belongs to one tensor") {
  const std::string start = "safetensors: FILE: ";
  const auto two = [&](const std::string& a, const std::string& b, size_t data) {
    return header_error("{\"a\":" + a + ",\"b\":" + b + "}", data);
  };
  const std::string first = entry("F32", "[1]", "[0,4]");
  CHECK(two(first, entry("F32", "[1]", "[4,8]"), 8).empty());
  CHECK(two(first, first, 4) == start + "tensors \"a\" and \"b\" overlap");
  CHECK(two(first, entry("U8", "[1]", "[3,4]"), 4) == start + "tensors \"a\" and \"b\" overlap");
  CHECK(two(first, entry("F32", "[1]", "[6,10]"), 10) ==
        start + "bytes 4 to 6 of the data belong to no tensor");
  CHECK(two(first, entry("F32", "[1]", "[4,8]"), 9) ==
        start + "bytes 8 to 9 of the data belong to no tensor");
  CHECK(two(first, entry("F32", "[1]", "[4,8]"), 7) ==
        start + "tensor \"b\" ends at byte 8 of 7 bytes of data; the file is truncated or damaged");
  CHECK(header_error("{\"a\":" + first + ",\"a\":" + first + "}", 4) ==
        start + "\"a\" comes twice");
  CHECK(load_error(file_of("{\"a\":" + entry("BOOL", "[2]", "[0,2]") + "}", "\1\2")) ==
        start + "tensor \"a\" of BOOL has a byte that is neither 0 nor 1");
}

TEST_CASE("a file cut at any byte, or with any byte changed, is read or refused") {
  const ScratchFolder folder;
  safetensors::save(folder / "x",
                    {{"a", scalar(1)}, {"mask", from_vector<uint8_t>({1, 0, 1}, {3})}},
                    {{"k", "v"}});
  const std::string whole = contents(folder / "x");
  for (size_t size = 0; size < whole.size(); ++size) {
    CHECK(load_error(whole.substr(0, size)).starts_with("safetensors: FILE"));
  }
  for (size_t place = 0; place < whole.size(); ++place) {
    for (const char byte : {'\0', '\xff', '"', '9', '{', '-'}) {
      std::string changed = whole;
      changed[place] = byte;
      const std::string error = load_error(changed);
      CHECK((error.empty() || error.starts_with("safetensors: FILE")));
    }
  }
}

TEST_CASE("deep nesting ends at the first level that may not be") {
  const std::string deep = "{\"a\":" + std::string(1'000'000, '[');
  CHECK(header_error(deep, 0) == "safetensors: FILE: the header has a list where it may not be");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(header_error(objects, 0) == "safetensors: FILE: tensor \"a\" has an unknown field \"a\"");
}

TEST_CASE("names that the format cannot hold are refused, and the older file stays") {
  const ScratchFolder folder;
  folder.write("x", "old");
  const std::string start = "safetensors: \"" + folder / "x" + "\": ";
  const auto error = [&](std::vector<std::pair<std::string, Tensor>> tensors) {
    return error_of([&] { safetensors::save(folder / "x", tensors); });
  };
  CHECK(error({{"a", scalar(1)}, {"a", scalar(2)}}) ==
        start + "the name \"a\" is taken; give every tensor another");
  CHECK(error({{"__metadata__", scalar(1)}}) ==
        start + "the name \"__metadata__\" is taken; give every tensor another");
  CHECK(error({{"a", Tensor()}}) == start + "tensor \"a\" is undefined");
  CHECK(error({{"\xff", scalar(1)}}) == start + "\"\xff\" is not UTF-8");
  CHECK(contents(folder / "x") == "old");
}

TEST_CASE("what stops a save is told, the older file is untouched and no other is left") {
  const ScratchFolder folder;
  folder.write("file", "x");
  CHECK(error_of([&] {
          safetensors::save(folder / "file/x", {{"a", scalar(1)}});
        }).ends_with("\": Not a directory; choose a folder that you may write to"));
  CHECK(error_of([&] {
          safetensors::save(folder / "none/x", {{"a", scalar(1)}});
        }).ends_with("\": No such file or directory"));
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 5000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = error_of([&] {
    safetensors::save(folder / "file", {{"a", empty({10000})}});
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(error.starts_with("save: cannot write \"" + (folder / "file") + ".tmp-"));
  CHECK(error.ends_with("\": File too large"));
  CHECK(contents(folder / "file") == "x");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
