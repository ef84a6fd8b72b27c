#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Stock git-lfs at the gateway: clone, pull, push with the token; parts of an
# object; what is not what it says is refused; our own mount with its LFS layer.
# A gateway before an LFS server brings each object once, goes on where a
# transfer broke off, keeps what is right only, and serves that without it
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"
requires fuse git git-lfs python3 curl jq

lfs_clone() { # URL DIR
    git -c filter.lfs.process="git-lfs filter-process" \
        -c filter.lfs.smudge="git-lfs smudge -- %f" \
        -c filter.lfs.clean="git-lfs clean -- %f" \
        -c filter.lfs.required=true clone -q "$1" "$2"
}
refused() {
    if OUTPUT=$("$@" 2>&1); then fail "this should have failed: $*"; fi
}
batch() { # OPERATION OID SIZE [CURL ARGS...]
    gate_code /info/lfs/objects/batch \
        -H 'Content-Type: application/vnd.git-lfs+json' -d \
        "{\"operation\":\"$1\",\"transfers\":[\"basic\"],\"hash_algo\":\"sha256\",
          \"objects\":[{\"oid\":\"$2\",\"size\":$3}]}" "${@:4}"
}
said() { jq -r "$1" "$SCRATCH/said"; }

S=$SCRATCH/src
lfs_seed "$S"
big=$(oid_of "$S/src/b.bin")
gateway "$SCRATCH/one" "$S" 'push_token = "let-me"'
one=$GATE

note "clone, and a mount of our own"
lfs_clone "$one/.git" "$SCRATCH/c"
for f in a.bin src/b.bin assets/deep/er/texture.png assets/nothing; do
    cmp "$SCRATCH/c/$f" "$S/$f"
done
mount_source "mono+$one" "$SCRATCH/m"
assert_eq "$(stat -c %s "$SCRATCH/m/src/b.bin")" 3000000
assert_same_tree "$SCRATCH/m" "$SCRATCH/c"
scorpio_cli umount "$SCRATCH/m"

note "parts of an object"
get() { curl -fsS --noproxy '*' -m 30 "$GATE/info/lfs/objects/$big" "$@"; }
cmp <(get) "$S/src/b.bin"
cmp <(get -r 1000000-) <(tail -c +1000001 "$S/src/b.bin")
cmp <(get -r 5-104) <(dd if="$S/src/b.bin" bs=1 skip=5 count=100 \
    status=none)
assert_eq "$(gate_code "/api/v1/lfs/objects/$big" -r 3000000-)" 416
assert_eq "$(gate_code "/a/b/info/lfs/objects/$big")" 200

note "push: with the token only, and only what it says"
bytes "$SCRATCH/c/new.bin" 200000 new
git -C "$SCRATCH/c" config filter.lfs.clean "git-lfs clean -- %f"
git -C "$SCRATCH/c" config filter.lfs.required true
git -C "$SCRATCH/c" config filter.lfs.process "git-lfs filter-process"
git_commit "$SCRATCH/c" new
new=$(oid_of "$SCRATCH/c/new.bin")
with=${one/\/\////me:let-me@}
refused timeout 60 git -C "$SCRATCH/c" lfs push "$one/.git" main
assert_eq "$(gate_code "/info/lfs/objects/$new")" 404
git -C "$SCRATCH/c" lfs push "$with/.git" main >"$SCRATCH/push" 2>&1 ||
    fail "$(cat "$SCRATCH/push")"
cmp "$SCRATCH/c/new.bin" "$S/.git/lfs/objects/${new:0:2}/${new:2:2}/$new"
git -C "$SCRATCH/c" push -q --no-verify "$with/.git" HEAD:refs/heads/cl1
lfs_clone "$one/.git" "$SCRATCH/c2"
git -C "$SCRATCH/c2" -c lfs.url="$one/.git/info/lfs" lfs pull
put() { # OID FILE [CURL ARGS...]
    gate_code "/info/lfs/objects/$1" -X PUT --data-binary "@$2" "${@:3}"
}
other=$(printf '%064d' 7)
assert_eq "$(put "$other" "$SCRATCH/c/new.bin" -u me:let-me)" 422 "wrong content"
assert_eq "$(put "$other" "$SCRATCH/c/new.bin")" 401
assert_eq "$(put short "$SCRATCH/c/new.bin" -u me:let-me)" 422
assert_eq "$(gate_code "/info/lfs/objects/$other")" 404

note "batches that are none"
for bad in '' nonsense '[]' '{"operation":"download"}' \
    '{"operation":"steal","objects":[]}' \
    '{"operation":"download","objects":[{"oid":"zz","size":1}]}' \
    "{\"operation\":\"download\",\"objects\":[{\"oid\":\"$big\",\"size\":-1}]}" \
    "{\"operation\":\"download\",\"objects\":[{\"oid\":\"$big\"}]}" \
    '{"operation":"download","hash_algo":"md5","objects":[]}' \
    '{"operation":"download","transfers":["tus"],"objects":[]}'; do
    code=$(gate_code /info/lfs/objects/batch -d "$bad" \
        -H 'Content-Type: application/vnd.git-lfs+json')
    case $code in 400 | 422) ;; *) fail "$bad: $code" ;; esac
    [ "$(said .message)" ] || fail "no message for $bad"
done
assert_eq "$(batch download "$big" 3000000)" 200
assert_eq "$(said '.objects[0].actions.download.href')" \
    "$one/info/lfs/objects/$big?size=3000000"
assert_eq "$(batch download "$big" 5)" 200
assert_eq "$(said '.objects[0].error.code')" 422 "another size"
assert_eq "$(batch download "$other" 5)" 200
assert_eq "$(said '.objects[0].error.code')" 404
assert_eq "$(batch upload "$big" 3000000 -u me:let-me)" 200
assert_eq "$(said '.objects[0].actions')" null "what is here is not sent again"
assert_eq "$(batch upload "$other" 5)" 401
stop_daemon

note "before an LFS server: each object once, for many"
mkdir "$SCRATCH/www"
start_lfs_server "$SCRATCH/www" "$SCRATCH/objects"
lfs_publish "$S" origin
lfs_reset
gateway "$SCRATCH/far" "git+$LFS_URL/origin.git" \
    "lfs_directory = \"$SCRATCH/kept\""
pids=()
for i in 1 2 3 4 5 6; do
    get -o "$SCRATCH/part$i" -G -d size=3000000 &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
for i in 1 2 3 4 5 6; do cmp "$SCRATCH/part$i" "$S/src/b.bin"; done
assert_eq "$(lfs_stat downloads)" 1 "transfers of one object for six readers"
lfs_clone "$GATE/.git" "$SCRATCH/c3"
cmp "$SCRATCH/c3/a.bin" "$S/a.bin"
cmp "$SCRATCH/c3/src/b.bin" "$S/src/b.bin"
note "downloads: $(lfs_stat downloads)"
assert_le "$(lfs_stat downloads)" 4 "transfers of the objects for a clone"

note "a transfer that breaks goes on; what is wrong is not served, nor kept"
a=$(oid_of "$S/a.bin")
forget() { # OID
    rm -f "$SCRATCH/kept/${1:0:2}/${1:2:2}/$1"
    lfs_reset
}
forget "$big"
lfs_fault '{"kind": "cut", "after": 1000000}'
cmp <(get -G -d size=3000000) "$S/src/b.bin"
assert_eq "$(lfs_stat ranges)" 1 "what was missing only"
forget "$a"
lfs_fault '{"kind": "wrong", "times": -1}'
code=0
curl -sS --noproxy '*' -m 60 -o "$SCRATCH/got" \
    "$GATE/info/lfs/objects/$a?size=100000" 2>/dev/null || code=$?
cmp -s "$SCRATCH/got" "$S/a.bin" && fail "wrong content came through"
[ $code -ne 0 ] || [ "$(stat -c %s "$SCRATCH/got")" -ne 100000 ] ||
    fail "wrong content of the full length was served"
[ ! -e "$SCRATCH/kept/${a:0:2}/${a:2:2}/$a" ] || fail "wrong content is kept"
lfs_reset
case $(gate_code "/info/lfs/objects/$a?size=77") in
404 | 502) ;; *) fail "another size: $(cat "$SCRATCH/said")" ;;
esac
lfs_reset
cmp <(curl -fsS --noproxy '*' "$GATE/info/lfs/objects/$a?size=100000") "$S/a.bin"
assert_eq "$(batch download "$other" 5)" 200
assert_eq "$(said '.objects[0].error.code')" 404

note "the LFS server gone: what is here is served, the rest is said"
forget "$a"
stop "$LFS_PID" || true
assert_eq "$(batch download "$big" 3000000)" 200
cmp <(get) "$S/src/b.bin"
assert_eq "$(batch download "$a" 100000)" 200
assert_eq "$(said '.objects[0].error.code')" 502
case $(gate_code "/info/lfs/objects/$a?size=100000") in
502 | 503 | 504) ;; *) fail "uncached: $(cat "$SCRATCH/said")" ;;
esac
