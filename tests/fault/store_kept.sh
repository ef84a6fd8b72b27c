#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 150
# The structure of the store's file is damaged while it is in use. The daemon goes
# on with a new one, takes over what can still be read, pins first, and then all of
# it is there without the server
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d/e
for i in $(seq 1 150); do
    head -c $((i * 200)) /dev/urandom >"$REPO/d/r$i"
    seq "$i" 2000 >"$REPO/d/e/s$i"
done
echo late >"$REPO/late"
serve_repo
start_daemon --no-keeper
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"
(cd "$m/d" && find . -type f -exec cat {} + >/dev/null)
scorpio_cli cache pin kept "$m/d"
log=$SCRATCH/daemon-$DAEMON_PORT.log

# the list of free pages, which the writer looks at before it writes
python3 - "$DAEMON_STORE/data.mdb" <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    head = f.read(8192)
    page = struct.unpack_from("<I", head, 40)[0]
    f.seek(0)
    roots = [f.read(page) for _ in range(2)]
    newest = max(roots, key=lambda r: struct.unpack_from("<Q", r, 144)[0])
    free = struct.unpack_from("<Q", newest, 80)[0]
    if free >= 1 << 62:
        sys.exit("nothing is free")
    f.seek(free * page)
    f.write(b"\xff" * page)
END
assert_eq "$(cat "$m/late")" late "a new file"
taken_over() { grep -q 'taken over from .* chunks"' "$log"; }
poll_until 60 taken_over || fail "nothing was taken over"
grep 'area=store' "$log"
assert_eq "$(scorpio_cli cache pins --json | jq -r '.pins[].name')" kept "the pins"
[ "$(find "$DAEMON_STORE" -name 'store.damaged-*' | wc -l)" = 1 ] ||
    fail "the damaged file is not there"

# mounted anew, for the kernel knows the files; no server is asked
scorpio_cli umount "$m"
stop_daemon
sed -i '1i offline = true' "$DAEMON_CONFIG"
start_daemon --no-keeper
mount_source "$FAULT_URL/repo.git" "$m"
assert_same_tree "$m" "$REPO"
assert_eq "$(cat "$m/late")" late "the last one"
assert_eq "$(scorpio_cli cache pins --json | jq -r '.pins[].name')" kept \
    "the pins, later"
scorpio_cli umount "$m"
