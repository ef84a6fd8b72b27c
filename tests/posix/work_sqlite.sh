#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SQLite in a workspace: two writers at once with each kind of journal, a
# writer killed in the middle, and the database after a new mount
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
python3 -c 'import sqlite3' 2>/dev/null || skip "needs python3 with sqlite3"
small_mount
stress() { python3 "$TESTLIB/sqlite_stress.py" "$@"; }
n=${WORK_N:-150}

mkdir "$M/db"
for mode in wal delete truncate persist; do
    db=$M/db/$mode
    stress "$db" $mode init 0
    start "one-$mode" python3 "$TESTLIB/sqlite_stress.py" "$db" $mode one "$n"
    one=$PID
    stress "$db" $mode two "$n"
    wait "$one" || fail "$mode: the first writer failed"
    assert_eq "$(stress "$db" $mode check 0)" $((2 * n)) "notes ($mode)"
    # killed inside a transaction: it never happened
    start "killed-$mode" python3 "$TESTLIB/sqlite_stress.py" "$db" $mode lost 1 hold
    wait_until 20 grep -q open "$SCRATCH/killed-$mode.log"
    stop "$PID" KILL || true
    assert_eq "$(stress "$db" $mode check 0)" $((2 * n)) "after a kill ($mode)"
done
rw_remount "$REPO" "$M"
for mode in wal delete truncate persist; do
    assert_eq "$(stress "$M/db/$mode" $mode check 0)" $((2 * n)) \
        "after a new mount ($mode)"
done
