#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
# A workspace in which many inodes (WS_NODES, 24 000; tests/proof/ws_million.sh: a
# million) were touched, three quarters made and one quarter changed attributes
# of the revision's: memory for each, given back at unmount; time to come back
# after kill -9 and after unmount, and that all is there.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git python3

nodes=${WS_NODES:-24000}
git_repo "$SCRATCH/repo"
dirs=$((nodes / 4000))
# the revision: that many directories of 1000 empty files, by one shared tree
blob=$(git -C "$SCRATCH/repo" hash-object -w /dev/null)
tree=$(seq -f "100644 blob $blob	f%04.0f" 0 999 |
    git -C "$SCRATCH/repo" mktree)
top=$(seq -f "040000 tree $tree	d%04.0f" 0 $((dirs - 1)) |
    git -C "$SCRATCH/repo" mktree)
git -C "$SCRATCH/repo" update-ref refs/heads/main \
    "$(GIT_AUTHOR_DATE="$COMMIT_TIME +0000" \
    GIT_COMMITTER_DATE="$COMMIT_TIME +0000" \
    git -C "$SCRATCH/repo" commit-tree -m many "$top")"
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w
own() { # memory that is the daemon's own, KiB
    awk '/^RssAnon|^RssShmem/ { s += $2 } END { print s }' \
        "/proc/$(daemon_process)/status"
}
idle=$(own)
begin=$(now_ms)
python3 - "$m" "$dirs" <<'END_PY'
import os, sys
top, dirs = sys.argv[1], int(sys.argv[2])
for d in range(dirs):
    for f in range(1000):
        os.chmod('%s/d%04d/f%04d' % (top, d, f), 0o600)
    for n in 'xyz':
        new = '%s/%s%04d' % (top, n, d)
        os.mkdir(new)
        for f in range(999):
            os.mknod('%s/g%04d' % (new, f), 0o100640)
END_PY
took=$(($(now_ms) - begin))
full=$(own)
note "$nodes touched in $took ms, $((nodes * 1000 / took)) a second"
note "own memory $idle -> $full KiB, $(((full - idle) * 1024 / nodes)) bytes" \
    "each, with what the kernel still knows"
note "log and checkpoint: $(du -sk --exclude=upper \
    "$DAEMON_STORE/workspaces/w" | cut -f1) KiB"

check() { # WHEN
    python3 - "$m" "$dirs" <<'END_PY' || fail "$1"
import os, sys
top, dirs = sys.argv[1], int(sys.argv[2])
bad = 0
for d in range(dirs):
    for n, first, count, mode in (('d', 'f', 1000, 0o600),
                                  ('x', 'g', 999, 0o640),
                                  ('y', 'g', 999, 0o640),
                                  ('z', 'g', 999, 0o640)):
        path = '%s/%s%04d' % (top, n, d)
        with os.scandir(path) as it:
            got = {e.name: e.stat().st_mode & 0o777 for e in it}
        want = {'%s%04d' % (first, i): mode for i in range(count)}
        if got != want:
            bad += 1
            print(path, len(got))
sys.exit(bad != 0)
END_PY
}
back() {
    mount_answers "$m"
}
kill_daemon
is_mounted "$m" && unmount_lazily "$m"
begin=$(now_ms)
start_daemon
wait_until 300 back
note "back $(($(now_ms) - begin)) ms after kill -9, own memory $(own) KiB," \
    "$((($(own) - idle) * 1024 / nodes)) bytes each"
check "after kill -9"
echo more >"$m/d0000/f0000"
begin=$(now_ms)
within 300 scorpio_cli -q umount "$m" || fail "umount"
empty=$(own)
note "unmounted in $(($(now_ms) - begin)) ms, own memory $empty KiB"
begin=$(now_ms)
within 300 scorpio_cli -q mount "$SCRATCH/repo" "$m" --workspace w ||
    fail "mount"
note "mounted again in $(($(now_ms) - begin)) ms, own memory $(own) KiB"
check "after a new mount"
assert_eq "$(cat "$m/d0000/f0000")" more
again=$(own)
note "looked at again: own memory $again KiB"
[ "$SLOW" -eq 1 ] || exit 0 # sanitizers keep what was freed
# a changed inode, its name and its path; what the daemon itself takes on
assert_le $(((full - idle) * 1024 / nodes)) $((450 + 200000000 / nodes)) \
    "bytes of memory for one touched inode"
assert_le $(((again - idle) * 1024 / nodes)) $((480 + 200000000 / nodes)) \
    "bytes of memory for one touched inode, mounted again"
assert_le $(((empty - idle) * 1024 / nodes)) $((40 + 120000000 / nodes)) \
    "bytes of memory for one touched inode when it is unmounted"
