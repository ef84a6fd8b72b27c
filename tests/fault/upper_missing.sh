#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Single content files of a workspace are gone: those files cannot be read, and
# do not look as if they had never been changed; the daemon names them; written
# anew, reset or removed they are right again, and all others are untouched
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
for f in a b d/c; do echo "revision $f" >"$SCRATCH/repo/$f"; done
git_commit "$SCRATCH/repo" files
start_daemon
m=$SCRATCH/m
upper=$DAEMON_STORE/workspaces/w/upper
mount_source "$SCRATCH/repo" "$m" --workspace w

change() {
    local f
    for f in a d/c new gone; do echo "lose $f" >"$m/$f"; done
    echo "keep b" >"$m/b"
}
lose() {
    grep -rl '^lose' "$upper" | xargs rm
}
check() { # HOW
    local f
    for f in a d/c new gone; do
        assert_fails cat "$m/$f"
        assert_contains "$OUTPUT" "Input/output error" "$1: $f"
    done
    assert_eq "$(cat "$m/b")" "keep b" "$1"
    assert_eq "$(scorpio_cli status "$m" | cut -c1-20 | xargs)" \
        "M a M b M d/c A gone A new" "status, $1"
    assert_fails bash -c "echo more >>'$m/a'"
    echo anew >"$m/a"
    assert_eq "$(cat "$m/a")" anew "$1: written anew"
    echo anew >"$m/new"
    assert_eq "$(cat "$m/new")" anew "$1: a new one written anew"
    scorpio_cli reset --yes "$m" d/c >/dev/null
    assert_eq "$(cat "$m/d/c")" "revision d/c" "$1: reset"
    rm "$m/gone"
}

change
within 60 scorpio_cli -q umount "$m"
lose
mount_source "$SCRATCH/repo" "$m" --workspace w
check "after an unmount"

change
kill_daemon
is_mounted "$m" && unmount_lazily "$m"
lose
start_daemon
wait_until 30 mount_answers "$m"
said() { grep -c "changed content of $1 was removed" "$SCRATCH"/daemon*.log; }
for f in a d/c new gone; do
    assert_eq "$(said "$f")" 1 "lines about $f"
done
check "after kill -9"
within 60 scorpio_cli -q umount "$m"
mount_source "$SCRATCH/repo" "$m" --workspace w
assert_eq "$(cat "$m/a" "$m/b" "$m/d/c" "$m/new" | xargs)" \
    "anew keep b revision d/c anew" "mounted again"
