#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# A daemon that starts while the Mono server is away: workspaces without changes,
# views, jobs, those with a change list, and the workspace of the configuration come
# back from the store, with what was read; the rest is fetched when the server is there
# again, and the workspace catches up with main then
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

port=$(free_port)
antares_workspace
antares_setup --port "$port"
antares_cl7
start_daemon
scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/w"
mount_source "mono+$MONO_URL" "$SCRATCH/ro"
api_py <<'END' >"$SCRATCH/job"
print(api.row("POST", "/mounts", 200, ANY,
              {"path": "/project", "job_id": "j"}).json["mountpoint"])
END
job=$(cat "$SCRATCH/job")
api_py <<'END' >"$SCRATCH/list"
print(api.row("POST", "/mounts", 200, ANY,
              {"path": "/", "job_id": "l", "cl": "CL7", "cl_path": "/project"}).json["mountpoint"])
END
list=$(cat "$SCRATCH/list")
read_all() {
    cat "$SCRATCH"/{w,ro,mount}/project/deep/n7 "$job/deep/n7" "$list/project/deep/n7"
    [ ! -e "$list/project/deep/n8" ] || fail "the list's deletion is gone"
}
wait_until 30 is_mounted "$SCRATCH/mount"
read_all >"$SCRATCH/before"
assert_contains "$(cat "$SCRATCH/before")" changed

for how in TERM KILL; do
    stop_daemon "$how"
    stop "$MONO_PID" KILL || true
    start_daemon
    for m in "$SCRATCH"/{w,ro,mount} "$job" "$list"; do
        wait_until 30 is_mounted "$m"
        # (the kernel remembers names of a mount whose daemon died)
        wait_until 30 eval '[ "$(cat "$m"/{project/,}deep/n7 2>/dev/null)" ]'
    done
    read_all >"$SCRATCH/after"
    cmp "$SCRATCH/before" "$SCRATCH/after" || fail "$how: other content"
    echo "$how" >"$SCRATCH/w/project/new"
    assert_eq "$(cat "$SCRATCH/w/project/new")" "$how"
    rm "$SCRATCH/w/project/new"
    # meanwhile main moves on
    echo "$how" >"$SCRATCH/repo/project/moved"
    git_commit "$SCRATCH/repo" "$how"
    start_mono --port "$port"
    wait_until 60 grep -qs "$how" "$SCRATCH/mount/project/moved"
    [ ! -e "$SCRATCH/w/project/moved" ] || fail "one that was not configured went on"
done
# with a change it stays, whoever ended the daemon
echo mine >"$SCRATCH/mount/project/mine"
stop_daemon KILL
echo later >"$SCRATCH/repo/project/moved"
git_commit "$SCRATCH/repo" later
start_daemon
wait_until 30 test -s "$SCRATCH/mount/project/mine"
scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/now"
assert_eq "$(cat "$SCRATCH/now/project/moved")" later
assert_eq "$(cat "$SCRATCH/mount/project/moved")" KILL
# of the list's directories what was never looked at
wait_until 60 test -e "$list/project/deep/er/x.sh"
# what was never read
wait_until 60 diff -r --no-dereference -x moved "$SCRATCH/repo/project" "$SCRATCH/ro/project"
