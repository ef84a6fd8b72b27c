#!/bin/bash
# The public face keeps the layout that plugins were compiled against: no
# offset moves, value structs keep their size, tables grow at their end only;
# and it compiles alone as C99, C11, C++11 and C++17
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires gcc g++
[ "$(uname -m)" = x86_64 ] || skip "the recorded layout is of x86-64"

cd "$SCORPIO_SRC"
{
    echo '#include <scorpio/backend.h>'
    echo '#include <scorpio/plugin.h>'
    echo '#define HOLDS(e) _Static_assert(e, #e)'
    awk '/^#/ { next }
        $2 == "struct_size" { table[$1] = 1 }
        $2 == "sizeof" { size[$1] = $3; next }
        { printf "HOLDS(offsetof(struct %s, %s) == %d);\n", $1, $2, $3 }
        END { for (s in size)
            printf "HOLDS(sizeof(struct %s) %s %d);\n", s,
                s in table ? ">=" : "==", size[s] }' tests/abi/v1.layout
    echo 'HOLDS(SCORPIO_ABI_MAJOR == 1);'
} >"$SCRATCH/layout.c"
gcc -std=c11 -Iinclude -fsyntax-only "$SCRATCH/layout.c" ||
    fail "the layout of a public struct changed: plugins would break"

for std in c99 c11 c17; do
    for h in include/scorpio/*.h; do
        echo "#include <scorpio/${h##*/}>"
    done | gcc -std=$std -Wall -Wextra -Wpedantic -Werror -Iinclude \
        -fsyntax-only -x c -
done
for std in c++11 c++17; do
    for h in include/scorpio/*.h; do
        echo "#include <scorpio/${h##*/}>"
    done | g++ -std=$std -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ -
done
