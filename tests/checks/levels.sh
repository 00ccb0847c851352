#!/bin/sh
# levels.sh NM OBJDUMP READELF LEVEL_OBJECTS... -- OBJECTS...: in a build with kernels for several instruction
# sets, none of x86-64-v3 or -v4 can run on a processor of x86-64-v2. Two facts together show it:
#   1. no object but those of the levels holds an instruction that x86-64-v2 lacks;
#   2. a level's object has no global symbol but its weak kernel slots, no group that the linker could choose
#      from and no initializer that runs by itself, so nothing reaches it but fill_slots().
set -eu
nm=$1 objdump=$2 readelf=$3
shift 3
failed=0
while [ "$1" != -- ]; do
  [ -r "$1" ] || { echo "$1: cannot be read"; exit 1; }
  code=$("$nm" --defined-only --extern-only --format=posix "$1" | awk '$2 != "V" { print $1, $2 }')
  [ -z "$code" ] || { echo "$1: symbols that the linker sees:"; echo "$code"; failed=1; }
  slots=$("$nm" --defined-only --extern-only --format=posix "$1" | awk '$2 == "V" && /_kernelE?( |$)/' | wc -l)
  [ "$slots" -gt 40 ] || { echo "$1: $slots kernel slots"; failed=1; }
  sections=$("$readelf" --sections --wide "$1" | grep -oE ' (INIT_ARRAY|FINI_ARRAY|PREINIT_ARRAY|GROUP) |\.[cd]tors|\.init\b' || true)
  [ -z "$sections" ] || { echo "$1: $sections"; failed=1; }
  "$readelf" --sections --wide "$1" | grep -q ' tenet_kernels_v[34] ' || { echo "$1: nothing fills slots"; failed=1; }
  shift
done
shift

# Mnemonics that begin with v are AVX's, FMA's and F16C's; the others BMI's, LZCNT's and MOVBE's. tzcnt is left
# out: compilers write it for bsf, which an older processor runs instead, to the same result.
newer='v[a-z0-9]+|andn|bextr|bls(i|r|msk)|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt|movbe|k(mov|and|or|ortest|shift)[a-z]*'
[ $# -gt 0 ] || { echo "levels.sh: no objects to look at"; exit 1; }
for object in "$@"; do
  [ -r "$object" ] || { echo "$object: cannot be read"; failed=1; continue; }
  found=$("$objdump" -d --no-show-raw-insn "$object" |
    awk -v newer="^($newer)[lqw]?$" -F '\t' '/^[0-9a-f]+ </ { f = $0 }
      { split($2, word, " "); if (word[1] ~ newer && word[1] !~ /^ver[rw]$/) { print f; exit } }')
  [ -z "$found" ] || { echo "$object: newer instructions in $found"; failed=1; }
done
exit $failed
