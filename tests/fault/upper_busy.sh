#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Unmounting a workspace somebody writes in: refused, with his name, and he goes
# on; lazily it goes at once: he is told, and what he wrote until then is there
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git python3

git_repo "$SCRATCH/repo"
seq 1000 >"$SCRATCH/repo/numbers"
git_commit "$SCRATCH/repo" files
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w

exec 8>>"$m/numbers" 7>"$m/removed"
rm "$m/removed"
echo one >&8
assert_fails within 20 scorpio_cli umount "$m"
assert_contains "$OUTPUT" "in use"
assert_contains "$OUTPUT" "(pid $$)"
echo two >&8 || fail "the refused umount broke an open file"
echo mapped and gone >&7 || fail "the refused umount broke a removed file"
mkdir "$m/new" || fail "the refused umount broke the mount"

# twice at the same time, and a writer that never rests
python3 - "$m/busy" <<'END_PY' &
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for i in range(3000):
    os.pwrite(fd, b'%07d\n' % i, i * 8)
END_PY
writer=$!
wait_until 20 test -s "$m/busy"
assert_fails within 20 scorpio_cli umount "$m"
assert_fails within 20 scorpio_cli umount "$m"
wait "$writer" || fail "a writer failed while the mount was busy"

# lazily: the open file fails from now on, and says so
within 20 scorpio_cli umount --lazy "$m"
is_mounted "$m" && fail "still mounted"
want="one two"
if echo three >&8; then
    want="$want three" # acknowledged is acknowledged
fi
exec 7>&- 8>&-
again() {
    within 20 scorpio_cli mount "$SCRATCH/repo" "$m" --workspace w
}
wait_until 30 again
assert_eq "$(sed 1,1000d "$m/numbers" | xargs)" "$want"
[ -d "$m/new" ] && [ ! -e "$m/removed" ] || fail "names were lost"
seq -f %07.0f 0 2999 | cmp - "$m/busy" || fail "writes were lost"
