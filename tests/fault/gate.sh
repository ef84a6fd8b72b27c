#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 280
# Each call of the gateway against requests that are none, ids that nobody has,
# clients that dawdle, and a server behind it that stalls, lies, breaks off or is
# away: an error with words, in time, and never something empty or wrong that
# looks whole; afterwards it serves as before
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
. "$TESTLIB/gate.sh"
requires git python3 curl

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
R=$SCRATCH/repo
blob() { git -C "$R" rev-parse "main:$1"; }
gateway "$SCRATCH/near" "$R" 'push_token = "t"'

note "requests that are none"
zeros=$(printf '%040d' 0)
long=$(printf 'a%.0s' $(seq 9000))
say() { # WANTED PATH [CURL ARGS...] - one of the statuses, and words
    local code
    code=$(gate_code "$2" "${@:3}" --path-as-is)
    case " $1 " in
    *" $code "*) ;;
    *) fail "${2:0:80}: $code: $(head -c 300 "$SCRATCH/said")" ;;
    esac
    [ -s "$SCRATCH/said" ] || [ "$code" = 416 ] || fail "${2:0:80}: no words"
}
for call in tree tree/content-hash tree/dir-hash tree/commit-info file/tree \
    tree/path-can-clone; do
    for path in x ../x /../x /a//b /. "/$long"; do
        say "400 404 414 431" "/api/v1/$call?path=$path"
    done
    say "404 502" "/api/v1/$call?path=/&refs=$zeros"
    say "400 404" "/api/v1/$call?path=/&refs=no%0Asuch"
    say "400 404" "/api/v1/$call?path=/&refs=--upload-pack=x"
done
for oid in x 123 "$zeros$zeros" "${zeros/0/g}" %00 ..%2f..%2fetc; do
    say "400 404" "/api/v1/file/blob/$oid"
    say "400 404 422" "/info/lfs/objects/$oid"
done
say "404 502" "/api/v1/file/blob/$zeros"
say "400 404" "/api/v1/file/tree?path=/&oid=xyz"
for link in nope "$long" %2e%2e --help a%0ab 'x%5e%7bcommit%7d'; do
    say "400 404 414" "/api/v1/cl/$link/files-list"
    say "400 404 414" "/api/v1/cl/$link/detail"
done
say "400 415" /api/v1/cl/list -d nonsense
say 405 /api/v1/cl/list
say 405 /api/v1/tree -X DELETE
say 404 /api/v2/tree
say "400 404" "/$long/x.git/info/refs?service=git-upload-pack"
say "400 404" '/a%2f..%2fb.git/info/refs?service=git-upload-pack'
say "400 403 404" "/.git/objects/../../config"
say "400 404" '/..%2f..%2fetc.git/info/refs?service=git-upload-pack'
say "200 404" '/api/v1/blob?path=/project/deep/n1'
assert_eq "$(gate_get blob -d path=/nope | json data)" null

note "clients that dawdle do not hold up others"
python3 - "${GATE#http://}" "$SCRATCH/ready" <<'END' &
import socket, sys, time
host, port = sys.argv[1].split(":")
kept = []
for i in range(40):
    s = socket.create_connection((host, int(port)))
    s.sendall(b"GET /api/v1/tree HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
    kept.append(s)
for i in range(10):  # asks for much and reads nothing
    s = socket.create_connection((host, int(port)))
    s.sendall(b"GET /.git/info/refs?service=git-upload-pack HTTP/1.1\r\n"
              b"Host: 127.0.0.1\r\n\r\n" * 50)
    kept.append(s)
open(sys.argv[2], "w").close()
time.sleep(600)
END
STARTED+=($!)
slow=$!
wait_until 30 test -e "$SCRATCH/ready"
assert_eq "$(within 30 curl -fsS --noproxy '*' \
    "$GATE/api/v1/file/blob/$(blob project/deep/n3)")" 3
stop "$slow" KILL || true
assert_eq "$(gate_get file/blob/"$(blob project/deep/n4)")" 4
stop_daemon

note "a server behind that is not well"
fault_one() { # KIND
    local code kind=$1 call n=$((${kinds[$1]} + 10)) got
    mono_reset
    mono_fault "{\"match\":\".\",\"kind\":\"$kind\",\"status\":500,\"seconds\":30}"
    for call in "file/blob/$(blob "project/deep/n$n")" \
        'tree/content-hash?path=/project/deep' 'latest-commit?refs=v1' \
        'file/tree?path=/project/deep/er' 'tree/commit-info?path=/project'; do
        code=$(gate_code "/api/v1/$call")
        case $code in
        50[0234]) assert_eq "$(json req_result <"$SCRATCH/said")" false ;;
        200) # what it knew already, or what it could check
            got=$(cat "$SCRATCH/said")
            case $call in
            file/blob/*) assert_eq "$got" "$n" "$kind: $call" ;;
            tree/content-hash*) assert_contains "$got" n60 "$kind: $call" ;;
            file/tree*) [ -s "$SCRATCH/said" ] || fail "$kind: empty" ;;
            esac ;;
        404 | 409) [ "${call#tree/commit-info}" != "$call" ] ||
            fail "$kind: $call is said not to exist" ;;
        *) fail "$kind: $call: $code" ;;
        esac
    done
}
start_mono --extras
gateway "$SCRATCH/far" "mono+$MONO_URL" '[fetch]' 'stall_timeout = "1s"' \
    'timeout = "3s"'
gate_get latest-commit >/dev/null
declare -A kinds=([status]=1 [close]=2 [truncate]=3 [wrong]=4 [empty]=5 [stall]=6)
for kind in status close truncate wrong stall; do
    fault_one "$kind"
done
mono_reset
well() {
    [ "$(gate_code "/api/v1/file/blob/$(blob project/deep/n30)")" = 200 ] &&
        [ "$(cat "$SCRATCH/said")" = 30 ]
}
wait_until 60 well
assert_contains "$(gate_get tree/content-hash -d path=/project/deep)" n60

note "and away"
stop "$MONO_PID" KILL || true
code=$(gate_code "/api/v1/file/blob/$(blob project/deep/n31)")
case $code in 50[234]) ;; *) fail "away: $code" ;; esac
assert_eq "$(gate_get file/blob/"$(blob project/deep/n30)")" 30 "what is here"
