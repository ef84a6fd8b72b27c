#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# git lfs push through a gateway that stands before another LFS server, or before
# another gateway: what is right goes on, with the client's login, and is kept;
# what is wrong, or not allowed, is refused. Where clients send the gateway's own
# token, nobody writes with the gateway's login but who has the push token
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"
requires git git-lfs python3 curl jq

refused() {
    if OUTPUT=$("$@" 2>&1); then fail "this should have failed: $*"; fi
}
push() { # DIR URL - all objects of main, by stock git-lfs
    timeout 90 git -C "$1" -c lfs.url="$2/.git/info/lfs" \
        -c lfs.transfer.maxretries=2 lfs push --all "$2/.git" main
}
batch() { # OID SIZE [CURL ARGS...] - an upload
    gate_code /info/lfs/objects/batch \
        -H 'Content-Type: application/vnd.git-lfs+json' -d \
        "{\"operation\":\"upload\",\"transfers\":[\"basic\"],
          \"objects\":[{\"oid\":\"$1\",\"size\":$2}]}" "${@:3}"
}
put() { # OID FILE [CURL ARGS...]
    gate_code "/info/lfs/objects/$1" -X PUT --data-binary "@$2" "${@:3}"
}
at() { echo "$1/${2:0:2}/${2:2:2}/$2"; } # DIR OID
login() { echo "${1/\/\////me:let-me@}"; } # URL

S=$SCRATCH/src
lfs_seed "$S"
git_repo "$SCRATCH/plain" # the server's repository need not have them
git_commit "$SCRATCH/plain" empty
a=$(oid_of "$S/a.bin") b=$(oid_of "$S/src/b.bin")
none=$(oid_of /dev/null)
other=$(printf '%064d' 7)

note "before an LFS server that wants a login"
mkdir "$SCRATCH/www"
start_lfs_server "$SCRATCH/www" "$SCRATCH/objects" --lfs-user me:let-me
git init -q --bare -b main "$SCRATCH/www/origin.git"
git -C "$SCRATCH/plain" push -q "$SCRATCH/www/origin.git" main
gateway "$SCRATCH/far" "git+$LFS_URL/origin.git" \
    "lfs_directory = \"$SCRATCH/kept\""
refused env GIT_TERMINAL_PROMPT=0 push "$S" "$GATE"
assert_eq "$(lfs_stat uploads)" 0
push "$S" "$(login "$GATE")" >"$SCRATCH/push" 2>&1 || fail "$(cat "$SCRATCH/push")"
for f in a.bin src/b.bin assets/deep/er/texture.png; do
    cmp "$S/$f" "$SCRATCH/objects/$(oid_of "$S/$f")"
    cmp "$S/$f" "$(at "$SCRATCH/kept" "$(oid_of "$S/$f")")"
done
n=$(lfs_stat uploads)
assert_eq "$(lfs_stat verified)" "$n" "uploads that the server was told of"
push "$S" "$(login "$GATE")" >"$SCRATCH/push" 2>&1
assert_eq "$(lfs_stat uploads)" "$n" "what is there is not sent again"
assert_eq "$(put "$b" "$S/src/b.bin" -u me:let-me)" 200 "nor when it is sent"
assert_eq "$(lfs_stat uploads)" "$n"

note "what is wrong, or not allowed"
rm "$SCRATCH/objects/$a" "$(at "$SCRATCH/kept" "$a")"
assert_eq "$(batch "$a" 100000)" 401
grep -qi '"message"' "$SCRATCH/said"
assert_eq "$(batch "$a" 100000 -u me:wrong)" 403
assert_eq "$(batch "$a" 100000 -u me:let-me)" 200
assert_eq "$(jq -r '.objects[0].actions.upload.href' "$SCRATCH/said")" \
    "$GATE/info/lfs/objects/$a?size=100000" "through the gateway"
assert_eq "$(put "$a" "$S/src/b.bin" -u me:let-me)" 422 "another content"
assert_eq "$(put "$a" "$S/a.bin")" 401
assert_eq "$(put "$a" "$S/a.bin" -u me:wrong)" 403
[ ! -e "$SCRATCH/objects/$a" ] || fail "it came through"
[ ! -e "$(at "$SCRATCH/kept" "$a")" ] || fail "what the server refused is kept"
[ ! -e "$SCRATCH/objects/$other" ] || fail "it came through"
assert_eq "$(lfs_stat uploads)" "$n"

note "many who send the same: one upload"
pids=()
for i in 1 2 3 4; do
    put "$a" "$S/a.bin" -u me:let-me >"$SCRATCH/code$i" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
assert_eq "$(cat "$SCRATCH"/code?)" 200200200200
assert_eq "$(lfs_stat uploads)" $((n + 1))
cmp "$S/a.bin" "$SCRATCH/objects/$a"
lfs_obedient
rm "$SCRATCH/objects/$a"

note "the gateway's own login is for reading"
stop_daemon
gateway "$SCRATCH/has" "git+$(login "$LFS_URL")/origin.git"
assert_eq "$(gate_code /info/lfs/objects/batch \
    -H 'Content-Type: application/vnd.git-lfs+json' -d \
    "{\"operation\":\"download\",\"objects\":[{\"oid\":\"$b\",\"size\":$(
        stat -c %s "$S/src/b.bin")}]}")" 200
assert_eq "$(jq -r '.objects[0].error' "$SCRATCH/said")" null
assert_eq "$(batch "$a" 100000)" 401
assert_eq "$(put "$a" "$S/a.bin")" 401
[ ! -e "$SCRATCH/objects/$a" ] || fail "it came through"
lfs_locks() {
    gate_code "/info/lfs/$1" -H 'Content-Type: application/vnd.git-lfs+json' "${@:2}"
}
assert_eq "$(lfs_locks locks -d '{"path":"a.bin"}')" 401
assert_eq "$(batch "$a" 100000 -u me:let-me)" 200
stop "$LFS_PID" || true
case $(batch "$a" 100000 -u me:let-me) in
502 | 503 | 504) ;; *) fail "without the server: $(cat "$SCRATCH/said")" ;;
esac
case $(put "$a" "$S/a.bin" -u me:let-me) in
502 | 503 | 504) ;; *) fail "without the server: $(cat "$SCRATCH/said")" ;;
esac
stop_daemon

note "through two gateways, objects and commits"
git init -q --bare -b main "$SCRATCH/bare.git"
git -C "$SCRATCH/plain" push -q "$SCRATCH/bare.git" main
gateway "$SCRATCH/one" "$SCRATCH/bare.git" 'push_token = "let-me"'
one=$GATE
gateway "$SCRATCH/two" "mono+$one"
two=$GATE
refused env GIT_TERMINAL_PROMPT=0 push "$S" "$two"
push "$S" "$(login "$two")" >"$SCRATCH/push" 2>&1 || fail "$(cat "$SCRATCH/push")"
cmp "$S/src/b.bin" "$(at "$SCRATCH/bare.git/lfs/objects" "$b")"
cmp "$S/a.bin" "$(at "$SCRATCH/bare.git/lfs/objects" "$a")"
assert_eq "$(put "$none" /dev/null -u me:let-me)" 200
[ -e "$(at "$SCRATCH/bare.git/lfs/objects" "$none")" ] || fail "no empty object"
git -C "$S" push -q --no-verify "$(login "$two")/.git" main:refs/heads/new
assert_eq "$(git -C "$SCRATCH/bare.git" rev-parse new)" \
    "$(git -C "$S" rev-parse main)"

note "a gateway with a token of its own"
own() { # LINES...
    stop_daemon
    rm -rf "$SCRATCH/own"
    gateway "$SCRATCH/own" "mono+$one" 'token = "read"' "$@"
}
gateway "$SCRATCH/own" "mono+$one" 'token = "read"'
code() { gate_code "$@" -u me:read; }
assert_eq "$(batch "$a" 100000 -u me:read)" 403
assert_eq "$(put "$a" "$S/a.bin" -u me:read)" 403
assert_eq "$(code '/.git/info/refs?service=git-receive-pack')" 403
assert_eq "$(code /.git/git-receive-pack -X POST -d x)" 403
assert_eq "$(code /info/lfs/locks -H 'Content-Type: application/vnd.git-lfs+json' \
    -d '{"path":"a.bin"}')" 403
own 'push_token = "write"'
assert_eq "$(batch "$a" 100000 -u me:read)" 401
assert_eq "$(code '/.git/info/refs?service=git-receive-pack')" 401
own 'push_token = "read"'
# the push token opens it; the server behind has the last word
assert_eq "$(batch "$a" 100000 -u me:read)" 401
assert_contains "$(cat "$SCRATCH/said")" "behind this gateway answers 401"
stop_daemon

note "a repository of this machine whose objects are elsewhere"
gateway "$SCRATCH/local" "$SCRATCH/bare.git" 'push_token = "write"' \
    "lfs_url = \"$one/info/lfs\""
assert_eq "$(batch "$other" 5 -u me:let-me)" 200 "the login of that place"
# our push token is not told to another server
assert_eq "$(batch "$other" 5 -u me:write)" 401
