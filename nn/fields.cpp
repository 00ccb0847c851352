#include <tenet/nn/fields.h>
#include <tenet/nn/module.h>

namespace tenet::nn {
namespace {

/// Extends a dotted path while it lives.
class PathScope {
 public:
  PathScope(std::string& path, std::string_view name) : path_(path), length_(path.size()) {
    if (name.empty()) return;
    if (!path.empty()) path += '.';
    path += name;
  }
  ~PathScope() { path_.resize(length_); }
  PathScope(const PathScope&) = delete;
  PathScope& operator=(const PathScope&) = delete;

 private:
  std::string& path_;
  size_t length_;
};

}  // namespace

void Fields::operator()(std::string_view name, Module& module) {
  const PathScope scope(path_, name);
  visit(module);
}

void Fields::visit(Module& module) { module.fields(*this); }

void Fields::parameter(std::string_view name, Tensor& field) {
  tensor(name, field, Kind::parameter);
}

void Fields::parameter(std::string_view name, std::vector<Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) parameter(indexed(name, i), tensors[i]);
}

void Fields::buffer(std::string_view name, Tensor& field) { tensor(name, field, Kind::buffer); }

void Fields::tensor(std::string_view name, Tensor& field, Kind kind) {
  if (!field.defined()) return;
  const PathScope scope(path_, name);
  visit(field, kind);
}

std::string Fields::indexed(std::string_view name, size_t i) {
  return joined(name, std::to_string(i));
}

std::string Fields::joined(std::string_view name, std::string_view key) {
  std::string result(name);
  if (!result.empty()) result += '.';
  return result += key;
}

}  // namespace tenet::nn
