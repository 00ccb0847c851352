#!/bin/sh
# kernel_slots.sh: the stand-in for a GPU (tests/support/stand_in_slots.cpp) fills every kernel slot that a header
# declares.
set -eu
# shellcheck disable=SC2046  # header paths hold no spaces
slots=$(cat $(find core ops -name '*.h' | sort) | sed 's|//.*||' | tr '\n' ' ' | tr ';' '\n' |
  grep -E '(extern|inline) +((detail::)?ReduceKernel|Kernel<)' | grep -oE '[a-z0-9_]+_kernel\>' | sort -u)
[ "$(echo "$slots" | wc -l)" -gt 50 ] || { echo "kernel_slots.sh: few slots were found: $slots"; exit 1; }
failed=0
for slot in $slots; do
  grep -qE "\<$slot\>" tests/support/stand_in_slots.cpp || { echo "$slot: not filled in tests/support/stand_in_slots.cpp"; failed=1; }
done
echo "$(echo "$slots" | wc -l) kernel slots"
exit $failed
