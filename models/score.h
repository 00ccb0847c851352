/// Every number of a Reformer's forward and backward pass on given tokens.
#pragma once

#include <tenet/core/tensor.h>

#include <map>
#include <string>

namespace tenet {

/// What score() computes, and in which type.
struct ScoreOptions {
  bool grad = false;              // also "grad." and the parameter's name, of the loss
  bool trace = false;             // also what ReformerCall::observe is shown, and "last_hidden"
  DType dtype = DType::f32;       // f32, f64 or bf16, to which the weights are converted
  Device device = Device::cpu();  // where it is computed
};

/// Runs the model of a checkpoint folder, in evaluation, on `input`: `input_ids` (B, L) and, if
/// they are there, `labels` (B, L) with -100 ignored (compared with the token before by a causal
/// model), `position_ids` (B, L), all i64 or i32, `attention_mask` (B, L), which may be boolean
/// too, 0 where a token is not in use, and rotation.0, rotation.1 and so on, of shape
/// (H, K, R, sum(num_buckets) / 2), instead of drawn ones. Gives `logits` (B, L, V) and, with
/// labels, `loss` (), and what the options ask for, under Hugging Face's names; f32, or f64 of a
/// model in f64.
///
/// Of a model without a head, a ReformerModel of transformers, it gives `last_hidden` (B, L, 2 D)
/// instead of logits, and takes no labels.
///
/// A row without any token in use has finite results; so have 0 rows, with loss 0. Errors: the
/// folder's; an input that is missing, unknown, of another shape or type, or out of range; `grad`
/// without labels.
std::map<std::string, Tensor> score(const std::string& folder,
                                    const std::map<std::string, Tensor>& input,
                                    const ScoreOptions& options = {});

}  // namespace tenet
