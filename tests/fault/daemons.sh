#!/bin/bash
# Two daemons, killed daemons, stale mountpoints, malformed configuration
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git

git_repo "$SCRATCH/repo"
echo hello >"$SCRATCH/repo/file"
git_commit "$SCRATCH/repo" one
start_daemon
mount_source "$SCRATCH/repo" "$SCRATCH/m"

# a second daemon on the same store ends at once and names the first
assert_fails within 20 "$SCORPIO" -c "$DAEMON_CONFIG" \
    --http-addr "127.0.0.1:$(free_port)" serve
note "second daemon: $OUTPUT"
assert_contains "$OUTPUT" "$(daemon_process)" "error of the second daemon"
# a port that is taken: exit code 4
mkdir "$SCRATCH/two"
sed "s|$SCRATCH/store|$SCRATCH/two/store|" "$DAEMON_CONFIG" >"$SCRATCH/two/scorpio.toml"
code=0
within 20 "$SCORPIO" -c "$SCRATCH/two/scorpio.toml" \
    --http-addr "127.0.0.1:$DAEMON_PORT" serve >"$SCRATCH/out" 2>&1 || code=$?
cat "$SCRATCH/out"
assert_eq "$code" 4 "exit code for a port in use"
assert_eq "$(cat "$SCRATCH/m/file")" hello "the first daemon's mount"

# killed with its keeper: the mountpoint is stale; a new daemon takes over the
# directory
stop "$DAEMON_PID" KILL || true
start_daemon
reads() { [ "$(cat "$SCRATCH/m/file" 2>/dev/null)" = hello ]; }
wait_until 60 reads

# SIGTERM: unmounts and leaves nothing
code=0
stop "$DAEMON_PID" || code=$?
assert_eq "$code" 0 "exit code after SIGTERM"
is_mounted "$SCRATCH/m" && fail "still mounted after the daemon ended"
[ -z "$(find "$SCRATCH" -name '*.sock')" ] || fail "a socket was left"

# malformed configuration: all problems at once, with their places, code 2
cat >"$SCRATCH/bad.toml" <<END
store_path = 7.5
[cache]
max_size = "plenty"
[fetch]
retries = -3
stall_timeout = "soon"
END
code=0
within 20 "$SCORPIO" -c "$SCRATCH/bad.toml" serve >"$SCRATCH/out" 2>&1 || code=$?
cat "$SCRATCH/out"
assert_eq "$code" 2 "exit code for a malformed file"
for place in bad.toml:3 bad.toml:5 bad.toml:6; do
    assert_contains "$(cat "$SCRATCH/out")" "$place"
done
echo '[cache' >"$SCRATCH/bad.toml"
code=0
within 20 "$SCORPIO" -c "$SCRATCH/bad.toml" config validate >"$SCRATCH/out" 2>&1 ||
    code=$?
assert_eq "$code" 2 "exit code for broken TOML"
assert_contains "$(cat "$SCRATCH/out")" "bad.toml:1:"
code=0
"$SCORPIO" -c "$SCRATCH/none.toml" list >"$SCRATCH/out" 2>&1 || code=$?
assert_eq "$code" 2 "exit code for a missing file"
assert_contains "$(cat "$SCRATCH/out")" none.toml
