#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# The disk of a workspace is full: writes say so, what is there stays readable
# and can be removed, and then writing works again; nothing is lost
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root fuse git

git_repo "$SCRATCH/repo"
echo small >"$SCRATCH/repo/small"
head -c 1000000 /dev/urandom >"$SCRATCH/repo/big"
git_commit "$SCRATCH/repo" files
mkdir "$SCRATCH/disk" "$SCRATCH/store"
mount -t tmpfs -o size=24m tmpfs "$SCRATCH/disk"
at_exit umount -l "$SCRATCH/disk"
write_config
mkdir -p "$DAEMON_STORE"
chmod 700 "$DAEMON_STORE"
ln -s "$SCRATCH/disk" "$DAEMON_STORE/workspaces"
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --rw

echo kept >"$m/kept"
cat "$m/big" >/dev/null
code=0
head -c 60000000 /dev/zero >"$m/much" 2>"$SCRATCH/err" || code=$?
assert_eq "$code" 1 "writing more than there is room for"
assert_contains "$(cat "$SCRATCH/err")" "No space left on device"
if echo change >>"$m/big" 2>"$SCRATCH/err"; then
    fail "a file was copied up without room"
fi
assert_contains "$(cat "$SCRATCH/err")" "No space left on device"
cmp "$m/big" "$SCRATCH/repo/big"
assert_eq "$(cat "$m/kept" "$m/small")" "kept
small"
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
