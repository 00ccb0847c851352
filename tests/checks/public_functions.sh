#!/bin/sh
# public_functions.sh: every public function of ops/ has a row in the op table, that is a line
#   .op = "<function>"
# in a file of tests/ops/. The functions are read from the headers (public_functions.awk).
set -eu
# shellcheck disable=SC2086  # header paths hold no spaces
headers=$(find ops -name '*.h' -not -path '*/detail/*' | sort)
[ -n "$headers" ] || exit 0

declared=$(awk -f tests/checks/public_functions.awk pass=1 $headers pass=2 $headers | sort -u)
rows=$(find tests/ops -type f -exec sed -n 's/.*\.op = "\([A-Za-z0-9_]*\)".*/\1/p' {} + | sort -u)

echo "$declared" | awk -v rows="$rows" '
  BEGIN { n = split(rows, names, "\n"); for (i = 1; i <= n; i++) in_table[names[i]] = 1 }
  NF == 2 && !($1 in in_table) { printf "%s: %s has no row in the op table (.op = \"%s\" in tests/ops)\n", $2, $1, $1; failed = 1 }
  NF == 2 { functions[$1] = 1 }
  END { for (f in functions) count++; printf "%d public functions\n", count; exit failed }'
