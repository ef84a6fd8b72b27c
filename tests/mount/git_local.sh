#!/bin/bash
# stock git in a workspace of a repository of this machine: everything a day
# brings, compared with a plain clone that gets the same
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git

start_daemon
gitwork_seed "$SCRATCH/src"
git clone -q --bare "$SCRATCH/src" "$SCRATCH/origin.git"
W=$SCRATCH/w
C=$SCRATCH/c
gitwork_mount "$SCRATCH/origin.git" "$W"
git clone -q "$SCRATCH/origin.git" "$C"

note "first status: clean, no file and no directory looked at"
first_status_is_free "$W"
assert_eq "$(git -C "$W" branch -vv)" "$(git -C "$C" branch -vv)" branches
assert_eq "$(git -C "$W" rev-parse --abbrev-ref '@{u}')" origin/main upstream
[ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck finds something"

a_day

note "a work tree beside"
work_tree_beside

note "push, and a fetch by another clone"
push_and_pull

note "unmounted and mounted again: everything goes on"
echo staged >>"$W/a.txt"
git -C "$W" add a.txt
echo open >>"$W/README"
before=$(git -C "$W" status --short)
within 60 scorpio_cli umount "$W"
gitwork_mount "$SCRATCH/origin.git" "$W"
assert_eq "$(git -C "$W" status --short)" "$before" "status after a remount"
assert_eq "$(git -C "$W" log -1 --format=%s)" elsewhere "log after a remount"
before=$(git -C "$W" status --short)
stop_daemon KILL
unmount_lazily "$W"
start_daemon
wait_until 20 is_mounted "$W"
wait_git "$W"
echo after >"$W/after"
assert_eq "$(git -C "$W" status --short)" "$before
?? after" "status after kill -9"

note "nothing is kept of a workspace in which nothing was done"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
dir=$(dirname "$(git -C "$SCRATCH/w2" rev-parse --git-dir)")
git -C "$SCRATCH/w2" status >/dev/null
within 60 scorpio_cli umount "$SCRATCH/w2"
[ ! -e "$dir" ] || fail "$dir is left"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
git -C "$SCRATCH/w2" commit -q --allow-empty -m precious
within 60 scorpio_cli umount "$SCRATCH/w2"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
assert_eq "$(git -C "$SCRATCH/w2" log -1 --format=%s)" precious "a commit"

note "read-only views and directories of a repository have no .git"
mount_source "$SCRATCH/origin.git" "$SCRATCH/ro"
[ ! -e "$SCRATCH/ro/.git" ] || fail "a .git in a view"
mount_source "$SCRATCH/origin.git" "$SCRATCH/sub" --rw --subdir dir
assert_contains "$(git_state "$SCRATCH/sub")" "whole repositories" state
