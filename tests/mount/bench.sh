#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A bench that is told to end in the middle leaves neither a mount nor a process
# nor a file: by itself, or through `run`, by TERM or HUP.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/fixtures.sh"
requires root fuse git scorpio

[ -x "$SCORPIO_BUILD/tools/bench_fs" ] || skip "the tools are not built"
fixture_synthetic 1000
room=$SCRATCH/room
mkdir "$room"

processes() { pgrep -af "$room" || true; }
measuring() { is_mounted "$room" && pgrep -g "$1" -x "bench_fs|find" >/dev/null; }
busy() { # the daemon is of the bench's process group
    local pid
    pid=$(pgrep -of "$room.* serve") &&
        measuring "$(ps -o pgid= "$pid" | tr -d ' ')"
}

interrupted() { # SIGNAL CMD...
    start bench env TMPDIR="$room" BENCH_TREE=synthetic-1000 \
        BENCH_ROUNDS=100000 "${@:2}"
    wait_until 60 busy
    kill -"$1" "$PID"
    wait_until 60 gone "$PID"
    assert_eq "$(mounts_below "$room")" "" "mounts after $1 to ${*:2}"
    assert_eq "$(processes)" "" "processes after $1 to ${*:2}"
    assert_eq "$(ls -A "$room")" "" "files after $1 to ${*:2}"
}
export SCORPIO_SRC SCORPIO_BUILD
interrupted TERM "$SCORPIO_SRC/tests/bench/run" warm
interrupted HUP bash "$SCORPIO_SRC/tests/bench/warm.sh"
