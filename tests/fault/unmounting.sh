#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mount ends while workers are at it, each at another point: nothing of it goes
# before the last of them has left it
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root fuse git cc

git_repo "$SCRATCH/repo"
echo content >"$SCRATCH/repo/file"
git_commit "$SCRATCH/repo" file
cc -shared -fPIC -O1 -o "$SCRATCH/late.so" "$TESTLIB/preload/lateworker.c" -ldl
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
    LD_PRELOAD=$SCRATCH/late.so start_daemon --no-keeper --set fs.workers=3
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m"
assert_eq "$(cat "$m/file")" content
within 60 scorpio_cli umount "$m"
# the slowest worker is back by then
! poll_until 3 gone "$DAEMON_PID" || fail "the daemon ended"
mount_source "$SCRATCH/repo" "$m"
umount "$m" # from outside
noticed() { ! scorpio_cli list | grep -q "$m"; }
wait_until 60 noticed
! poll_until 3 gone "$DAEMON_PID" || fail "the daemon ended"
mount_source "$SCRATCH/repo" "$m"
assert_eq "$(cat "$m/file")" content
