#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Locks of LFS files at the gateway, by stock git-lfs and by scorpio: made once
# whoever races, listed in pages, told apart by the user of the login, taken away
# by their owner or by force, there again after kill -9; refused without the
# token; those of another LFS server are asked for there
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"
requires fuse git git-lfs python3 curl jq

refused() {
    if OUTPUT=$("$@" 2>&1); then fail "this should have failed: $*"; fi
}
lock() { # USER PATH [REPOSITORY] - the status
    gate_code "${3-}/info/lfs/locks" -u "$1:let-me" \
        -d "{\"path\":\"$2\",\"ref\":{\"name\":\"refs/heads/main\"}}"
}
unlock() { # USER ID [FORCE]
    gate_code "/info/lfs/locks/$2/unlock" -u "$1:let-me" \
        -d "{\"force\":${3-false},\"ref\":{\"name\":\"refs/heads/main\"}}"
}
said() { jq -r "$1" "$SCRATCH/said"; }
listed() { # [CURL ARGS...]
    curl -fsS --noproxy '*' -m 60 -G "$GATE/info/lfs/locks" "$@"
}
as() { # USER DIR git-lfs ARGS... - as a user who sends the token
    local url=${GATE/\/\////$1:let-me@}/.git/info/lfs dir=$2
    shift 2
    timeout 60 git -C "$dir" -c lfs.url="$url" lfs "$@"
}

S=$SCRATCH/src
lfs_seed "$S"
gateway "$SCRATCH/one" "$S" 'push_token = "let-me"'
one=$GATE one_port=${GATE##*:}
git -c filter.lfs.smudge= -c filter.lfs.required=false clone -q "$one/.git" \
    "$SCRATCH/c"
git -C "$SCRATCH/c" config lfs.locksverify true

note "stock git-lfs: lock, locks, verify, unlock"
as ann "$SCRATCH/c" lock a.bin >/dev/null
refused as bob "$SCRATCH/c" lock a.bin
assert_contains "$OUTPUT" "already created lock"
as bob "$SCRATCH/c" lock 'plain/odd name+#%.bin' >/dev/null
assert_eq "$(as ann "$SCRATCH/c" locks --json | jq -r '.[] | .owner.name' |
    sort | tr '\n' ' ')" "ann bob "
assert_eq "$(as ann "$SCRATCH/c" locks --verify --json | jq -rc \
    '[(.ours|map(.path)), (.theirs|map(.path))]')" \
    '[["a.bin"],["plain/odd name+#%.bin"]]'
refused as bob "$SCRATCH/c" unlock a.bin
assert_contains "$OUTPUT" ann
as bob "$SCRATCH/c" unlock --force a.bin >/dev/null
as bob "$SCRATCH/c" unlock 'plain/odd name+#%.bin' >/dev/null
assert_eq "$(listed | jq '.locks|length')" 0

note "a push is held up by another's lock, not by one's own"
git -C "$SCRATCH/c" lfs install --local >/dev/null
bytes "$SCRATCH/c/a.bin" 5000 changed
git_commit "$SCRATCH/c" changed
as bob "$SCRATCH/c" lock a.bin >/dev/null
push() { # USER
    git -C "$SCRATCH/c" -c lfs.url="${one/\/\////$1:let-me@}/.git/info/lfs" \
        push "${one/\/\////$1:let-me@}/.git" HEAD:refs/heads/locked
}
refused push ann
assert_contains "$OUTPUT" "a.bin"
push bob >/dev/null 2>&1
as bob "$SCRATCH/c" unlock --force a.bin >/dev/null

note "nobody without the token"
assert_eq "$(gate_code /info/lfs/locks -d '{"path":"a.bin"}')" 401
assert_eq "$(gate_code /info/lfs/locks -u me:no -d '{"path":"a.bin"}')" 401
assert_eq "$(gate_code /info/lfs/locks/verify -d '{}')" 401
assert_eq "$(gate_code /info/lfs/locks/1/unlock -d '{}')" 401
for bad in '' nonsense '[]' '{}' '{"path":5}' '{"path":""}' '{"path":"/a"}' \
    '{"path":"a/../b"}' '{"path":"a//b"}' '{"path":"a\nb"}'; do
    code=$(gate_code /info/lfs/locks -u me:let-me -d "$bad")
    case $code in 400 | 422) ;; *) fail "$bad: $code" ;; esac
    [ "$(said .message)" ] || fail "no message for $bad"
done
for id in 99 nonsense 0 -1; do
    assert_eq "$(unlock me "$id")" 404 "no lock $id"
done

note "one of many who want the same; as many as want different ones"
seq 8 | xargs -P 8 -I{} curl -sS --noproxy '*' -m 60 -o /dev/null \
    -w '%{http_code}\n' -u 'u{}:let-me' -d '{"path":"raced"}' \
    "$GATE/info/lfs/locks" >"$SCRATCH/codes"
assert_eq "$(sort "$SCRATCH/codes" | uniq -c | tr -s ' \n' ' ')" " 1 201 7 409 "
seq 230 | xargs -P 8 -I{} curl -sS --noproxy '*' -m 60 -o /dev/null \
    -w '%{http_code}\n' -u 'ann:let-me' -d '{"path":"many/{}"}' \
    "$GATE/info/lfs/locks" >"$SCRATCH/codes"
assert_eq "$(sort "$SCRATCH/codes" | uniq -c | tr -s ' \n' ' ')" " 230 201 "

note "in pages, by path, by id; what is taken away meanwhile moves no page"
assert_eq "$(listed | jq '.locks|length')" 100
next=$(listed -d limit=60 | jq -r .next_cursor)
id=$(listed -d path=many/7 | jq -r '.locks[0].id')
assert_eq "$(listed -d id="$id" | jq -r '.locks[0].path')" many/7
first=$(listed -d limit=1 | jq -r '.locks[0].id')
assert_eq "$(unlock ann "$first" true)" 200
assert_eq "$(said .lock.path)" raced
assert_eq "$(listed -d limit=1 -d cursor="$next" | jq -r '.locks[0].id')" "$next"
assert_eq "$(gate_code '/info/lfs/locks?limit=x')" 422
assert_eq "$(gate_code '/info/lfs/locks?cursor=x')" 422
assert_eq "$(as ann "$SCRATCH/c" locks --json | jq length)" 230
assert_eq "$(as ann "$SCRATCH/c" locks --verify --json | jq -c \
    '[(.ours|length),(.theirs|length)]')" '[230,0]'

note "a directory as a repository has its own paths"
assert_eq "$(lock ann x.c /src.git)" 201
assert_eq "$(said .lock.path)" x.c
assert_eq "$(lock bob src/x.c)" 409
assert_eq "$(said .lock.owner.name)" ann
assert_eq "$(curl -fsS --noproxy '*' "$GATE/src.git/info/lfs/locks" |
    jq -c '[.locks[].path]')" '["x.c"]'
assert_eq "$(gate_code "/src.git/info/lfs/locks/$id/unlock" -u ann:let-me \
    -d '{}')" 404 "a lock elsewhere"

note "scorpio's own commands, in a mount"
(umask 077 && echo 'machine 127.0.0.1 login cleo password let-me' \
    >"$HOME/.netrc")
mount_source "mono+$GATE" "$SCRATCH/m" --rw
scorpio_cli lfs lock "$SCRATCH/m/a.bin"
assert_eq "$(listed -d path=a.bin | jq -r '.locks[0].owner.name')" cleo
assert_eq "$(scorpio_cli lfs locks "$SCRATCH/m" --json | jq length)" 232
refused scorpio_cli lfs lock "$SCRATCH/m/a.bin"
assert_contains "$OUTPUT" cleo
refused scorpio_cli lfs unlock "$SCRATCH/m/src/x.c"
scorpio_cli lfs unlock --force "$SCRATCH/m/src/x.c"
scorpio_cli umount "$SCRATCH/m"

note "what was acknowledged is there after kill -9, and no id is used twice"
listed -d limit=100 | jq -c '.locks|map([.id,.path])' >"$SCRATCH/before"
last=$(lock ann last >/dev/null && said .lock.id)
assert_eq "$(unlock ann "$last")" 200
kill -KILL "$(daemon_process)"
poll_until 20 curl -fsS --noproxy '*' -o /dev/null "$GATE/api/v1/status"
assert_eq "$(listed -d limit=100 | jq -c '.locks|map([.id,.path])')" \
    "$(cat "$SCRATCH/before")"
assert_eq "$(lock ann last)" 201
[ "$(said .lock.id)" -gt "$last" ] || fail "id $(said .lock.id) again"
stop_daemon
file=$S/.git/lfs/scorpio-locks.json
cp "$file" "$SCRATCH/good"
head -c 100 "$SCRATCH/good" >"$file"
start_daemon
poll_until 20 curl -fsS --noproxy '*' -o /dev/null "$GATE/api/v1/status"
assert_eq "$(gate_code /info/lfs/locks)" 500 "a damaged file is no empty list"
assert_eq "$(lock ann other)" 500
cmp <(head -c 100 "$SCRATCH/good") "$file"
cp "$SCRATCH/good" "$file"

note "a gateway before a gateway passes on, with the login"
gateway "$SCRATCH/two" "mono+$one"
assert_eq "$(lock dan far)" 201
assert_eq "$(said .lock.owner.name)" dan
assert_eq "$(listed -d path=far | jq -r '.locks[0].owner.name')" dan
assert_eq "$(as dan "$SCRATCH/c" locks --verify --json | jq -c \
    '.ours|map(.path)')" '["far"]'
assert_eq "$(unlock dan "$(listed -d path=far | jq -r '.locks[0].id')")" 200
assert_eq "$(GATE=http://127.0.0.1:$one_port gate_code /info/lfs/locks?path=far)" 200
assert_eq "$(said '.locks|length')" 0
