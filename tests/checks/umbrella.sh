#!/bin/sh
# umbrella.sh COMPILER INCLUDES: <tenet/tenet.h>, which every user's source reads, pulls in nothing heavy
# and nothing that depends on how the library was built.
set -eu
reads=$(echo '#include <tenet/tenet.h>' | "$1" -std=c++20 -I "$2" -M -x c++ - | tr -s ' \\\n' '\n')
heavy=$(echo "$reads" | grep -E '/(fmt/(format|ranges|ostream|chrono|std)\.h|nlohmann/|CLI/|oneapi/|dnnl|omp\.h|[a-z]*mmintrin\.h|c\+\+/[0-9.]+/(iostream|regex|thread|future|filesystem|random|chrono|fstream|sstream)$)' || true)
[ -z "$heavy" ] || { echo "tenet.h reads:"; echo "$heavy"; exit 1; }
# Private headers are reached for the templates' sake; an instruction set must not be.
own=$(echo "$reads" | grep '/tenet/')
# shellcheck disable=SC2086: words
switches=$(grep -nE '__(AVX|SSE|F16C|BMI)' $own || true)
[ -z "$switches" ] || { echo "public headers ask for an instruction set:"; echo "$switches"; exit 1; }
