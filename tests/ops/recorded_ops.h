/// Tenet's side of tests/reference/ops.safetensors.
#pragma once

#include <recorded.h>

#include <functional>
#include <map>
#include <string>

namespace tenet::test {

/// What a case's op makes of its inputs.
using RecordedCall = std::function<Tensors(const Tensors& x, const RecordedCase& c)>;

/// By the op's name.
std::map<std::string, RecordedCall> recorded_ops();
/// Adds those that recorded_layers.cpp has.
void add_recorded_layers(std::map<std::string, RecordedCall>& table);

}  // namespace tenet::test
