#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# The store is lost under mounts of a change list: damaged while it is in use, and
# gone with a daemon that was killed. Programs go on in directories of the list and of
# the revision below it; then the list changes, and is seen
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
. "$TESTLIB/survive.sh"
requires fuse git python3 curl jq

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
R=$SCRATCH/repo
base=$(git -C "$R" rev-parse main)
git -C "$R" checkout -q -b work
for n in 1 2 3; do
    mkdir -p "$R/project/new/of/$n" "$R/project/moved/to$n"
    echo "new $n" >"$R/project/new/of/$n/x"
    git -C "$R" mv "project/deep/n$n" "project/moved/to$n/was"
    echo "changed $n" >"$R/project/deep/n1$n"
done
rm "$R/project/deep/n20"
git_commit "$R" work
head=$(git -C "$R" rev-parse work)
git -C "$R" checkout -q main
mono_tree "$SCRATCH/want" "$head"
mono_tree "$SCRATCH/base" "$base"
start_mono
start_daemon --keeper
mono_cl LIST "$base" "$head"
source=mono+$MONO_URL
mount_source "$source" "$SCRATCH/ro" --rev main@LIST
mount_source "$source" "$SCRATCH/part" --rev main@LIST --subdir project
mount_source "$source" "$SCRATCH/w" --rev main@LIST --workspace w
mv "$SCRATCH/w/project/moved" "$SCRATCH/w/there"
stat "$SCRATCH"/ro/project/{deep/n1,new/of/1,moved/to1}* \
    "$SCRATCH"/part/{deep,new/of,moved}/* "$SCRATCH"/w/there/to* >/dev/null 2>&1 || true
exec 7<"$SCRATCH/ro/project/new/of" 8<"$SCRATCH/part/deep" 9<"$SCRATCH/w/there"

is() { # FILE TEXT - in time
    read_it() { [ "$(cat "$1" 2>"$SCRATCH/why")" = "$2" ]; }
    poll_until 60 read_it "$@" ||
        fail "$round: $1: $(cat "$1" 2>&1), not $2 ($(cat "$SCRATCH/why"))"
}
go_on() { # ROUND - what was not looked at before
    round=$1
    is "/proc/self/fd/7/$round/x" "new $round"
    is "/proc/self/fd/8/n1$round" "changed $round"
    is "/proc/self/fd/8/n4$round" "4$round"
    is "/proc/self/fd/9/to$round/was" "$round"
    is "$SCRATCH/part/moved/to$round/was" "$round"
    for gone in ro/project part w/project; do
        [ ! -e "$SCRATCH/$gone/deep/n20" ] || fail "$round: n20 in $gone is back"
    done
}

go_on 1
python3 - "$DAEMON_STORE/data.mdb" <<'END'
import sys
with open(sys.argv[1], "r+b") as f: # all but the pages that say what it is
    size = f.seek(0, 2)
    f.seek(8192)
    f.write(b"\xff" * (size - 8192))
END
go_on 2
daemon_is_back() { scorpio_cli -q status >/dev/null 2>&1; }
poll_until 60 daemon_is_back
compgen -G "$DAEMON_STORE/store.damaged-*" >/dev/null || fail "nothing was set aside"
note "restarts: $(scorpio_cli status --json | jq .restarts)"
rm -f "$DAEMON_STORE"/data.mdb
kill_once
go_on 3
assert_same_tree "$SCRATCH/ro" "$SCRATCH/want"
assert_same_tree "$SCRATCH/part" "$SCRATCH/want/project"
exec 7<&- 8<&- 9<&-

# the list is taken away from a mount that came through this
poll_until 60 daemon_is_back
within 60 scorpio_cli switch "$SCRATCH/ro" "$base"
assert_same_tree "$SCRATCH/ro" "$SCRATCH/base"
mono_blameless
for dir in ro part w; do
    within 60 scorpio_cli -q umount "$SCRATCH/$dir"
done
stop_daemon
