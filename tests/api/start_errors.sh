#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that cannot start says why and what to do, with the right exit code,
# in the foreground and in the background.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio curl python3

fails_with() { # CODE CMD...
    local want=$1 code=0
    shift
    OUTPUT=$(within 20 "$@" 2>&1) || code=$?
    assert_eq "$code" "$want" "exit code of: $*"
    assert_eq "$(grep -c '^scorpio: ' <<<"$OUTPUT")" 1 "one error: $OUTPUT"
    assert_contains "$OUTPUT" "  why: "
    assert_contains "$OUTPUT" "  try: "
}

# -- configuration: every problem with its place
cat >"$SCRATCH/bad.toml" <<'END'
store_path = "/tmp/x"
log_level = "info"
[cache]
max_size = "much"
[fetch]
threads = -3
END
for how in "" --background; do
    # shellcheck disable=SC2086
    fails_with 2 "$SCORPIO" -c "$SCRATCH/bad.toml" serve $how
    assert_contains "$OUTPUT" "$SCRATCH/bad.toml:4:"
    assert_contains "$OUTPUT" "$SCRATCH/bad.toml:6:"
done
fails_with 2 "$SCORPIO" -c "$SCRATCH/bad.toml" config validate
fails_with 2 "$SCORPIO" -c "$SCRATCH/none.toml" list
printf 'a = [' >"$SCRATCH/broken.toml"
fails_with 2 "$SCORPIO" serve -c "$SCRATCH/broken.toml"
[[ $OUTPUT =~ broken.toml:1:[0-9]+ ]] || fail "no position: $OUTPUT"
# of several the last one counts
write_config
"$SCORPIO" -c "$SCRATCH/bad.toml" -c "$DAEMON_CONFIG" config validate >/dev/null

# -- usage
for words in nonsense "mount" "mount x" "list too much" "mount --rev" \
    "serve --nonsense" "--http-addr" "cache nonsense" "config nonsense"; do
    code=0
    # shellcheck disable=SC2086
    OUTPUT=$("$SCORPIO" -c "$DAEMON_CONFIG" $words 2>&1) || code=$?
    assert_eq "$code" 2 "exit code of: $words"
    assert_contains "$OUTPUT" "  try: "
done
fails_with 2 "$SCORPIO" -c "$DAEMON_CONFIG" serve --http-addr nonsense
fails_with 2 "$SCORPIO" -c "$DAEMON_CONFIG" serve --http-addr 127.0.0.1:0 \
    --set plugins.load=/no/such/plugin.so

# -- a port that is taken
python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(60)' >"$SCRATCH/port" &
STARTED+=($!)
wait_until 10 test -s "$SCRATCH/port"
for how in "" --background; do
    # shellcheck disable=SC2086
    fails_with 4 "$SCORPIO" -c "$DAEMON_CONFIG" \
        --http-addr "127.0.0.1:$(cat "$SCRATCH/port")" serve $how
    assert_contains "$OUTPUT" "$(cat "$SCRATCH/port")"
done

# -- two daemons at one store: the second names the first
start_daemon
for how in "" --background; do
    # shellcheck disable=SC2086
    fails_with 1 "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr 127.0.0.1:0 serve $how
    assert_contains "$OUTPUT" "$(daemon_process)" "the pid of the owner"
done
scorpio_cli status >/dev/null || fail "the first daemon was disturbed"
stop "$DAEMON_PID"

# -- a store that cannot be made
touch "$SCRATCH/file"
fails_with 1 "$SCORPIO" -c "$DAEMON_CONFIG" --set "server.store_path=$SCRATCH/file" \
    --http-addr 127.0.0.1:0 serve

# -- no command means serve, with a remark
start bare "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT"
wait_until 10 daemon_answers
assert_contains "$(cat "$SCRATCH/bare.log")" "deprecated"
stop "$PID"
