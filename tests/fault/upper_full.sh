#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# The disk of a workspace is full: writes say so, what is there stays readable
# and can be removed, and then writing works again; nothing is lost. With
# UPPER_LIMIT=quota it is a quota that is used up (upper_quota.sh).
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root fuse git

git_repo "$SCRATCH/repo"
echo small >"$SCRATCH/repo/small"
head -c 1000000 /dev/urandom >"$SCRATCH/repo/big"
git_commit "$SCRATCH/repo" files
mkdir "$SCRATCH/disk" "$SCRATCH/store"
disk=$SCRATCH/disk
if [ "${UPPER_LIMIT:-}" = quota ]; then
    PATH=$PATH:/usr/sbin:/sbin
    requires mkfs.btrfs btrfs
    truncate -s 256M "$SCRATCH/image"
    mkfs.btrfs -q "$SCRATCH/image" >/dev/null
    mount -t btrfs -o loop "$SCRATCH/image" "$disk" 2>/dev/null ||
        skip "cannot mount btrfs here"
    at_exit umount -l "$disk"
    btrfs -q subvolume create "$disk/limited"
    btrfs quota enable "$disk"
    btrfs qgroup limit 24M "$disk/limited"
    disk=$disk/limited
    text="Disk quota exceeded"
    # its quota counts what a removal writes, too: with the quota room comes back
    more_room() { btrfs qgroup limit 100M "$disk"; }
else
    mount -t tmpfs -o size=24m tmpfs "$disk"
    at_exit umount -l "$disk"
    text="No space left on device"
    more_room() { true; }
fi
write_config
mkdir -p "$DAEMON_STORE"
chmod 700 "$DAEMON_STORE"
ln -s "$disk" "$DAEMON_STORE/workspaces"
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --rw

echo kept >"$m/kept"
cat "$m/big" >/dev/null
code=0
head -c 60000000 /dev/zero >"$m/much" 2>"$SCRATCH/err" || code=$?
assert_eq "$code" 1 "writing more than there is room for"
assert_contains "$(cat "$SCRATCH/err")" "$text"
if echo change >>"$m/big" 2>"$SCRATCH/err"; then
    fail "a file was copied up without room"
fi
assert_contains "$(cat "$SCRATCH/err")" "$text"
cmp "$m/big" "$SCRATCH/repo/big"
assert_eq "$(cat "$m/kept" "$m/small")" "kept
small"
more_room
# names and attributes still change: that is how room is made
mv "$m/kept" "$m/kept2"
rm "$m/much"
room() { echo change 2>/dev/null >>"$m/big"; }
poll_until 20 room || fail "no room although the file is gone"
head -c 1000000 "$m/big" | cmp - "$SCRATCH/repo/big"
assert_eq "$(tail -n 1 "$m/big" | tail -c 7)" change
within 60 scorpio_cli umount "$m"
mount_source "$SCRATCH/repo" "$m" --rw
assert_eq "$(cat "$m/kept2")" kept
[ ! -e "$m/much" ] || fail "a removed file came back"
assert_eq "$(tail -n 1 "$m/big" | tail -c 7)" change
