#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# The daemon dies at each single step that `scorpio switch` takes in a git
# repository: afterwards files, HEAD and index are of one revision, nothing of
# ours is left lying, and the next switch works
# shellcheck disable=SC2154 # git_dir: gitwork_pair
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
. "$TESTLIB/survive.sh"
requires fuse git cc

gitwork_seed "$SCRATCH/src"
git -C "$SCRATCH/src" checkout -q -b feature HEAD~1
mkdir "$SCRATCH/src/fresh"
echo new >"$SCRATCH/src/fresh/f"
git -C "$SCRATCH/src" add -A
git -C "$SCRATCH/src" commit -qm feature
git -C "$SCRATCH/src" checkout -q main
git clone -q --bare "$SCRATCH/src" "$SCRATCH/origin.git"
FEATURE=$(git -C "$SCRATCH/src" rev-parse feature)
MAIN=$(git -C "$SCRATCH/src" rev-parse main)

cc -shared -fPIC -O1 -o "$SCRATCH/crash.so" "$TESTLIB/preload/crashpoint.c" -ldl
export CRASH_FILE=$SCRATCH/armed
LD_PRELOAD=$SCRATCH/crash.so start_daemon
gitwork_pair "$SCRATCH/origin.git"
echo mine >"$W/mine" # a change that comes along everywhere

# -- a lock of git's is waited for, one of ours from before is taken away
: >"$git_dir/index.lock"
assert_fails scorpio_cli switch "$W" feature
assert_contains "$OUTPUT" "at work" "why"
rm "$git_dir/index.lock"

agree() { # REVISION
    local head
    head=$(git -C "$W" rev-parse HEAD)
    assert_eq "$head" "$1" "HEAD, killed at step $n"
    assert_eq "$(git -C "$W" status --porcelain)" "?? mine" "status, step $n"
    for f in index.lock scorpio.lock scorpio.index scorpio.switch HEAD.lock; do
        [ ! -e "$git_dir/$f" ] || fail "$f is left, killed at step $n"
    done
    assert_eq "$(cat "$W/mine")" mine "a private change, step $n"
}

# git that comes in between is refused or waits, but never has its lock taken
before=0 after=0
for ((n = 1; n <= 80; n++)); do
    to=$FEATURE from=$MAIN rev=feature
    [ ! -e "$W/fresh" ] || to=$MAIN from=$FEATURE rev=main
    old=$(daemon_process)
    echo "$n $git_dir" >"$CRASH_FILE.new"
    mv "$CRASH_FILE.new" "$CRASH_FILE"
    scorpio_cli switch "$W" $rev >"$SCRATCH/out" 2>&1 || true
    [ ! -e "$CRASH_FILE" ] || break # it lived
    wait_until 60 another_daemon "$old"
    wait_until 60 daemon_answers
    wait_git "$W"
    now=$from
    [ ! -e "$W/fresh" ] || now=$FEATURE
    [ -e "$W/fresh" ] || now=$MAIN
    agree "$now"
    [ "$now" = "$to" ] && after=$((after + 1)) || before=$((before + 1))
done
rm -f "$CRASH_FILE"
note "killed at $((n - 1)) steps: $before times before the files moved, $after times after"
assert_le 5 "$before" "steps before the files move"
assert_le 5 "$after" "steps after"
agree "$to"
