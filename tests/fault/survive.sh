#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# kill -9 of the daemon again and again while others build, write and read: no
# process sees an error, and everything is as on native twins (tests/proof/
# survive_long.sh: 1 000 times; with SURVIVE=restart it is replaced instead)
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
. "$TESTLIB/survive.sh"
requires root fuse git python3 make cc
posix_tools
kills=${KILLS:-20}

# -- two workspaces and a read-only view, and their twins
c_project "$SCRATCH/repo"
survive_files "$SCRATCH/repo"
git_commit "$SCRATCH/repo" files
plain_tree "$SCRATCH/repo" "$SCRATCH/twin"
start_daemon --keeper
rw_mount "$SCRATCH/repo" "$SCRATCH/m"
mount_source "$SCRATCH/repo" "$SCRATCH/ro" --ro
log=$SCRATCH/daemon-$DAEMON_PORT.log
cp -r "$SCRATCH/twin" "$SCRATCH/built"
make -s -C "$SCRATCH/built" >/dev/null
mkdir "$SCRATCH/m/rand" "$SCRATCH/twin/rand"
keeper=$DAEMON_PID

# -- the load
declare -A load=()
run_load() { # NAME CMD...
    start "$@"
    load[$1]=$PID
}
stop_file=$SCRATCH/stop
run_load builds survive_builds "$SCRATCH/built" "$SCRATCH/m" "$stop_file"
run_load writer survive_writer "$SCRATCH/m/writer" "$stop_file"
run_load reader survive_reader "$SCRATCH/m" "$SCRATCH/repo.sums" "$stop_file"
run_load view survive_reader "$SCRATCH/ro" "$SCRATCH/repo.sums" "$stop_file"
run_load client survive_client "$DAEMON_PORT" "$DAEMON_STORE/scorpio.sock" \
    "$stop_file"
run_load fsx "$FSX" -s "$RANDOM" -n 100000000 -l 200000 "$SCRATCH/m/fsx"
run_load rand "$FSRAND" --seed "${POSIX_SEED:-$RANDOM}" --ops 100000000 \
    --check 2000 "$SCRATCH/m/rand" "$SCRATCH/twin/rand"

check_load() {
    local name code=0
    for name in "${!load[@]}"; do
        gone "${load[$name]}" && {
            wait "${load[$name]}" || code=$?
            cat "$SCRATCH/$name.log"
            fail "$name ended with $code after $k kills"
        }
    done
    true
}
# at any moment, also while one starts; one in four gets to serve
for ((k = 1; k <= kills; k++)); do
    sleep "0.$((RANDOM % 5 + 1))"
    served=$(times_served "$log")
    if [ "${SURVIVE:-kill}" = restart ]; then
        within 100 scorpio_cli -q restart
    else
        kill_once
    fi
    check_load
    [ $((k % 4)) -ne 0 ] || wait_until 60 served_since "$log" "$served"
done
assert_eq "$DAEMON_PID" "$keeper"

# -- the end of it
touch "$stop_file"
for name in builds writer reader view client; do
    ended_well "$name" "${load[$name]}"
done
for name in fsx rand; do
    gone "${load[$name]}" && fail "$name ended: $(cat "$SCRATCH/$name.log")"
    stop "${load[$name]}" || true
done
note "$kills times (${SURVIVE:-kill}); away for $(pauses "$log" | percentile 50) ms (p50)," \
    "$(pauses "$log" | percentile 99) ms (p99)"
# the others were killed before they served
assert_le $((kills / 4)) "$(times_served "$log")" "restarts that served"
assert_same_tree "$SCRATCH/ro/cold" "$SCRATCH/twin/cold"
assert_same_tree "$SCRATCH/m/cold" "$SCRATCH/twin/cold"
# what was in flight when the writers were stopped may be on one side only
rm -rf "$SCRATCH/m/rand"
scorpio_cli -q umount "$SCRATCH/m"
rw_mount "$SCRATCH/repo" "$SCRATCH/m"
assert_same_tree "$SCRATCH/m/out" "$SCRATCH/built/out"
assert_eq "$(tail -n1 "$SCRATCH/m/writer/log")" \
    "$(awk 'END { print "row", $1 - 1 }' "$SCRATCH/writer.log")" "the last row"
grep -E 'level=error' "$log" | grep -v 'ended by signal 9' && fail "errors in the log"
true
