#!/bin/bash
# timeout: 300
# A mounted repository whose server misbehaves: each read ends with EIO in
# time, never with wrong bytes or "no such file", and works again without
# remounting as soon as the server does
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d
for i in $(seq 1 40); do
    seq "$i" $((i * 500)) >"$REPO/d/f$i"
    mkdir -p "$REPO/t$i/u"
    echo "$i" >"$REPO/t$i/u/leaf"
done
serve_repo
write_config
cat >>"$DAEMON_CONFIG" <<END
[fetch]
stall_timeout = "2s"
connect_timeout = "2s"
timeout = "8s"
retries = 1
[fs]
request_timeout = "10s"
read_ahead = 0
END
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"
ls -lR "$m" >/dev/null # names and sizes are here, contents may not be

next=0
must_fail() { # WHAT - reading the next cold file fails well
    local out code=0 begin
    next=$((next + 1))
    begin=$(now_ms)
    out=$(timeout $((20 * SLOW)) cat "$m/d/f$next" 2>&1 >"$SCRATCH/out") || code=$?
    note "$1: exit $code after $(($(now_ms) - begin)) ms: $out"
    case $code in
    0) fail "$1: the read succeeded" ;;
    124) fail "$1: the read hangs" ;;
    esac
    case $out in
    *"No such file"*) fail "$1: a file that exists is said not to" ;;
    *"Input/output error"* | *"timed out"* | *"Permission denied"*) ;;
    *) fail "$1: unexpected error: $out" ;;
    esac
    # what came before the error, if anything, is a prefix of the truth
    cmp -n "$(stat -c %s "$SCRATCH/out")" "$SCRATCH/out" \
        "$REPO/d/f$next" || fail "$1: wrong bytes"
}
must_work() { # WHAT - the file that failed, soon, without remounting
    wait_until 20 cmp "$m/d/f$next" "$REPO/d/f$next"
    [ "$(cat "$m/t$next/u/leaf")" = "$next" ] || fail "$1: wrong bytes"
}

if cat "$m/d/f40" >/dev/null && [ "$(fault_requests)" -eq 0 ]; then
    fail "nothing was fetched: this test shows nothing"
fi
resident=$(getfattr --only-values -n user.scorpio.tier "$m/d/f1" 2>/dev/null || true)
[ "$resident" != store ] || {
    note "contents came with the sizes: testing on fresh daemons instead"
    fresh=1
}

afresh() { # a daemon that knows nothing, with the mount in place
    [ "${fresh:-}" ] || return 0
    scorpio_cli umount "$m" 2>/dev/null || scorpio_cli umount --lazy "$m"
    stop_daemon
    rm -rf "$DAEMON_STORE"
    start_daemon
    mount_source "$FAULT_URL/repo.git" "$m" --rev main
}

for kind in '"status","code":500' '"status","code":404' '"status","code":403' \
    '"status","code":401' '"status","code":429,"retry_after":1' \
    '"truncate","after":200' '"truncate","after":30' '"corrupt","at":-40' \
    '"corrupt","at":60' '"stall","after":100,"seconds":60' \
    '"stall","after":0,"seconds":60' '"close"' \
    '"replace","body":"<html>login</html>","type":"text/html"' \
    '"replace","body":"","type":"application/x-git-upload-pack-result"'; do
    afresh
    fault_add '{"method":"POST","times":-1,"kind":'"$kind}"
    must_fail "$kind"
    fault_clear
    must_work "$kind"
done

# one bad answer is retried and nobody notices
for kind in '"status","code":500' '"status","code":503' '"close"' \
    '"truncate","after":100'; do
    afresh
    next=$((next + 1))
    fault_add '{"method":"POST","times":1,"kind":'"$kind}"
    cmp "$m/d/f$next" "$REPO/d/f$next" ||
        fail "one $kind was not survived"
    fault_clear
done

# killed and back
afresh
stop "$FAULT_PID" KILL || true
must_fail "server killed"
[ "$(find "$m" -maxdepth 1 | wc -l)" -eq 42 ] || fail "a listing broke with the server"
fault_server_again
must_work "server back"
scorpio_cli umount "$m"
