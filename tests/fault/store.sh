#!/bin/bash
# timeout: 200
# The store is damaged, full, or gone: it costs time, never a wrong byte
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git python3 jq

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
for i in $(seq 1 200); do
    head -c 20000 /dev/urandom >"$SCRATCH/repo/d/r$i"
    seq "$i" 3000 >"$SCRATCH/repo/d/s$i"
done
git_commit "$SCRATCH/repo" files
publish "$SCRATCH/repo" repo.git
start_fault_server "$SCRATCH/www"
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m" "$SCRATCH/repo"
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
assert_same_tree "$SCRATCH/m" "$SCRATCH/repo"
daemon_answers || fail "the daemon died of a damaged store"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

# something else altogether in its place
head -c 300000 /dev/urandom >"$db"
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m" "$SCRATCH/repo"
scorpio_cli umount "$SCRATCH/m"
stop_daemon
