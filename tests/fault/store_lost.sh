#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# The store is a cache: without it a workspace is mounted again with all its
# changes, also where rules of .gitattributes hold below changed and moved
# directories; after an unmount, a restart and kill -9
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git

git_repo "$SCRATCH/repo"
(
    cd "$SCRATCH/repo"
    mkdir -p d/e/f moved/deep plain
    echo '*.bin filter=lfs' >.gitattributes
    echo '*.dat filter=lfs' >d/.gitattributes
    echo '*.img filter=lfs' >d/e/.gitattributes
    echo '*.pic filter=lfs' >moved/.gitattributes
    for f in a d/b d/e/c d/e/f/g moved/h moved/deep/i plain/j; do
        echo "revision $f" >"$f"
    done
)
git_commit "$SCRATCH/repo" files
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w
echo changed >>"$m/a"
echo changed >>"$m/d/e/f/g"
chmod 755 "$m/d/e"
mv "$m/moved" "$m/d/there"
echo new >"$m/d/there/new"
(cd "$m" && find . -name .git -prune -o -type f -print | sort | xargs tail -n +1) \
    >"$SCRATCH/before"

lose() {
    rm "$DAEMON_STORE"/data.mdb
    rm -f "$DAEMON_STORE"/lock.mdb
}
check() { # WHEN
    # what lies deep first, without a way down to it
    assert_eq "$(cat "$m/d/there/deep/i")" "revision moved/deep/i" "$1"
    assert_eq "$(ls "$m/d/e")" "c
f" "$1"
    (cd "$m" && find . -name .git -prune -o -type f -print | sort |
        xargs tail -n +1) >"$SCRATCH/after"
    diff "$SCRATCH/before" "$SCRATCH/after" || fail "not as before $1"
    assert_eq "$(scorpio_cli status "$m" | wc -l)" "$changes" "changes $1"
}
changes=$(scorpio_cli status "$m" | wc -l)

within 60 scorpio_cli -q umount "$m"
stop_daemon
lose
start_daemon
mount_source "$SCRATCH/repo" "$m" --workspace w
check "after an unmount"
stop_daemon
lose
start_daemon
wait_until 30 mount_answers "$m"
check "after a restart"
kill_daemon
is_mounted "$m" && unmount_lazily "$m"
lose
start_daemon
wait_until 30 mount_answers "$m"
check "after kill -9"
