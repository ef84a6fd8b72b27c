#!/bin/bash
# No two functions or variables of the daemon share a name: in an archive the
# linker would silently take one of them
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
lib=$SCORPIO_BUILD/obj/libscorpio.a
requires nm
[ -e "$lib" ] || skip "$lib is not built"
twice=$(nm -g --defined-only "$lib" 2>/dev/null |
    awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | grep -v '^_' | sort | uniq -d)
[ -z "$twice" ] || fail "defined twice: $twice"
