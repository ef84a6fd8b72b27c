#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A C project built in a workspace: everything once, nothing without a change,
# exactly what a change needs; with make, and cmake and ninja where they are
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires make cc
small_mount
cd "$M"
built() { make -j2 | LC_ALL=C sort | xargs; }

make -j2 >"$SCRATCH/first"
assert_eq "$(grep -c '^CC' "$SCRATCH/first")" 31 "files compiled at first"
assert_eq "$(out/program)" 465
assert_contains "$(built)" "up to date" "null build"
echo '/* changed */' >>src/f7.c
assert_eq "$(built)" "CC f7 LINK" "one source changed"
sed -i 's/int f9/extern int f9/' include/f9.h
assert_eq "$(built)" "CC f9 CC main LINK" "one header changed"
git -C "$REPO" show HEAD:src/f7.c >src/f7.c.new && mv src/f7.c.new src/f7.c
assert_eq "$(built)" "CC f7 LINK" "one source replaced"
echo '#define STEP 2' >include/common.h
assert_eq "$(built | grep -o CC | wc -l)" 30 "the common header changed"
assert_eq "$(out/program)" 930
rm out/f3.o
assert_eq "$(built)" "CC f3 LINK" "one object removed"
cd "$SCRATCH"
rw_remount "$REPO" "$M"
cd "$M"
assert_contains "$(built)" "up to date" "null build after a new mount"
mv src source
mv source src
assert_contains "$(built)" "up to date" "null build after moving there and back"
strip out/program
ar rcs out/all.a out/f*.o
assert_eq "$(ar t out/all.a | wc -l)" 30
gcc -shared -fPIC -Iinclude -o out/lib.so src/f*.c
gcc -Iinclude -o out/dynamic src/main.c out/lib.so
assert_eq "$("$PWD/out/dynamic")" 930 "with a shared library"

if command -v cmake >/dev/null && command -v ninja >/dev/null; then
    # shellcheck disable=SC2016
    printf '%s\n' 'cmake_minimum_required(VERSION 3.10)' 'project(p C)' \
        'file(GLOB s src/*.c)' 'add_executable(program ${s})' \
        'include_directories(include)' >CMakeLists.txt
    cmake -G Ninja -B cb -S . >"$SCRATCH/cmake.out"
    ninja -C cb >"$SCRATCH/ninja.out"
    assert_eq "$(cb/program)" 930
    assert_contains "$(ninja -C cb)" "no work to do" "ninja without a change"
    touch include/f9.h
    assert_eq "$(ninja -C cb -n | grep -c Building)" 2 "ninja, one header"
fi
rm -r out
make -j2 >/dev/null
assert_eq "$(out/program)" 930 "from the beginning"
cd "$SCRATCH"
