#!/bin/sh
# consumer.sh CMAKE BUILD GENERATOR SCRATCH: installs the build and compiles a project against it with find_package.
set -eu
rm -rf "$4"
"$1" --install "$2" --prefix "$4/prefix" >/dev/null
"$1" -S tests/consumer -B "$4/build" -G "$3" -DCMAKE_PREFIX_PATH="$4/prefix" -DCMAKE_BUILD_TYPE=Debug >/dev/null
"$1" --build "$4/build"
"$4/build/consumer"
