#!/bin/sh
# snippets.sh OUT FILE.md...: writes each ```cpp block that starts with "// file: name.cpp" to OUT/name.cpp, appends to
# it the blocks that start with "// file: name.cpp, continued", and prints the paths, one a line. A file that would not
# change is left alone, so that nothing is rebuilt.
set -eu
out=$1
shift
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
awk -v out="$scratch" '
  FNR == 1 { inside = 0 }
  /^```/ { opening = !inside && $0 == "```cpp"; inside = !inside; first = opening; if (!inside) name = ""; next }
  inside && first {
    first = 0
    if (match($0, /^\/\/ file: [a-z0-9_]+\.cpp(, continued)?$/)) {
      name = substr($0, 10)
      if (sub(/, continued$/, "", name)) {
        if (seen[name] != FILENAME) { printf "%s:%d: nothing to continue in %s\n", FILENAME, FNR, name > "/dev/stderr"; exit 1 }
        print "" > (out "/" name)
        next
      }
      if (name in seen) { printf "%s:%d: a second snippet named %s\n", FILENAME, FNR, name > "/dev/stderr"; exit 1 }
      seen[name] = FILENAME
    }
  }
  inside && name != "" { print > (out "/" name) }' "$@"
for file in "$scratch"/*.cpp; do
  [ -e "$file" ] || continue
  name=$(basename "$file")
  cmp -s "$file" "$out/$name" || cp "$file" "$out/$name"
  echo "$out/$name"
done
