#!/bin/bash
# files of Git LFS in a mount: the true sizes without a download, the content
# when it is read, checked; a workspace of them is clean for stock git
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"

lfs_world
assert_eq "$(lfs_stat uploads)" 4 "objects that git lfs uploaded"
lfs_reset
start_daemon

note "names, modes and true sizes, and nothing was downloaded"
M=$SCRATCH/m
mount_source "$LFS_URL/origin.git" "$M"
assert_eq "$(stat -c %s "$M/src/b.bin")" 3000000 "the first size"
describe_tree "$M" >"$SCRATCH/got"
describe_tree "$SRC" >"$SCRATCH/wanted"
diff -u "$SCRATCH/wanted" "$SCRATCH/got" || fail "the tree looks different"
assert_eq "$(stat -c %s "$M/src/b.bin")" 3000000 size
assert_eq "$(lfs_stat downloads)" 0 "downloads for sizes"
assert_eq "$(lfs_stat batches)" 0 "batches for sizes"

note "content, when it is read"
cmp "$M/a.bin" "$SRC/a.bin"
assert_eq "$(lfs_stat downloads)" 1 "downloads for one file"
cmp "$M/src/same.bin" "$SRC/a.bin"
assert_same_tree "$M" "$SRC"
assert_eq "$(getfattr --only-values -n user.sha256 "$M/a.bin")" \
    "$(oid_of "$SRC/a.bin")" "the digest"

note "a workspace is clean for stock git"
W=$SCRATCH/w
gitwork_mount "$LFS_URL/origin.git" "$W"
assert_eq "$(git -C "$W" status --porcelain)" "" "status"
touch "$W/a.bin" "$W/src/x.c"
assert_eq "$(git -C "$W" status --porcelain)" "" "status after a touch"
assert_same_tree "$W" "$SRC"
assert_eq "$(git -C "$W" diff --stat)" "" "diff"
assert_eq "$(git -C "$W" lfs ls-files -l | cut -c1-64 | sort -u | wc -l)" 4 \
    "git lfs ls-files"

note "after a restart, from the store alone"
echo mine >"$W/mine" # a workspace without changes is made anew
kill "$LFS_PID"
wait_until 10 gone "$LFS_PID"
stop_daemon
start_daemon
wait_until 20 test -e "$W/mine"
rm "$W/mine"
assert_same_tree "$W" "$SRC"
