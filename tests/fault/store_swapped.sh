#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# The store is lost under mounts in use: its file is damaged while the daemon
# has it open, or is gone with a daemon that was killed. Programs go on in
# directories they are in, where rules of .gitattributes hold, in a part of the
# source, in moved directories of a workspace; and
# after the next restart
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
. "$TESTLIB/survive.sh"
requires fuse git python3 jq

git_repo "$SCRATCH/repo"
(
    cd "$SCRATCH/repo"
    mkdir -p d/e/f/g moved/deep/er
    echo '*.bin filter=lfs' >.gitattributes
    echo '*.dat filter=lfs' >d/.gitattributes
    echo '*.img filter=lfs' >d/e/.gitattributes
    echo '*.pic filter=lfs' >moved/.gitattributes
    for n in 1 2 3 4; do
        for f in d/e/f/g/a d/e/b moved/deep/er/c; do
            echo "round $n $f" >"$f$n"
        done
        mkdir "d/e/f/g/new$n"
        echo "new $n" >"d/e/f/g/new$n/x"
    done
)
git_commit "$SCRATCH/repo" files

begin() { # ARGS - a daemon, three mounts, and what the kernel shall know of them
    start_daemon "$@"
    mount_source "$SCRATCH/repo" "$SCRATCH/ro"
    mount_source "$SCRATCH/repo" "$SCRATCH/part" --subdir d
    mount_source "$SCRATCH/repo" "$SCRATCH/w" --workspace w
    [ -d "$SCRATCH/w/there" ] || mv "$SCRATCH/w/moved" "$SCRATCH/w/there"
    stat "$SCRATCH"/{ro,w}/d/e/f/g/a1 "$SCRATCH/part/e/f/g/a1" \
        "$SCRATCH/ro/moved/deep/er/c1" "$SCRATCH/w/there/deep/er/c1" >/dev/null
    exec 7<"$SCRATCH/ro/d/e/f/g" 8<"$SCRATCH/part/e/f/g" \
        9<"$SCRATCH/w/there/deep/er"
}
answers() { scorpio_cli -q status >/dev/null 2>&1; }
put_away() {
    exec 7<&- 8<&- 9<&-
    poll_until 60 answers
    for dir in ro part w; do
        within 60 scorpio_cli -q umount "$SCRATCH/$dir"
    done
    stop_daemon
}
is() { # FILE TEXT - in time
    read_it() { [ "$(cat "$1" 2>"$SCRATCH/why")" = "$2" ]; }
    poll_until 60 read_it "$@" ||
        fail "$round: $1: $(cat "$1" 2>&1), not $2 ($(cat "$SCRATCH/why"))"
}
# what was not looked at before, the deepest first
go_on() { # ROUND
    round=$1
    is "/proc/self/fd/7/new$round/x" "new $round"
    is "/proc/self/fd/8/new$round/x" "new $round"
    is "/proc/self/fd/9/c$round" "round $round moved/deep/er/c"
    is "$SCRATCH/w/d/e/f/g/a$round" "round $round d/e/f/g/a"
    is "$SCRATCH/part/e/b$round" "round $round d/e/b"
    is "$SCRATCH/ro/moved/deep/er/c$round" "round $round moved/deep/er/c"
}
damage() { # everything but the first pages, which say that it is a store
    python3 - "$DAEMON_STORE/data.mdb" <<'END'
import os, sys
with open(sys.argv[1], "r+b") as f:
    size = f.seek(0, 2)
    f.seek(8192)
    f.write(b"\xff" * (size - 8192))
END
}

begin --keeper
go_on 1
damage
go_on 2
poll_until 60 answers
note "restarts: $(scorpio_cli status --json | jq .restarts)"
kill_once
go_on 3
rm -f "$DAEMON_STORE"/data.mdb
kill_once
go_on 4
assert_same_tree "$SCRATCH/ro" "$SCRATCH/repo"
assert_same_tree "$SCRATCH/part" "$SCRATCH/repo/d"
put_away
