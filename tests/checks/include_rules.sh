#!/bin/sh
# include_rules.sh: core <- ops <- nn <- models; optim -> core, ops; models -> optim; cuda -> core, ops;
# nothing outside cuda/ and tests/cuda/ includes a header of cuda/. In the library, headers are named <tenet/folder/file.h>.
set -eu
find core ops nn optim models cuda bench tests docs -name '*.h' -o -name '*.cpp' -o -name '*.cu' | sort |
  xargs awk '
  BEGIN {
    reach["core"] = " core "
    reach["ops"] = " core ops "
    reach["nn"] = " core ops nn "
    reach["optim"] = " core ops optim "
    reach["models"] = " core ops nn optim models "
    reach["cuda"] = " core ops cuda "
    reach["bench"] = reach["tests"] = reach["docs"] = " core ops nn optim models tenet.h "
    library = " core ops nn optim models cuda "
  }
  function report(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0; failed = 1 }
  /^[ \t]*#[ \t]*include/ {
    split(FILENAME, at, "/")
    from = at[1]
    if ($0 ~ /"/ && index(library, " " from " ")) report("write <tenet/...>, not a quoted path")
    if (match($0, /<tenet\/[^>\/]+/)) {
      to = substr($0, RSTART + 7, RLENGTH - 7)
      task = FILENAME ~ /^tests\/cuda\// && to == "cuda"
      if (!task && !index(reach[from], " " to " ")) report(from " may not include " to)
    }
  }
  END { exit failed }'
