#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# The disk of a workspace turns read-only while it is used, as ext4 does after
# an error: every change says so, all stays readable, and what was acknowledged
# is there when the disk is well again. A workspace whose disk is read-only
# from the beginning is not mounted, and says why.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root fuse git mkfs.ext4

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo small >"$SCRATCH/repo/small"
echo other >"$SCRATCH/repo/d/other"
git_commit "$SCRATCH/repo" files
disk=$SCRATCH/disk
mkdir "$disk"
truncate -s 64M "$SCRATCH/image"
mkfs.ext4 -q "$SCRATCH/image"
mount_disk() {
    mount -o loop,errors=remount-ro "$SCRATCH/image" "$disk" 2>/dev/null
}
mount_disk || skip "no loop devices"
at_exit unmount_lazily "$disk"
write_config
mkdir -p "$DAEMON_STORE" "$disk/ws"
chmod 700 "$DAEMON_STORE"
ln -s "$disk/ws" "$DAEMON_STORE/workspaces"
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w

echo kept >"$m/kept"
echo more >>"$m/small"
mv "$m/d/other" "$m/moved"
ln "$m/kept" "$m/twice"
sync -f "$disk" # what a device holds is not the daemon's promise
mount -o remount,abort "$disk"

refused() { # CMD...
    assert_fails "$@"
    assert_contains "$OUTPUT" "Read-only file system" "$*"
}
refused bash -c "echo x >>'$m/kept'"
refused bash -c "echo x >'$m/new'"
refused bash -c "echo x >>'$m/moved'" # has to be copied up
refused mkdir "$m/dir"
refused mv "$m/kept" "$m/gone"
refused rm -f "$m/small"
refused ln "$m/small" "$m/link"
refused chmod 600 "$m/kept"
refused touch -d @1000 "$m/d"
refused truncate -s 1 "$m/small"
all() { # what must be there before and after
    cat "$m/kept" "$m/twice" "$m/small" "$m/moved"
    ls "$m" "$m/d"
    stat -c '%n %h %s %a' "$m/kept" "$m/small" "$m/moved"
}
all >"$SCRATCH/during"
assert_eq "$(head -n 5 "$SCRATCH/during" | xargs)" "kept kept small more other"
[ ! -e "$m/new" ] && [ ! -e "$m/dir" ] || fail "a refused name is there"

# unmounting works all the same; then the workspace cannot be used
within 60 scorpio_cli umount "$m" || fail "umount"
assert_fails within 60 scorpio_cli mount "$SCRATCH/repo" "$m" --workspace w
assert_contains "$OUTPUT" "Read-only file system" "mount on a read-only disk"
assert_contains "$OUTPUT" "/w" "which workspace"
assert_fails within 60 scorpio_cli mount "$SCRATCH/repo" "$m" --workspace n
assert_contains "$OUTPUT" "Read-only file system" "a new one on a read-only disk"
is_mounted "$m" && fail "mounted although it failed"

# repaired: as it was, and writable
wait_until 20 umount "$disk"
e2fsck -fy "$SCRATCH/image" >"$SCRATCH/fsck.log" 2>&1 || [ $? -le 1 ] ||
    fail "fsck"
mount_disk || fail "the disk does not come back"
mount_source "$SCRATCH/repo" "$m" --workspace w
all >"$SCRATCH/after"
diff "$SCRATCH/during" "$SCRATCH/after" || fail "something was lost"
echo again >>"$m/kept"
assert_eq "$(tail -n 1 "$m/twice")" again
