#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that coordinate through files in a workspace: flock(1), dot locks,
# directories as locks, appending logs, tail -f, fifos
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires flock
small_mount
cd "$M"
n=100

count() { # HOW: n times under a lock, one to the number in `counter`
    local i
    for ((i = 0; i < n; i++)); do
        case $1 in
        flock)
            exec 9>>lock
            flock 9
            echo $(($(<counter) + 1)) >counter
            exec 9>&- ;;
        mkdir)
            until mkdir dirlock 2>/dev/null; do :; done
            echo $(($(<counter) + 1)) >counter
            rmdir dirlock ;;
        link)
            echo $BASHPID >"mine.$BASHPID"
            until ln "mine.$BASHPID" held 2>/dev/null; do :; done
            echo $(($(<counter) + 1)) >counter
            rm held ;;
        rename) # who gets the token has it
            until mv -T token "have.$BASHPID" 2>/dev/null; do :; done
            echo $(($(<"have.$BASHPID") + 1)) >"have.$BASHPID"
            mv -T "have.$BASHPID" token ;;
        esac
        echo "$1 $BASHPID $i a line long enough to be torn if it could" >>log
    done
}
echo 0 >token
total=0
for how in flock mkdir link rename; do
    [ "$how" != rename ] || n=40
    echo 0 >counter
    count $how & a=$!
    count $how & b=$!
    count $how & c=$!
    wait $a && wait $b && wait $c || fail "$how: a process failed"
    [ $how = rename ] && cp token counter
    assert_eq "$(<counter)" $((3 * n)) "counted with $how"
    total=$((total + 3 * n))
done
assert_eq "$(wc -l <log)" $total "lines of the log"
assert_eq "$(grep -cv ' torn if it could$' log || true)" 0 "torn lines"

# flock ends with its owner; others wait with a time limit
start holder bash -c 'exec 9>>lock; flock 9; exec sleep 60'
wait_until 10 bash -c '! flock -n lock true'
assert_fails flock -n lock true
stop "$PID" KILL || true
within 10 flock lock true

# a follower sees what is appended, and a reader of a fifo what is written
start follower tail -n0 -F log
# shellcheck disable=SC2016
wait_until 10 bash -c 'echo "the last line" >>log
    grep -q "the last line" "$1"' - "$SCRATCH/follower.log"
stop "$PID" || true
mkfifo fifo
seq 50000 >fifo &
writer=$!
assert_eq "$(sha256sum <fifo)" "$(seq 50000 | sha256sum)" "through a fifo"
wait $writer
cd "$SCRATCH"
