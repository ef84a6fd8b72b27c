#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# A daemon that starts while the Mono server is away: workspaces without changes,
# views and jobs come back from the store, with what was read; the rest is fetched
# when the server is there again
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

port=$(free_port)
antares_setup --port "$port"
start_daemon
scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/w"
mount_source "mono+$MONO_URL" "$SCRATCH/ro"
api_py <<'END' >"$SCRATCH/job"
print(api.row("POST", "/mounts", 200, ANY,
              {"path": "/project", "job_id": "j"}).json["mountpoint"])
END
job=$(cat "$SCRATCH/job")
cat "$SCRATCH"/{w,ro}/project/deep/n7 "$job/deep/n7" >"$SCRATCH/before"

for how in TERM KILL; do
    stop_daemon "$how"
    stop "$MONO_PID" KILL || true
    start_daemon
    for m in "$SCRATCH"/{w,ro} "$job"; do
        wait_until 30 is_mounted "$m"
        wait_until 30 test -e "$m/project" -o -e "$m/deep"
    done
    cat "$SCRATCH"/{w,ro}/project/deep/n7 "$job/deep/n7" >"$SCRATCH/after"
    cmp "$SCRATCH/before" "$SCRATCH/after" || fail "$how: other content"
    echo "$how" >"$SCRATCH/w/project/new"
    assert_eq "$(cat "$SCRATCH/w/project/new")" "$how"
    rm "$SCRATCH/w/project/new"
    start_mono --port "$port"
done
# what was never read
wait_until 60 diff -r --no-dereference "$SCRATCH/repo/project" "$SCRATCH/ro/project"
