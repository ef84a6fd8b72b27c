#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# fsrand and fsx on native directories: no false alarm, and a tree or a file
# that is not what it should be is found.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
need_good_twin
posix_tools

fresh() {
    rm -rf "$SCRATCH"/{a,b}
    mkdir "$SCRATCH"/{a,b}
}
A=$SCRATCH/a
B=$SCRATCH/b

fresh
"$FSRAND" --seed 1 --ops 4000 --check 500 "$A" "$B"
"$FSRAND" --compare "$A" "$B"
one=$(find "$A" -type f -size +1 -print -quit)

# each kind of difference is seen
different() { # WHAT CMD...
    local what=$1
    shift
    fresh
    mkdir "$A/d" "$B/d"
    echo 12345678 | tee "$A/f" "$B/f" "$A/d/g" >"$B/d/g"
    ln "$A/f" "$A/h"
    ln "$B/f" "$B/h"
    touch -d @1000.5 "$A/f" "$B/f"
    "$@"
    assert_fails "$FSRAND" --compare "$A" "$B"
    assert_contains "$OUTPUT" "$what"
}
[ "$one" ] || fail "no file was left"
different "only on the twin" rm "$A/d/g"
different "only here" touch "$A/new"
different "mode" chmod 600 "$A/f"
different "size" truncate -s 100 "$A/d/g"
different "mtime" touch -d @1000.6 "$A/f"
different "byte at 3" sh -c "printf x | dd of='$A/d/g' bs=1 seek=3 \
    conv=notrunc status=none"
different "links" rm "$A/h"
different "mode" sh -c "rm '$A/d/g' && mkdir '$A/d/g'"
# same bytes, but no longer one file
different "links" sh -c "rm '$A/h' && cp -p '$A/f' '$A/h'"

# a start that differs is a mismatch, it can be replayed and made small
fresh
echo x >"$A/a"
assert_fails "$FSRAND" --seed 3 --ops 3000 "$A" "$B"
assert_contains "$OUTPUT" "MISMATCH at"
assert_contains "$OUTPUT" "replay: --seed 3"

# several processes
fresh
"$FSRAND" --procs 3 --seed 4 --ops 3000 --check 0 "$A" "$B"

# the journal: all there; one acknowledged file lost; only in-flight ones lost
fresh
J=$SCRATCH/journal
"$FSRAND" --seed 5 --ops 800 --check 0 --journal "$J" "$A" "$B"
"$FSRAND" --verify "$J" "$A" "$B"
lost=$(cd "$A" && find . -type f -links 1 -printf '%P\n' | grep -v '[\\]' |
    LC_ALL=C grep -x '[a-zA-Z0-9./-]*' | LC_ALL=C sort | sed -n 1p)
[ "$lost" ] || fail "nothing to lose"
printf 'B 800 unlink\nP %s\n' "$lost" | cat "$J" - >"$J.open"
cp -a "$A/$lost" "$SCRATCH/lost"
rm "$A/$lost"
touch "$A/$(dirname -- "$lost")"
assert_fails "$FSRAND" --verify "$J" "$A" "$B"
assert_contains "$OUTPUT" "$lost: only on the twin"
"$FSRAND" --verify "$J.open" "$A" "$B"
[ ! -e "$B/$lost" ] || fail "what was in flight is still there"

# in flight by a descriptor whose own name is gone: all its other names are
# open, what is as old as a removed name's directory is not an alarm later
in_flight() { # LINE... - files whose target has what the twin has not
    fresh
    mkdir "$A/d" "$B/d"
    echo 1234 | tee "$A/d/f" "$A/g" "$B/g" >"$B/d/f"
    ln "$A/d/f" "$A/h"
    ln "$B/d/f" "$B/h"
    touch -d @1000 "$A/d" "$B/d"
    echo 1294 | tee "$A/h" >/dev/null
    printf '%s\n' 'B 0 read' 'A 0' "$@" >"$J"
}
in_flight 'B 1 fd-write' "I INODE"
sed -i "s/INODE/$(stat -c %i "$B/h")/" "$J"
"$FSRAND" --verify "$J" "$A" "$B"
[ ! -e "$A/h" ] && [ ! -e "$B/d/f" ] || fail "a name in flight is still there"
"$FSRAND" --compare "$A" "$B"
[ -e "$B/g" ] || fail "a file that was not in flight is gone"
in_flight 'B 1 fd-write' "I INODE"
sed -i "s/INODE/$(stat -c %i "$B/g")/" "$J"
assert_fails "$FSRAND" --verify "$J" "$A" "$B"
assert_contains "$OUTPUT" "byte at 2"
in_flight 'B 1 create' 'P d/new'
cp "$B/h" "$A/h"
touch "$A/d/new"
"$FSRAND" --verify "$J" "$A" "$B"
"$FSRAND" --compare "$A" "$B"
# what only looks excuses no file
"$FSRAND" --seed 6 --ops 1500 --check 0 --journal "$J" "$A" "$B"
awk '/^B/ { kind = $3 } /^[PI]/ && kind ~ /^(fd-)?(read|stat|sync)$/ { n++ }
    kind == "read" { reads++ } END { exit n || !reads }' "$J" ||
    fail "an operation that only looks has open ends"

# one file, every byte
"$FSX" -s 1 -n 4000 "$SCRATCH/file"
seq 10000 >"$SCRATCH/file"
"$FSX" -s 2 -n 2000 -p "$SCRATCH/file"
