#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Git repository of one's own inside a workspace: every file operation of
# git's own (not the workspace's .git: that is tests/git's)
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
small_mount

dated() { # EPOCH GIT-ARGS...
    local when="$1 +0000"
    shift
    GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when git "$@"
}

work() { # DIR - the same history anywhere
    local d=$1 i
    git_repo "$d"
    cp -r "$TWIN"/{src,include,docs,Makefile,run.sh} "$d/"
    ln -s run.sh "$d/link"
    git_commit "$d" one
    git -C "$d" checkout -q -b side
    for i in {1..10}; do
        echo "/* side */" >>"$d/src/f$i.c"
        git -C "$d" mv "docs/deep/er/text$i" "docs/moved$i"
    done
    git_commit "$d" side 1700000100
    git -C "$d" checkout -q main
    [ ! -e "$d/docs/moved1" ] || fail "checkout left a file"
    sed -i 's/STEP 1/STEP 2/' "$d/include/common.h"
    chmod -x "$d/run.sh"
    git -C "$d" rm -q -r docs/deep/er/text2{0..9}
    git_commit "$d" main 1700000200
    dated 1700000300 -C "$d" merge -q side -m merge
    echo stash >>"$d/Makefile"
    dated 1700000300 -C "$d" stash -q
    git -C "$d" stash pop -q
    git -C "$d" checkout -q Makefile
    git -C "$d" checkout -q -b again HEAD~1
    dated 1700000400 -C "$d" rebase -q side
    git -C "$d" gc -q --prune=now
    git -C "$d" fsck --full --strict --no-dangling
    [ -z "$(git -C "$d" status --porcelain)" ] ||
        fail "not clean: $(git -C "$d" status --porcelain | head -n 5)"
}
work "$SCRATCH/native"
work "$M/own"
assert_eq "$(git -C "$M/own" rev-parse main side again)" \
    "$(git -C "$SCRATCH/native" rev-parse main side again)" "commits"
assert_same_tree "$M/own" "$SCRATCH/native"
# clones out of it, into it and within it (with hard links)
git clone -q "$M/own" "$SCRATCH/out"
git clone -q "$SCRATCH/native" "$M/in"
git clone -q "$M/own" "$M/within"
for d in "$SCRATCH/out" "$M/in" "$M/within"; do
    git -C "$d" fsck --full --no-dangling
    assert_same_tree "$d" "$SCRATCH/native"
done
git -C "$M/own" worktree add -q "$M/tree2" side
assert_eq "$(git -C "$M/tree2" status --porcelain)" ""
rw_remount "$REPO" "$M"
git -C "$M/own" fsck --full --no-dangling
assert_eq "$(git -C "$M/own" status --porcelain)" "" "after a new mount"
assert_eq "$(git -C "$M/tree2" status --porcelain)" "" "worktree, new mount"
rm -r "$M/own" "$M/in" "$M/within" "$M/tree2"
