#include <tenet/nn/pool2d.h>

namespace tenet::nn {
namespace {

std::string description(const char* name, Size2d kernel, Size2d stride, Size2d padding,
                        const char* more) {
  const bool usual = stride == Size2d(0) || stride == kernel;
  return fmt::format("{}({}{}{}{})", name, kernel, usual ? "" : fmt::format(", stride {}", stride),
                     padding == Size2d(0) ? "" : fmt::format(", padding {}", padding), more);
}

}  // namespace

std::string MaxPool2d::describe() const {
  return description("MaxPool2d", kernel_, options_.stride, options_.padding, "");
}

std::string AvgPool2d::describe() const {
  return description("AvgPool2d", kernel_, options_.stride, options_.padding,
                     options_.count_include_pad ? "" : ", padding not counted");
}

}  // namespace tenet::nn
