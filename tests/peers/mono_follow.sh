#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# mono.poll_interval: mounts of main move on with it, under open files and with
# private changes; pinned ones, jobs and those in conflict stay
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_workspace
antares_setup
cat >>"$DAEMON_CONFIG" <<'END'
[mono]
poll_interval = "500ms"
END
start_daemon
R=$SCRATCH/repo
base=$(git -C "$R" rev-parse main)
scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/w"
mount_source "mono+$MONO_URL" "$SCRATCH/ro" --ro
mount_source "mono+$MONO_URL" "$SCRATCH/pinned" --rev "$base"
wait_until 20 is_mounted "$SCRATCH/mount"
api_py <<'END' >"$SCRATCH/job"
print(api.row("POST", "/mounts", 200, ANY, {"path": "/"}).json["mountpoint"])
END
job=$(cat "$SCRATCH/job")

shows() { # DIR FILE TEXT
    [ "$(cat "$1/$2")" = "$3" ]
}
push() { # FILE TEXT
    echo "$2" >"$R/$1"
    git_commit "$R" "$2"
}
echo private >"$SCRATCH/w/project/mine"
exec 7<"$SCRATCH/w/project/large"
push project/deep/n7 newer
for m in w ro mount; do
    wait_until 30 shows "$SCRATCH/$m" project/deep/n7 newer
done
cmp <(head -c 300000 <&7) "$R/project/large" || fail "an open file broke"
exec 7<&-
shows "$SCRATCH/w" project/mine private || fail "a private change is lost"
for m in "$SCRATCH/pinned" "$job"; do
    shows "$m" project/deep/n7 7 || fail "$m moved"
done

note "where both sides changed something it stays, and goes on when that is settled"
log=$SCRATCH/daemon-$DAEMON_PORT.log
echo private >"$SCRATCH/w/project/deep/n8"
push project/deep/n8 theirs
wait_until 30 shows "$SCRATCH/ro" project/deep/n8 theirs
wait_until 30 grep -q "$SCRATCH/w stays.*project/deep/n8" "$log"
push project/deep/n9 newer
wait_until 30 shows "$SCRATCH/ro" project/deep/n9 newer
shows "$SCRATCH/w" project/deep/n9 9 || fail "it went on"

scorpio_cli reset --yes "$SCRATCH/w" project/deep/n8
wait_until 30 shows "$SCRATCH/w" project/deep/n9 newer

note "without the server all stays; then it goes on; so after a restart"
mono_fault '{"match":"latest-commit","kind":"status","status":500}'
wait_until 30 grep -q "cannot look for a newer revision" "$log"
shows "$SCRATCH/w" project/deep/n9 newer || fail "the content is gone"
push project/deep/n10 again
mono_control faultless '' >/dev/null
wait_until 60 shows "$SCRATCH/w" project/deep/n10 again
stop_daemon
push project/deep/n11 later
start_daemon
wait_until 60 shows "$SCRATCH/ro" project/deep/n11 later
wait_until 60 shows "$SCRATCH/w" project/deep/n11 later
shows "$SCRATCH/pinned" project/deep/n7 7 || fail "pinned moved"
