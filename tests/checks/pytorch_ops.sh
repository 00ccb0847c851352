#!/bin/sh
# pytorch_ops.sh: every public function of ops/ is either compared with PyTorch, that is named in
# tests/reference/ops.safetensors, or in this list of what PyTorch lacks or draws other numbers for.
set -eu
lacking="
chunked_local_attention  attention over chunks
chunked_lsh_attention    attention over chunks
coupling_add             the exact residual stream
coupling_sub             the exact residual stream
decode                   the exact residual stream
encode                   the exact residual stream
linear_relu              linear, then relu
lsh_attention            LSH attention
lsh_hash                 LSH attention
lsh_order                LSH attention
rand                     other random numbers
randn                    other random numbers
"
# shellcheck disable=SC2046  # header paths hold no spaces
set -- $(find ops -name '*.h' -not -path '*/detail/*' | sort)
declared=$(awk -f tests/checks/public_functions.awk pass=1 "$@" pass=2 "$@" | cut -d' ' -f1 | sort -u)
# The metadata is JSON inside a JSON string: \"op\":\"add\".
compared=$(grep -a -o 'op\\":\\"[a-z0-9_]*\\",\\"kind\\":\\"numbers' tests/reference/ops.safetensors |
  sed 's/^op[^a-z]*//; s/[^a-z0-9_].*//' | sort -u)
listed=$(echo "$lacking" | sed '/^$/d; s/ .*//' | sort -u)

printf '%s\n' "$declared" "--" "$compared" "--" "$listed" | awk '
  $0 == "--" { part++; next }
  part == 0 { public[$0] = 1 }
  part == 1 { compared[$0] = 1 }
  part == 2 { listed[$0] = 1 }
  END {
    for (f in public) {
      if (f in compared) count++
      if (!(f in compared) && !(f in listed)) {
        printf "%s: neither in tests/reference/ops.safetensors nor listed as lacking in PyTorch\n", f; failed = 1
      }
      if (f in compared && f in listed) { printf "%s: compared, and listed as lacking in PyTorch\n", f; failed = 1 }
    }
    for (f in listed) if (!(f in public)) { printf "%s: listed, but no public function\n", f; failed = 1 }
    printf "%d public functions are compared with PyTorch\n", count
    exit failed
  }'
