#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The end by signals is quick and complete; SIGHUP reads the configuration
# again; the service manager is told.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl python3

git_repo "$SCRATCH/repo"
echo x >"$SCRATCH/repo/f"
git_commit "$SCRATCH/repo" one

# -- notifications
python3 - "$SCRATCH/notify" >"$SCRATCH/told" <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)
END
STARTED+=($!)
wait_until 10 grep -q bound "$SCRATCH/told"
write_config
export NOTIFY_SOCKET=$SCRATCH/notify
start_daemon
unset NOTIFY_SOCKET
wait_until 10 grep -q READY=1 "$SCRATCH/told"

# -- reload
log=$SCRATCH/daemon-$DAEMON_PORT.log
debug_lines() { grep -c 'GET /health' "$log" || true; }
daemon_answers
assert_eq "$(debug_lines)" 0 "debug lines at level info"
echo 'log_level = "debug"' >>"$DAEMON_CONFIG"
kill -HUP "$DAEMON_PID"
wait_until 10 grep -q 'configuration reloaded' "$log"
assert_contains "$(cat "$log")" "server.log_level changed"
talks() { daemon_answers && [ "$(debug_lines)" -gt 0 ]; }
wait_until 10 talks
# a bad file changes nothing
cp "$DAEMON_CONFIG" "$SCRATCH/good.toml"
echo 'cache.max_size = "much"' >>"$DAEMON_CONFIG"
kill -HUP "$DAEMON_PID"
wait_until 10 grep -q 'not reloaded' "$log"
daemon_answers || fail "a bad reload ended the daemon"
cp "$SCRATCH/good.toml" "$DAEMON_CONFIG"

# -- SIGTERM with a stream, an idle connection and an open file
mount_source "$SCRATCH/repo" "$SCRATCH/mnt"
curl -sN "$DAEMON_URL/api/v1/trace" >"$SCRATCH/stream" &
STARTED+=($!)
wait_until 10 grep -q tracing "$SCRATCH/stream"
exec 8<>"/dev/tcp/127.0.0.1/$DAEMON_PORT" 7<"$SCRATCH/mnt/f"
before=$(now_ms)
kill -TERM "$DAEMON_PID"
wait_until 30 gone "$DAEMON_PID"
exec 7<&- 8<&- 8>&-
assert_le $(($(now_ms) - before)) $((20000 * SLOW)) "ms to end"
# the test's, or the keeper's that passes it on
grep -Eq "ending: SIGTERM of process ($$|$DAEMON_PID)\"" "$log" ||
    fail "the log does not tell who ended it"
is_mounted "$SCRATCH/mnt" && fail "the mount stays"
assert_contains "$(cat "$SCRATCH/told")" "STOPPING=1"
code=0
wait "$DAEMON_PID" || code=$?
assert_eq "$code" 0 "exit code after SIGTERM"

# -- a source that hangs does not hold the end up
python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True)
c = s.accept()
print("asked", flush=True); time.sleep(120)' >"$SCRATCH/server" &
STARTED+=($!)
wait_until 10 test -s "$SCRATCH/server"
start_daemon
scorpio_cli mount "http://127.0.0.1:$(head -n1 "$SCRATCH/server")/x.git" \
    "$SCRATCH/hang" >"$SCRATCH/hang.log" 2>&1 &
STARTED+=($!)
poll_until 10 grep -q asked "$SCRATCH/server" || {
    note "no remote source to hang on: $(cat "$SCRATCH/hang.log")"
    exit 0
}
before=$(now_ms)
kill -TERM "$DAEMON_PID"
wait_until 60 gone "$DAEMON_PID"
assert_le $(($(now_ms) - before)) $((20000 * SLOW)) "ms to end while mounting"
