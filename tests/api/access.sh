#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may do what: tokens, open addresses, the unix socket.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio curl

code() { curl -s -m 10 --noproxy '*' -o "$SCRATCH/body" -w '%{http_code}' "$@"; }

# -- an open address needs a token, or an explicit wish
write_config
code=0
OUTPUT=$(within 20 "$SCORPIO" -c "$DAEMON_CONFIG" serve \
    --http-addr "0.0.0.0:$DAEMON_PORT" 2>&1) || code=$?
assert_eq $code 2 "exit code of an open address without token"
assert_contains "$OUTPUT" "server.token"

echo "s3cret-token" >"$SCRATCH/token"
chmod 600 "$SCRATCH/token"
start open "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "0.0.0.0:$DAEMON_PORT" \
    --set "server.token_file=$SCRATCH/token" serve
wait_until 10 daemon_answers
url=http://127.0.0.1:$DAEMON_PORT
bearer='Authorization: Bearer'
assert_eq "$(code "$url/health")" 200 "health is public"
assert_eq "$(code "$url/ready")" 200 "ready is public"
assert_eq "$(code "$url/api/v1/status")" 401 "no token"
assert_eq "$(code "$url/metrics")" 401 "no token for metrics"
assert_eq "$(code -H "$bearer wrong" "$url/api/v1/status")" 401
assert_eq "$(code -H "$bearer s3cret-toke" "$url/api/v1/status")" 401
assert_eq "$(code -H "$bearer s3cret-token" "$url/api/v1/status")" 200
assert_eq "$(code -H "$bearer s3cret-token" -H 'Host: a.example' \
    "$url/api/v1/status")" 200 "the token is enough for any name"
curl -s -m 10 -H "$bearer s3cret-token" "$url/api/v1/config" >"$SCRATCH/shown"
grep -q s3cret "$SCRATCH/shown" && fail "the token is shown"
grep -q s3cret "$SCRATCH/open.log" && fail "the token is logged"
stop "$PID"

# -- loopback with a token: reading is open, changing is not
start guarded "$SCORPIO" -c "$DAEMON_CONFIG" \
    --http-addr "127.0.0.1:$DAEMON_PORT" --set server.token=abc serve
wait_until 10 daemon_answers
assert_eq "$(code "$url/api/v1/status")" 200
assert_eq "$(code -X POST "$url/api/v1/stop")" 401
# the command line uses the socket and needs none
scorpio_cli status >/dev/null

# -- the socket belongs to its owner
sock=$DAEMON_STORE/scorpio.sock
assert_eq "$(stat -c %a "$sock")" 600 "mode of the socket"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    # even if somebody opens the file to all, the peer is checked
    chmod 755 "$SCRATCH" "$DAEMON_STORE"
    chmod 666 "$sock"
    # by a relative path: the folders above may be closed to others
    got=$(cd "$DAEMON_STORE" && setpriv --reuid 65534 --regid 65534 \
        --clear-groups curl -s -m 10 -o /dev/null -w '%{http_code}' \
        --unix-socket scorpio.sock http://localhost/api/v1/status) || true
    assert_eq "$got" 403 "another user at the socket"
fi
stop "$PID"
[ ! -e "$sock" ] || fail "the socket's file is left behind"

# -- open and said so
start insecure "$SCORPIO" -c "$DAEMON_CONFIG" \
    --http-addr "0.0.0.0:$DAEMON_PORT" --set server.allow_insecure=true serve
wait_until 10 daemon_answers
assert_eq "$(code "$url/api/v1/status")" 200
assert_contains "$(cat "$SCRATCH/insecure.log")" "open to everyone"
stop "$PID"
