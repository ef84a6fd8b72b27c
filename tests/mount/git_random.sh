#!/bin/bash
# random edits of files and directories: git status in a workspace, which asks
# the monitor, is at any moment what git finds when it looks itself, and what
# it says in a plain clone with the same edits
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git python3

start_daemon
gitwork_seed "$SCRATCH/src"
git clone -q --bare "$SCRATCH/src" "$SCRATCH/origin.git"
W=$SCRATCH/w
C=$SCRATCH/c
gitwork_mount "$SCRATCH/origin.git" "$W"
git clone -q "$SCRATCH/origin.git" "$C"
seed=${SCORPIO_SEED:-$RANDOM}
note "seed $seed"
within 300 python3 "$TESTLIB/git_random.py" "$W" "$C" "$seed" \
    "${SCORPIO_ROUNDS:-150}"
same_state "random edits"
[ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck finds something"
