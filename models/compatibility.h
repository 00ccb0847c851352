/// What transformers makes of a checkpoint folder.
#pragma once

#include <tenet/models/reformer_config.h>

#include <string>
#include <vector>

namespace tenet {

/// What a model of this configuration has that transformers 4.57 cannot express, in words: "preset
/// windowed", "exact residual", "full attention", "evaluation in 4 rounds", "activation elu". If
/// there is nothing, transformers computes the same model, but for hash rotations, which it draws
/// anew in every call.
std::vector<std::string> beyond_transformers(const ReformerConfig& config);

/// The keys of config.json that transformers does not read: those of "tenet", as "tenet.residual",
/// and those that unknown_config_keys() gives. Error: the file's.
std::vector<std::string> keys_beyond_transformers(const std::string& path);

}  // namespace tenet
