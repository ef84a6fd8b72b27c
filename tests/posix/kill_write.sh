#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# kill -9 of the daemon in the middle of one large write: what the call said it
# wrote before the end came is there, byte for byte, and the file's size is not
# one that was never asked for.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git python3
REPO=$SCRATCH/repo
M=$SCRATCH/m
git_repo "$REPO"
head -c 1000000 /dev/zero | tr '\0' x >"$REPO/big"
git_commit "$REPO" big
start_daemon
rw_mount "$REPO" "$M"

# Writes of 300 000 bytes, at offsets that are no page's, until there is an
# error; after each the acknowledged size goes to a file of ours.
cat >"$SCRATCH/writer.py" <<'END_PY'
import os, sys
path, log = sys.argv[1:]
base = bytes(i * i % 251 for i in range(65521)) * 6
def data(at, n):
    return base[at % 65521:at % 65521 + n]
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
if os.path.exists(path):
    os.truncate(path, 333) # it shrinks before it grows again
fd = os.open(path, os.O_WRONLY | os.O_CREAT)
at = 0
try:
    while at < 1 << 28:
        at += os.pwrite(fd, data(at, 300000), at)
        os.pwrite(out, b'%12d\n' % at, 0)
except OSError as e:
    print('ended by', e)
END_PY
check() { # FILE - it begins with what was acknowledged
    python3 - "$1" "$(cat "$SCRATCH/acked")" <<'END_PY'
import os, sys
path, acked = sys.argv[1], int(sys.argv[2])
got = open(path, 'rb').read()
want = bytes(i * i % 251 for i in range(65521)) * (len(got) // 65521 + 1)
if len(got) < acked:
    sys.exit('%d bytes of %d acknowledged' % (len(got), acked))
if len(got) > acked + 300000:
    sys.exit('%d bytes, %d acknowledged' % (len(got), acked))
if not want.startswith(got[:acked]):
    sys.exit('the first bytes are not what was acknowledged')
END_PY
}
wrote() { # BYTES
    [ "$(cat "$SCRATCH/acked" 2>/dev/null || echo 0)" -ge "$1" ]
}

for i in 1 2 3 4; do
    # a new file, one of the revision, one that was killed before
    f=$M/$([ $((i % 2)) -eq 1 ] && echo "killed" || echo "big")
    rm -f "$SCRATCH/acked"
    start writer python3 "$SCRATCH/writer.py" "$f" "$SCRATCH/acked"
    pid=$PID
    wait_until 60 wrote $((i * 400000))
    kill_daemon
    wait_until 60 gone "$pid"
    grep -q "ended by" "$SCRATCH/writer.log" || fail "no end: round $i"
    revive "$REPO" "$M"
    check "$f" || fail "round $i: $f"
done
