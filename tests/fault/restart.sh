#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# scorpio restart: a new process, program and configuration under load; one that
# cannot go on changes nothing; a daemon that is stopped; a keeper that dies,
# alone and under a service manager that stores descriptors
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
. "$TESTLIB/survive.sh"
requires root fuse git python3

git_repo "$SCRATCH/repo"
echo hello >"$SCRATCH/repo/file"
survive_files "$SCRATCH/repo"
git_commit "$SCRATCH/repo" one
mkdir "$SCRATCH/bin"
built=$SCORPIO
install "$built" "$SCRATCH/bin/scorpio"
SCORPIO=$SCRATCH/bin/scorpio
value() { # KEY
    "$built" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" --json \
        status | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# -- without a keeper it says so
start_daemon --no-keeper
assert_fails scorpio_cli restart
assert_contains "$OUTPUT" "without a keeper"
assert_eq "$(value keeper_pid)" None
stop_daemon

# -- under load
start_daemon --keeper
assert_eq "$(value keeper_pid)" "$DAEMON_PID"
[ "$SLOW" != 1 ] || assert_le \
    "$(awk '/^RssAnon/ { print $2 }' "/proc/$DAEMON_PID/status")" 8192 \
    "own memory of the keeper, KiB"
rw_mount "$SCRATCH/repo" "$SCRATCH/m"
mount_source "$SCRATCH/repo" "$SCRATCH/ro"
start writer survive_writer "$SCRATCH/m/writer" "$SCRATCH/stop"
writer=$PID
start reader survive_reader "$SCRATCH/ro" "$SCRATCH/repo.sums" "$SCRATCH/stop"
reader=$PID
start client survive_client "$DAEMON_PORT" "$DAEMON_STORE/scorpio.sock" \
    "$SCRATCH/stop"
client=$PID
wait_until 20 test -s "$SCRATCH/m/writer/log"

# the same program, another setting
old=$(value daemon_pid)
printf '[cache]\nmax_size = "3GiB"\n' >>"$DAEMON_CONFIG"
assert_contains "$(within 100 scorpio_cli restart)" "its mounts went on"
[ "$(value daemon_pid)" != "$old" ] || fail "the same process as before"
assert_eq "$(value keeper_pid)" "$DAEMON_PID"
assert_contains "$(scorpio_cli config show)" 3

# a new program in place of the old one
install "$built" "$SCRATCH/bin/new"
mv "$SCRATCH/bin/new" "$SCRATCH/bin/scorpio"
within 100 scorpio_cli -q restart
assert_eq "$(stat -Lc %i "/proc/$(value daemon_pid)/exe")" \
    "$(stat -c %i "$SCRATCH/bin/scorpio")" "the program that runs"

# one that cannot go on: nothing happens
old=$(value daemon_pid)
cp "$DAEMON_CONFIG" "$SCRATCH/good.toml"
printf '[fetch]\nretries = -3\n' >>"$DAEMON_CONFIG"
code=$(curl -sS --noproxy '*' -m 60 -o "$SCRATCH/answer" -w '%{http_code}' \
    -X POST "$DAEMON_URL/api/v1/restart")
cp "$SCRATCH/good.toml" "$DAEMON_CONFIG"
assert_eq "$code" 409 "answer to a restart with a broken configuration"
assert_contains "$(cat "$SCRATCH/answer")" retries
printf '#!/bin/sh\necho its state is of a format I do not know >&2\nexit 1\n' \
    >"$SCRATCH/bin/new"
chmod 755 "$SCRATCH/bin/new"
mv "$SCRATCH/bin/scorpio" "$SCRATCH/bin/kept"
mv "$SCRATCH/bin/new" "$SCRATCH/bin/scorpio"
SCORPIO=$built
assert_fails scorpio_cli restart
assert_contains "$OUTPUT" "a format I do not know"
mv "$SCRATCH/bin/kept" "$SCRATCH/bin/scorpio"
SCORPIO=$SCRATCH/bin/scorpio
assert_eq "$(value daemon_pid)" "$old" "the process after a refusal"

# nobody noticed
touch "$SCRATCH/stop"
for pid in "$writer" "$reader" "$client"; do
    wait_until 60 gone "$pid"
    wait "$pid" || {
        cat "$SCRATCH/writer.log" "$SCRATCH/reader.log" "$SCRATCH/client.log"
        fail "an error under scorpio restart"
    }
done
log=$SCRATCH/daemon-$DAEMON_PORT.log
note "away for $(pauses "$log" | tr '\n' ' ')ms"

# -- the keeper dies: errors, no hang; all is back with the next one
echo mine >"$SCRATCH/m/mine"
exec 7<"$SCRATCH/ro/file"
old=$(value daemon_pid)
stop "$DAEMON_PID" KILL || true
wait_until 20 gone "$old"
code=0
within 20 cat /dev/fd/7 >/dev/null 2>&1 || code=$?
assert_eq "$code" 1 "reading a file of a mount whose keeper died"
exec 7<&-
start_daemon --set server.hang_timeout=3s
back() { [ "$(cat "$SCRATCH/m/mine")" = mine ] && [ -e "$SCRATCH/ro/file" ]; }
wait_until 30 back

# -- a daemon that is stopped hangs: it is replaced, readers wait until then
old=$(kept_process)
kill -STOP "$old"
start late cmp "$SCRATCH/ro/cold/d1/f1" "$SCRATCH/repo/cold/d1/f1"
wait_until 60 another_daemon "$old"
wait_until 60 gone "$PID"
wait "$PID" || fail "a reader saw that the daemon was stopped"
assert_contains "$(cat "$log")" "(process $old) hangs"
stop_daemon
is_mounted "$SCRATCH/m" && fail "still mounted after the end"

# -- under a service manager that stores descriptors nobody notices that either
start manager python3 "$TESTLIB/fdstore.py" "$SCRATCH/notify" "$SCORPIO" \
    -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" serve --keeper
manager=$PID
wait_until 30 back
wait_until 20 grep -q ready "$SCRATCH/manager.log"
exec 7<"$SCRATCH/ro/cold/d0/f0"
rm -f "$SCRATCH/stop"
start reader survive_reader "$SCRATCH/ro" "$SCRATCH/repo.sums" "$SCRATCH/stop"
reader=$PID
for _ in 1 2 3; do
    keeper=$(value keeper_pid)
    kill -KILL "$keeper"
    another_keeper() {
        local now
        now=$(value keeper_pid) && [ "$now" != "$keeper" ]
    }
    wait_until 60 another_keeper
done
cmp /dev/fd/7 "$SCRATCH/repo/cold/d0/f0" || fail "an open file did not survive"
exec 7<&-
gone "$reader" && fail "the reader ended: $(cat "$SCRATCH/reader.log")"
touch "$SCRATCH/stop"
wait_until 60 gone "$reader"
wait "$reader" || fail "the reader: $(cat "$SCRATCH/reader.log")"
assert_eq "$(cat "$SCRATCH/m/mine")" mine
stop "$manager" || fail "the end of the daemon under a service manager"
is_mounted "$SCRATCH/m" && fail "still mounted after the end"
true
