#!/bin/sh
# reference.sh DOXYGEN OUT: writes the API reference to OUT/html. Fails if Doxygen warns of anything.
set -eu
mkdir -p "$2"
{ cat docs/Doxyfile; echo "OUTPUT_DIRECTORY = \"$2\""; } | "$1" - 2>"$2/warnings"
if [ -s "$2/warnings" ]; then
  cat "$2/warnings"
  exit 1
fi
