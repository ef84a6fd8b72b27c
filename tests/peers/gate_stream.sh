#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# What a gateway passes on comes through while it comes: the first byte at once,
# neither memory nor disk for the rest however slow the client is; a client that
# leaves ends the transfer; an answer that breaks off is not told as whole
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gate.sh"
requires python3 curl

mkdir "$SCRATCH/ctl"
start slow python3 -B "$TESTLIB/slow_server.py" "$SCRATCH/ctl"
wait_until 20 grep -q '^[0-9][0-9]*$' "$SCRATCH/slow.log"
gateway "$SCRATCH/one" "git+http://127.0.0.1:$(head -n1 "$SCRATCH/slow.log")/r.git"
clone=(curl -sS --noproxy '*' -m 120 --no-buffer "$GATE/.git/git-upload-pack"
    -H 'Content-Type: application/x-git-upload-pack-request'
    --data-binary "@$SCRATCH/ask")
DAEMON=$(daemon_process)
resident() { awk '/^RssAnon/ { print $2 }' "/proc/$DAEMON/status"; }
unnamed() { # bytes of the daemon's files without a name
    find "/proc/$DAEMON/fd" -type l -lname '*(deleted)*' -printf '%p\n' |
        xargs -r stat -L -c %s 2>/dev/null | sort -n | tail -n1
}
sent() { cat "$SCRATCH/ctl/sent" 2>/dev/null || echo 0; }
reset() { rm -f "$SCRATCH/ctl"/* "$SCRATCH/answer"; }
first_here() { [ "$(cat "$SCRATCH/answer" 2>/dev/null)" = first ]; }

head -c 3000000 /dev/urandom >"$SCRATCH/ask"
note "the first byte comes before the server has made the second"
"${clone[@]}" -o "$SCRATCH/answer" &
pid=$!
wait_until 60 first_here
assert_eq "$(cat "$SCRATCH/ctl/got")" 3000000 "the request's body"
echo 1 >"$SCRATCH/ctl/go"
wait $pid
assert_eq "$(stat -c %s "$SCRATCH/answer")" $((1048576 + 6))

note "a slow client: the server waits, nothing piles up"
reset
before=$(resident)
echo 192 >"$SCRATCH/ctl/go"
mkfifo "$SCRATCH/pipe"
exec {reader}<>"$SCRATCH/pipe"
"${clone[@]}" -o "$SCRATCH/pipe" {reader}>&- &
pid=$!
# nobody reads the pipe: the gateway's window, sockets, and no more
seen=-1
quiet_now() {
    local now
    now=$(sent)
    [ "$now" = "$seen" ] && [ "$now" -gt 0 ] && return 0
    seen=$now
    sleep 1
    return 1
}
wait_until 60 quiet_now
note "sent while nobody reads: $seen MiB; memory $before -> $(resident) KiB"
assert_le "$seen" 64 "MiB taken from the server for nobody"
assert_le "$(resident)" $((before + 40960)) "KiB of memory"
assert_le "$(unnamed || echo 0)" 8388608 "bytes on the disk"
note "the client leaves: so does the gateway"
kill -KILL $pid
wait $pid 2>/dev/null || true
exec {reader}>&-
wait_until 60 test -e "$SCRATCH/ctl/gone"

note "an answer that breaks off"
reset
echo 4 >"$SCRATCH/ctl/go"
echo 2 >"$SCRATCH/ctl/cut"
code=0
"${clone[@]}" -o "$SCRATCH/answer" 2>/dev/null || code=$?
[ $code -ne 0 ] || fail "a part was told as the whole"

note "the daemon ends while a client waits"
reset
"${clone[@]}" -o "$SCRATCH/answer" 2>/dev/null &
pid=$!
wait_until 60 first_here
begun=$SECONDS
stop_daemon
assert_le $((SECONDS - begun)) 40 "s to stop"
code=0
wait $pid || code=$?
[ $code -ne 0 ] || fail "a part was told as the whole"
