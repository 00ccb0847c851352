#!/bin/sh
# level_object.sh LEVEL OUTPUT LD NM OBJCOPY OBJECTS...: one object of all, for Note [Kernels per level].
#
# Inline functions and templates, ours and the standard library's, are weak symbols: of all copies in a
# program the linker keeps one for everybody, and one compiled for a newer processor would end up in
# code that runs on old ones. So the groups that the linker picks from are dissolved and every symbol
# becomes local but the mutable globals and the templates called ..._kernel, the slots, which are weak: the
# library's take their place. Initializers move to the section tenet_kernels_LEVEL, where nothing runs them
# unasked.
set -eu
level=$1 output=$2 ld=$3 nm=$4 objcopy=$5
shift 5
trap 'rm -f "$output.all" "$output.slots"' EXIT
"$ld" -r --force-group-allocation -o "$output.all" "$@"
"$nm" --defined-only --extern-only --format=posix "$output.all" |
  awk '$2 == "B" || $2 == "D" || $2 == "V" && $1 ~ /_kernel/ { print $1 }' >"$output.slots"
grep -q . "$output.slots" || { echo "level_object.sh: no kernel slots in $output.all" >&2; exit 1; }
"$objcopy" --keep-global-symbols="$output.slots" --weaken-symbols="$output.slots" \
  --rename-section .init_array="tenet_kernels_$level",alloc,load,data,contents "$output.all" "$output"
