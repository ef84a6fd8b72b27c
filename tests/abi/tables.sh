#!/bin/bash
# Plugins and daemons of different ages understand each other: shorter and
# longer tables load and work, another major is refused with a clear line,
# and today's plugin works in a daemon of ABI 1.0
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires gcc
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"
assets=$SCORPIO_SRC/tests/abi/assets
case $SCORPIO_BUILD in */asan | */tsan) skip "the release build shows it" ;; esac

frozen() { # SHAPE - compiled with the headers of 1.0
    gcc -std=c99 -D_GNU_SOURCE -O1 -fPIC -shared -DSHAPE="$1" \
        -I"$assets/v1.0" "$assets/frozen.c" -o "$SCRATCH/frozen$1.so"
}

loads() { # SHAPE WHAT
    local out
    frozen "$1"
    out=$("$check" "$SCRATCH/frozen$1.so" frozen+x 2>&1) ||
        fail "$2 does not work: $(grep -v ' ok$' <<<"$out")"
    note "$2: $(tail -n1 <<<"$out")"
}

refused() { # SHAPE WHAT TEXT
    local out
    frozen "$1"
    if out=$("$check" "$SCRATCH/frozen$1.so" frozen+x 2>&1); then
        fail "$2 was loaded"
    fi
    assert_contains "$out" "$3" "$2"
    assert_eq "$(wc -l <<<"$out")" 1 "lines that say so"
}

loads 0 "a plugin of ABI 1.0"
loads 1 "a shorter, older table"
loads 2 "a longer table of a later minor"
refused 3 "a backend of another major" "ABI"
refused 4 "a table without struct_size" "struct_size"
refused 5 "a table without fetch" "fetch"
refused 6 "a plugin of another major" "ABI"

gcc -std=c99 -D_GNU_SOURCE -O1 -I"$assets/v1.0" "$assets/old_host.c" -ldl \
    -o "$SCRATCH/old_host"
assert_eq "$("$SCRATCH/old_host" "$SCORPIO_BUILD/plugins/hello.so" hello+you \
    hello.txt)" "Hello, you!" "today's hello in an old daemon"
assert_eq "$("$SCRATCH/old_host" "$SCRATCH/frozen0.so" frozen+x file)" "ice" \
    "the frozen plugin in an old daemon"
