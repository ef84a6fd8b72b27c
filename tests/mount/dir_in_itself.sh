#!/bin/bash
# A directory mounted inside itself: the mount shows as an empty directory, a
# walk ends, and devices and pipes are left out
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse scorpio
src=$SCRATCH/src
mkdir -p "$src/a/b" "$src/view"
echo text >"$src/a/b/file"
mkfifo "$src/pipe"
start_daemon
mount_source "dir+$src" "$src/view"
assert_eq "$(cat "$src/view/a/b/file")" text "a file"
got=$(cd "$src/view" && timeout 20 find . | sort | tr '\n' ' ')
assert_eq "$got" ". ./a ./a/b ./a/b/file ./view " "the tree"
