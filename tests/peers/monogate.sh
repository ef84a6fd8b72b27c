#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The gateway: a Git repository behind the read API of a Mono server, asked as
# curl asks, mounted by our own client, change lists included; two gateways in a
# row with the first one gone
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires fuse git python3 curl

mono_repo "$SCRATCH/repo"
R=$SCRATCH/repo
git -C "$R" checkout -q -b fix
echo changed >"$R/project/deep/n1"
git -C "$R" mv project/deep/er/x.sh project/deep/er/y.sh
chmod 755 "$R/project/deep/n2"
git -C "$R" rm -q project/deep/n4
mkdir "$R/project/new"
echo new >"$R/project/new/file"
ln -s file "$R/project/new/link"
git_commit "$R" fix 1700000100
git -C "$R" checkout -q main
unpack "$R" main "$SCRATCH/want"
unpack "$R" fix "$SCRATCH/want.fix"

gateway() { # DIR SOURCE - a daemon that serves it; sets GATE
    local port
    port=$(free_port)
    write_config "$1"
    printf '[monogate]\nenabled = true\nsource = "%s"\nlisten = "%s"\n' \
        "$2" "127.0.0.1:$port" >>"$DAEMON_CONFIG"
    start_daemon
    GATE=http://127.0.0.1:$port
    poll_until 20 curl -fsS --noproxy '*' -o "$SCRATCH/ready" \
        "$GATE/api/v1/status" || fail "the gateway does not answer"
}

get() { curl -fsS --noproxy '*' -m 20 -G "$GATE/api/v1/$1" "${@:2}"; }
field() { python3 -c 'import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1:]:
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, str) else json.dumps(v))' "$@"; }

gateway "$SCRATCH/one" "$R"
one=$GATE one_pid=$DAEMON_PID

note "as curl asks"
odd='/odd +#%&=?'\''"é dir'
assert_eq "$(get latest-commit | field oid)" "$(git -C "$R" rev-parse main)"
assert_eq "$(get latest-commit | field date)" \
    "$(git -C "$R" log -1 --format=%ct main)"
assert_eq "$(get tree/content-hash --data-urlencode "path=$odd" |
    field data 1 name)" 日本
assert_eq "$(get tree/content-hash -d path=/nope | field data)" '[]'
assert_eq "$(get tree/content-hash -d path=/project | field data 0 name)" deep
assert_eq "$(get tree/dir-hash -d path=/project/deep | field data 0 oid)" \
    "$(git -C "$R" rev-parse main:project/deep)"
assert_eq "$(get file/tree -d path=/project | git hash-object -t tree --stdin)" \
    "$(git -C "$R" rev-parse main:project)"
assert_eq "$(get file/blob/"$(git -C "$R" rev-parse main:project/large)" |
    git hash-object --stdin)" "$(git -C "$R" rev-parse main:project/large)"
assert_eq "$(get blob -d path=/project/deep/n7 | field data)" $'7'
for bad in 'tree/content-hash?path=../x' 'file/blob/123' \
    'tree/content-hash?path=/a//b'; do
    assert_eq "$(curl -sS --noproxy '*' -o "$SCRATCH/said" -w '%{http_code}' \
        "$GATE/api/v1/$bad")" 400 "$bad"
    assert_eq "$(field req_result <"$SCRATCH/said")" false "$bad"
done
for none in 'latest-commit?refs=nobranch' \
    file/blob/1111111111111111111111111111111111111111 cl/none/files-list; do
    assert_eq "$(curl -sS --noproxy '*' -o "$SCRATCH/said" -w '%{http_code}' \
        "$GATE/api/v1/$none")" 404 "$none"
done

note "mounted: contents, modes, links; one list a directory"
write_config "$SCRATCH/client"
start_daemon
mount_source "mono+$one" "$SCRATCH/m" --ro
assert_same_tree "$SCRATCH/m" "$SCRATCH/want"
assert_mtimes "$SCRATCH/m" "$COMMIT_TIME"
scorpio_cli umount "$SCRATCH/m"

note "a branch as a change list, with what its commit changed"
mount_source "mono+$one" "$SCRATCH/m" --ro --rev "main@fix"
assert_same_tree "$SCRATCH/m" "$SCRATCH/want.fix"
scorpio_cli umount "$SCRATCH/m"
stop_daemon

note "two in a row, the first one gone"
gateway "$SCRATCH/two" "mono+$one"
two=$GATE two_pid=$DAEMON_PID
write_config "$SCRATCH/far"
start_daemon
mount_source "mono+$two" "$SCRATCH/m" --ro
assert_same_tree "$SCRATCH/m/project" "$SCRATCH/want/project"
scorpio_cli umount "$SCRATCH/m"
stop_daemon
stop "$one_pid" TERM || true
GATE=$two
assert_eq "$(get file/blob/"$(git -C "$R" rev-parse main:project/deep/n9)")" 9 \
    "what is in the second one's store"
id=$(git -C "$R" rev-parse "fix:project/deep/n1")
code=$(curl -sS --noproxy '*' -m 100 -o "$SCRATCH/said" -w '%{http_code}' \
    "$two/api/v1/file/blob/$id")
case $code in 502 | 503 | 504) ;; *) fail "uncached: status $code" ;; esac
assert_eq "$(field req_result <"$SCRATCH/said")" false
note "uncached: $code $(field err_message <"$SCRATCH/said")"
DAEMON_PID=$two_pid
stop_daemon

note "a root that holds directories alone: still one list for each"
F=$SCRATCH/flat
git_repo "$F"
mkdir -p "$F/a/b" "$F/c"
for i in $(seq 60); do echo "$i" >"$F/a/b/$i"; done
echo 1 >"$F/c/run"
chmod 755 "$F/c/run"
git_commit "$F" one
gateway "$SCRATCH/flatgate" "$F"
server=$DAEMON_URL
asked() { DAEMON_URL=$server metric scorpio_http_requests_total; }
write_config "$SCRATCH/flatclient"
start_daemon
before=$(asked)
mount_source "mono+$GATE" "$SCRATCH/m" --ro
find "$SCRATCH/m" -printf '%s %m\n' >"$SCRATCH/walk"
assert_le $(($(asked) - before)) 20 "requests for four directories"
assert_eq "$(stat -c %a "$SCRATCH/m/c/run")" 755
scorpio_cli umount "$SCRATCH/m"
stop_daemon

note "what cannot be served is said"
write_config "$SCRATCH/bad"
printf '[monogate]\nenabled = true\nsource = "dir+%s"\n' "$SCRATCH/want" \
    >>"$DAEMON_CONFIG"
start_daemon
poll_until 20 grep -q 'no Git object ids' "$SCRATCH/daemon-$DAEMON_PORT.log" ||
    fail "$(cat "$SCRATCH/daemon-$DAEMON_PORT.log")"
