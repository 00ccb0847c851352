/// The configuration of a Reformer: Hugging Face's keys, and beside them what only Tenet has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenet {

/// The attention of a layer: in chunks, among positions that hash alike, or to all.
enum class AttentionKind { local, lsh, full };

/// Field names are the keys of config.json in Hugging Face's layout (transformers 4.57), with its
/// defaults; those below the line stand in the object "tenet" and default to what a folder without
/// that object means.
struct ReformerConfig {
  int64_t attention_head_size = 64;  // width of one head
  /// One entry for each layer.
  std::vector<AttentionKind> attn_layers = {AttentionKind::local, AttentionKind::lsh,
                                            AttentionKind::local, AttentionKind::lsh,
                                            AttentionKind::local, AttentionKind::lsh};
  bool axial_pos_embds = true;                           // else a learned table
  std::vector<int64_t> axial_pos_shape = {64, 64};       // sizes of the axes of positions
  std::vector<int64_t> axial_pos_embds_dim = {64, 192};  // widths; hidden_size in all
  double axial_norm_std = 1.0;                           // of the initial axial weights
  int64_t chunk_size_feed_forward = 0;                   // positions at a time; 0: all
  int64_t chunk_size_lm_head = 0;                        // read and written, not used
  int64_t feed_forward_size = 512;                       // width of the inner layer
  std::optional<int64_t> hash_seed = {};  // of the rotations in evaluation; empty: seed
  std::string hidden_act = "relu";        // as nn::parse_activation() reads it
  int64_t hidden_size = 256;              // D, the width of each stream
  bool is_decoder = false;                // causal: each token is predicted from those before it
  double layer_norm_eps = 1e-12;          // of every layer norm
  double initializer_range = 0.02;        // standard deviation of the initial weights
  int64_t local_attn_chunk_length = 64;   // positions of a chunk
  int64_t lsh_attn_chunk_length = 64;     // positions seen of the own bucket
  int64_t local_num_chunks_before = 1, local_num_chunks_after = 0;  // none after if causal
  int64_t lsh_num_chunks_before = 1, lsh_num_chunks_after = 0;      // not of preset windowed
  int64_t max_position_embeddings = 4096;                           // the longest sequence
  int64_t num_attention_heads = 12;                                 // H
  std::vector<int64_t> num_buckets = {};                            // factors; empty is null
  int64_t num_hashes = 1;                                           // rounds in training
  int64_t pad_token_id = 0, eos_token_id = 2;                       // read and written, not used
  int64_t vocab_size = 320;                                         // V
  bool tie_word_embeddings = false;   // must be false: the head is twice as wide
  bool use_cache = true;              // read and written, not used
  double hidden_dropout_prob = 0.05;  // of embeddings, layers and the last norm
  /// Of attention weights; full layers take the first.
  double local_attention_probs_dropout_prob = 0.05, lsh_attention_probs_dropout_prob = 0.0;

  // --- "tenet" ---
  std::string lsh_preset = "hugging_face";  // of local layers too: nn::AttentionPreset
  std::string residual = "float";           // or "exact"
  int64_t fraction_bits = 16;               // of an exact residual
  /// token = byte + byte_offset; -1: tokens are no bytes. Without it in the file, 0 of a vocabulary
  /// of 256, 2 of one of 258, as google/reformer-enwik8 has it, else -1.
  int64_t byte_offset = -1;
  int64_t evaluation_hashes = 0;         // rounds in evaluation; 0 is num_hashes
  std::string position_init = "normal";  // of axial positions, or "harmonic"
  uint64_t seed = 0;                     // of the initial weights

  /// How many layers.
  int64_t layers() const { return static_cast<int64_t>(attn_layers.size()); }
  /// Whether a layer is of this kind.
  bool has(AttentionKind kind) const {
    return std::find(attn_layers.begin(), attn_layers.end(), kind) != attn_layers.end();
  }
  /// Error: a value out of range or in contradiction to another, named with both.
  void validate() const;
  /// Whether lsh_preset is one that cuts the sequence into chunks: all but "windowed".
  bool has_chunks() const { return lsh_preset != "windowed"; }
  /// The length that a call of `length` tokens is padded to: `length`, or, of a preset with chunks
  /// and above the shortest chunk of the layers present, the next multiple of all of them.
  int64_t padded_length(int64_t length) const;
  /// Fills in num_buckets if it is empty: num_buckets_for(), or of a preset with chunks what
  /// Hugging Face takes for a sequence of `length`.
  void resolve_buckets(int64_t length);
  /// The text of config.json, from which read_reformer_config() gets the same back.
  std::string to_json() const;
};

/// Reads config.json. Absent keys take their defaults, unknown ones are ignored. `strict`, for a
/// file that a person wrote, refuses a top-level key within two edits of a valid one. Any unknown
/// key inside "tenet" is an Error.
ReformerConfig read_reformer_config(const std::string& path, bool strict = false);

/// Top-level keys of the file that mean nothing here.
std::vector<std::string> unknown_config_keys(const std::string& path);

/// What a new byte-level language model of this width and length is made with: preset windowed,
/// exact residual, local and LSH layers alternating, chunks of 64, 2 rounds in training and 4 in
/// evaluation, 2 L / 64 buckets.
ReformerConfig new_reformer_config(int64_t layers, int64_t d_model, int64_t heads, int64_t d_ff,
                                   int64_t length);

/// Two factors of about equal size whose product is at least `length`: the axial position shape.
std::vector<int64_t> axial_shape_for(int64_t length);

/// The power of two nearest to 2 length / chunk, at least 2; as two factors above 128.
std::vector<int64_t> num_buckets_for(int64_t length, int64_t chunk);

/// "lsh", "local", "full"; a comma-separated list is repeated to `layers`. Error: another name.
std::vector<AttentionKind> parse_attention(std::string_view names, int64_t layers);
/// "lsh", "local" or "full".
const char* to_string(AttentionKind kind);

}  // namespace tenet
