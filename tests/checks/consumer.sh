#!/bin/sh
# consumer.sh WAYS CMAKE GENERATOR COMPILER SCRATCH BUILD: builds and runs tests/consumer as a user would.
#   installed   the build BUILD is installed, then used by find_package and by pkg-config
#   source      Tenet's source is part of the project, by add_subdirectory (static) and FetchContent (shared)
set -eu
ways=$1 cmake=$2 generator=$3 compiler=$4 scratch=$5 build=${6-}
root=$PWD
rm -rf "$scratch"
mkdir -p "$scratch"

consume() { # consume NAME CMAKE_ARGUMENTS...
  name=$1
  shift
  "$cmake" -S tests/consumer -B "$scratch/$name" -G "$generator" -DCMAKE_CXX_COMPILER="$compiler" "$@" \
    >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
  "$cmake" --build "$scratch/$name" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
  echo "$name: $("$scratch/$name/consumer")"
}

if [ "$ways" = source ]; then
  consume add_subdirectory -DTENET_BY=subdirectory -DTENET_SOURCE="$root" -DCMAKE_BUILD_TYPE=Release
  consume FetchContent -DTENET_BY=fetch -DTENET_REPOSITORY=unused -DFETCHCONTENT_SOURCE_DIR_TENET="$root" \
    -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release
  exit
fi

"$cmake" --install "$build" --prefix "$scratch/prefix" >/dev/null
consume find_package -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_BUILD_TYPE=Debug

command -v pkg-config >/dev/null || { echo "pkg-config: not found, its file is not tried"; exit 0; }
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name tenet.pc)")
export PKG_CONFIG_PATH
for static in "" --static; do
  # shellcheck disable=SC2086: words
  flags=$(pkg-config $static --cflags --libs tenet)
  # shellcheck disable=SC2086: words
  "$compiler" -std=c++20 tests/consumer/main.cpp -o "$scratch/by_pkg_config" $flags
  echo "pkg-config $static: $(LD_LIBRARY_PATH=$(pkg-config --variable=libdir tenet) "$scratch/by_pkg_config")"
done
