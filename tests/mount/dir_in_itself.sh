#!/bin/bash
# A directory mounted inside itself: the mount shows as an empty directory, a
# walk ends, and devices and pipes are left out
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse scorpio getfattr
src=$SCRATCH/src
mkdir -p "$src/a/b" "$src/view"
echo text >"$src/a/b/file"
mkfifo "$src/pipe"
start_daemon
mount_source "dir+$src" "$src/view"
assert_eq "$(cat "$src/view/a/b/file")" text "a file"
got=$(cd "$src/view" && timeout 20 find . | sort | tr '\n' ' ')
assert_eq "$got" ". ./a ./a/b ./a/b/file ./view " "the tree"

# it comes back with the next daemon, by the text of its revision
rev=$(getfattr --only-values -n user.scorpio.rev "$src/view" 2>/dev/null)
assert_eq "${#rev}" 64 "digits of the revision"
stop_daemon
start_daemon
reads() { [ "$(cat "$src/view/a/b/file" 2>/dev/null)" = text ]; }
wait_until 60 reads
assert_eq "$(getfattr --only-values -n user.scorpio.rev "$src/view")" "$rev"
