#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `scorpio try` (make run): a mount within seconds, and nothing left afterwards,
# whichever way it ends; several at once do not disturb each other.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo/sub/deep" "$SCRATCH/tmp"
echo hello >"$SCRATCH/repo/README.md"
git_commit "$SCRATCH/repo" one
mkdir "$SCRATCH/repo/build"
export TMPDIR=$SCRATCH/tmp HOME=$SCRATCH/home XDG_CACHE_HOME=$SCRATCH/cache

ready() { grep -q 'Ctrl-C ends' "$SCRATCH/$1.log"; }
mountpoint_of() { sed -n 's|^    \(/.*mnt\)$|\1|p' "$SCRATCH/$1.log" | head -n1; }
page_of() { sed -n 's|^    \(http://.*/\)$|\1|p' "$SCRATCH/$1.log"; }

begin() { # NAME - with SIGINT as a terminal would have it
    rm -f "$SCRATCH/$1.log"
    cd "$SCRATCH/repo/sub/deep"
    start "$1" env --default-signal=INT "$SCORPIO" try
    cd "$SCRATCH"
    wait_until 20 ready "$1"
}

for signal in INT TERM HUP; do
    begin first
    first=$PID
    m=$(mountpoint_of first)
    assert_eq "$m" "$SCRATCH/repo/build/run/mnt"
    assert_eq "$(cat "$m/README.md")" hello
    curl -fsS -m 5 "$(page_of first)health" >/dev/null
    # a place to work in, and the clone does not notice
    echo mine >>"$m/README.md"
    assert_eq "$(cat "$SCRATCH/repo/README.md")" hello
    status() { git -C "$m" status --short 2>/dev/null; }
    changed() { [ "$(status)" = " M README.md" ]; }
    wait_until 20 changed
    # a second one takes another place and another port
    begin second
    second=$PID
    m2=$(mountpoint_of second)
    [ "$m" != "$m2" ] || fail "one mountpoint for two"
    assert_eq "$(cat "$m2/README.md")" hello
    curl -fsS -m 5 "$(page_of second)health" >/dev/null
    kill -$signal "$first" "$second"
    wait_until 20 gone "$first"
    wait_until 20 gone "$second"
    is_mounted "$SCRATCH" && fail "a mount stays after SIG$signal"
    assert_eq "$(ls -A "$SCRATCH/tmp")" "" "temporary files after SIG$signal"
    assert_eq "$(ls -A "$SCRATCH/repo/build")" "" "build after SIG$signal"
    [ ! -e "$SCRATCH/home" ] && [ ! -e "$SCRATCH/cache" ] ||
        fail "something was written elsewhere"
done

# busy: somebody has a file open in the mount
begin busy
m=$(mountpoint_of busy)
exec 7<"$m/README.md"
kill -INT "$PID"
wait_until 30 gone "$PID"
exec 7<&-
is_mounted "$SCRATCH" && fail "a busy mount stays"
assert_eq "$(ls -A "$SCRATCH/tmp")" "" "temporary files after a busy end"

# no clone
mkdir "$SCRATCH/plain"
cd "$SCRATCH/plain"
assert_fails "$SCORPIO" try
assert_contains "$OUTPUT" "clone"
assert_eq "$(ls -A "$SCRATCH/tmp")" ""
