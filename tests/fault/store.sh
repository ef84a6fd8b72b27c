#!/bin/bash
# timeout: 200
# The store is damaged, full, or gone: it costs time, never a wrong byte
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d
for i in $(seq 1 200); do
    head -c 20000 /dev/urandom >"$REPO/d/r$i"
    seq "$i" 3000 >"$REPO/d/s$i"
done
serve_repo
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m" "$REPO"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

# bytes flipped all over the file, past its two head pages
db=$(find "$DAEMON_STORE" -name '*.mdb' ! -name 'lock*' -size +64k -print -quit)
[ "$db" ] || fail "no database in $DAEMON_STORE"
flip() { # FIRST STEP
    python3 - "$db" "$1" "$2" <<'END'
import os, sys
path, at, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(path, "r+b") as f:
    size = os.fstat(f.fileno()).st_size
    while at < size:
        f.seek(at)
        b = f.read(1)
        f.seek(at)
        f.write(bytes([b[0] ^ 0x10]))
        at += step
END
}
flip 100000 65521
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m" "$REPO"
daemon_answers || fail "the daemon died of a damaged store"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

# made shorter under a daemon that reads it in place: it goes on with a new one
start_daemon --no-keeper
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
cat "$SCRATCH/m/d/r1" >/dev/null
log=$SCRATCH/daemon-$DAEMON_PORT.log
truncate -s 8192 "$db"
within 60 diff -r "$SCRATCH/m" "$REPO" -x .git ||
    fail "a reader saw that the store's file became shorter"
kill -0 "$DAEMON_PID" || fail "the daemon ended"
assert_contains "$(cat "$log")" "the store was damaged" "the log"

# where nothing is left of it that is the end of the process, in words; the next
# one brings the mount back and fetches again
scorpio_cli umount "$SCRATCH/m"
stop_daemon
start_daemon --no-keeper
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
cat "$SCRATCH/m/d/r1" >/dev/null
log=$SCRATCH/daemon-$DAEMON_PORT.log
truncate -s 0 "$db"
code=0
within 60 diff -r "$SCRATCH/m" "$REPO" -x .git >/dev/null 2>&1 || code=$?
[ "$code" -ne 0 ] || fail "all was read from a file that has gone"
code=0
stop "$DAEMON_PID" || code=$?
assert_eq "$code" 135 "the daemon's exit code (128 + SIGBUS)"
cat "$log"
assert_contains "$(cat "$log")" "why: a file that it reads in place" "last words"
start_daemon
m_is_back() { stat -f "$SCRATCH/m" && is_mounted "$SCRATCH/m"; }
wait_until 30 m_is_back
assert_same_tree "$SCRATCH/m" "$REPO"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

# under a keeper nobody notices: the next process brings all of it again
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
cat "$SCRATCH/m/d/r1" >/dev/null
truncate -s 0 "$db"
within 60 diff -r "$SCRATCH/m" "$REPO" -x .git ||
    fail "a reader saw that the store's file became shorter"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

# something else altogether in its place
head -c 300000 /dev/urandom >"$db"
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m" "$REPO"
scorpio_cli umount "$SCRATCH/m"
stop_daemon
