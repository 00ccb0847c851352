/// The model that a benchmark runs, from its command line.
#pragma once

#include <tenet/models/reformer_config.h>

#include <CLI/CLI.hpp>
#include <string>

namespace tenet {

struct ModelFlags {
  int64_t layers = 6, d_model = 256, heads = 4, d_ff = 1024, hashes = 4, chunk = 64;
  std::string attention = "lsh";
};

inline void add_model_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--layers", flags.layers)->capture_default_str();
  app.add_option("--d-model", flags.d_model)->capture_default_str();
  app.add_option("--heads", flags.heads)->capture_default_str();
  app.add_option("--d-ff", flags.d_ff)->capture_default_str();
  app.add_option("--hashes", flags.hashes)->capture_default_str();
  app.add_option("--chunk", flags.chunk)->capture_default_str();
  app.add_option("--attention", flags.attention)->capture_default_str();
}

/// For sequences of up to `length` tokens.
inline ReformerConfig make_config(const ModelFlags& flags, int64_t length) {
  ReformerConfig config =
      new_reformer_config(flags.layers, flags.d_model, flags.heads, flags.d_ff, length);
  config.attn_layers = parse_attention(flags.attention, flags.layers);
  config.local_attn_chunk_length = config.lsh_attn_chunk_length = flags.chunk;
  config.num_buckets = num_buckets_for(length, flags.chunk);
  config.num_hashes = flags.hashes;
  return config;
}

}  // namespace tenet
