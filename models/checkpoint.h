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

/// How a model is loaded.
struct LoadOptions {
  /// Where the configuration leaves the number of buckets open, it is what fits this length; 0: the
  /// positions of the configuration.
  int64_t length = 0;
  /// Positions of the loaded model; 0: as many as it was saved with. Of axial positions the first
  /// axis grows or shrinks, so that every position that remains keeps its vector.
  int64_t max_position_embeddings = 0;
  /// Sizes of the axes of axial positions instead; empty: as above. Where an axis other than the
  /// first has another size, positions after its end mean other rows. Without
  /// max_position_embeddings, their product is that number.
  std::vector<int64_t> axial_pos_shape = {};
  /// Draws a new head to logits, to be trained, where the folder has none: a ReformerModel of
  /// transformers. Else that is an error.
  bool new_head = false;
};

/// The model of a checkpoint folder, or of a Hugging Face folder with config.json and
/// model.safetensors, whose tensors may be of any floating type. If positions are asked for, their
/// tables keep the rows that both sizes have, and new rows are those of a new model of that
/// configuration: drawn from its seed with initializer_range or axial_norm_std, or harmonics. The
/// number of buckets is then as before.
///
/// Errors: the folder, a file of it, a tensor that is missing, not expected, or of another shape or
/// kind of type, or holds a number that is not finite; positions that cannot be.
std::unique_ptr<Reformer> load_model(const std::string& folder, const LoadOptions& options = {});

/// Whether the weights of a folder include a head to logits. Error: the file's.
bool has_head(const std::string& folder);

/// Writes the set atomically. `state_json` is the text of state.json. Error: the disk's; the older
/// set stays valid.
void save_checkpoint(const std::string& folder, Reformer& model,
                     const std::map<std::string, Tensor>& optimizer_state,
                     const std::string& state_json);

}  // namespace tenet
