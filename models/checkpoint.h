/// Checkpoints: a folder with config.json, model.safetensors, optimizer.safetensors and state.json.
#pragma once

#include <tenet/models/reformer.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tenet {

/// The number in state.json that a reader checks first; a change of the layout raises it.
inline constexpr int checkpoint_format = 1;

/// The files of a checkpoint, which are replaced as one set (see atomic_file.h).
std::vector<std::string> checkpoint_files();

/// The model of a checkpoint folder, or of a Hugging Face folder with config.json and
/// model.safetensors, whose tensors may be of any floating type. Errors: the folder, a file of it, a
/// tensor that is missing, not expected, or of another shape or kind of type, or holds a number that
/// is not finite. Where the configuration leaves the number of buckets open, it is what fits `length`; 0:
/// the model's positions.
std::unique_ptr<Reformer> load_model(const std::string& folder, int64_t length = 0);

/// Writes the set atomically. `state_json` is the text of state.json. Error: the disk's; the older
/// set stays valid.
void save_checkpoint(const std::string& folder, Reformer& model,
                     const std::map<std::string, Tensor>& optimizer_state,
                     const std::string& state_json);

}  // namespace tenet
