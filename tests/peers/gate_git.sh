#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Stock git at the gateway: clone, shallow, without blobs, fetch, both protocol
# versions, a part of the repository, pushes with the token and refused without;
# gateways before a Git server and before a gateway pass on
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
. "$TESTLIB/gate.sh"
requires git python3 curl

mono_repo "$SCRATCH/repo"
R=$SCRATCH/repo
git -C "$R" branch fix
# a pack larger than what git sends in one piece
head -c 3000000 /dev/urandom >"$R/project/huge"
git_commit "$R" two 1700000200
same_as() { # CLONE REV
    assert_eq "$(git -C "$1" rev-parse "HEAD^{tree}")" \
        "$(git -C "$R" rev-parse "$2^{tree}")" "tree of $1"
    git -C "$1" fsck --strict >"$SCRATCH/fsck" 2>&1 ||
        fail "$(cat "$SCRATCH/fsck")"
}

refused() { # CMD... - git says no with 128, too
    if OUTPUT=$("$@" 2>&1); then fail "this should have failed: $*"; fi
}

gateway "$SCRATCH/one" "$R" 'push_token = "let-me"'
one=$GATE

note "clones"
git clone -q "$one/.git" "$SCRATCH/c"
same_as "$SCRATCH/c" main
assert_eq "$(git -C "$SCRATCH/c" rev-parse origin/main origin/fix v1)" \
    "$(git -C "$R" rev-parse main fix v1)"
git -c protocol.version=0 clone -q --depth 1 "$one/.git" "$SCRATCH/v0"
same_as "$SCRATCH/v0" main
git clone -q --filter=blob:none "$one/.git" "$SCRATCH/lazy"
same_as "$SCRATCH/lazy" main
git clone -q --no-checkout --filter=blob:none "$one/.git" "$SCRATCH/bare"
missing=$(git -C "$SCRATCH/bare" rev-list --objects --missing=print HEAD |
    grep -c '^?')
[ "$missing" -gt 60 ] || fail "--filter=blob:none brought the blobs"

note "fetch: what is new, with many haves (a request that git compresses)"
for i in $(seq 60); do
    git -C "$SCRATCH/c" commit -q --allow-empty -m "own $i"
done
echo more >"$R/more"
git_commit "$R" three 1700000300
git -C "$SCRATCH/c" fetch -q
assert_eq "$(git -C "$SCRATCH/c" rev-parse origin/main)" \
    "$(git -C "$R" rev-parse main)"

note "a part: one commit of that directory, the same for everyone"
git clone -q "$one/project/deep.git" "$SCRATCH/part"
assert_eq "$(git -C "$SCRATCH/part" rev-parse 'HEAD^{tree}')" \
    "$(git -C "$R" rev-parse main:project/deep)"
assert_eq "$(git -C "$SCRATCH/part" rev-list --count HEAD)" 1
git clone -q "$one/project/deep.git" "$SCRATCH/part2"
assert_eq "$(git -C "$SCRATCH/part2" rev-parse HEAD)" \
    "$(git -C "$SCRATCH/part" rev-parse HEAD)"
git clone -q "$one/odd%20%2B%23%25%26%3D%3F'%22%C3%A9%20dir.git" "$SCRATCH/odd"
assert_eq "$(git -C "$SCRATCH/odd" rev-parse 'HEAD^{tree}')" \
    "$(git -C "$R" rev-parse "main:odd +#%&=?'\"é dir")"
assert_eq "$(gate_get tree/path-can-clone -d path=/project | json data)" true
assert_eq "$(gate_get tree/path-can-clone -d path=/nope | json data)" false
for none in /nope.git /run.git; do
    assert_eq "$(gate_code "$none/info/refs?service=git-upload-pack")" 404
    refused git clone -q "$one$none" "$SCRATCH/none"
done

note "pushes: nobody without the token"
git -C "$SCRATCH/c" reset -q --hard origin/main
git -C "$SCRATCH/c" commit -q --allow-empty -m pushed
refused git -C "$SCRATCH/c" push -q "$one/.git" HEAD:refs/heads/cl1
refused git -C "$SCRATCH/c" push -q "${one/\/\////me:wrong@}/.git" HEAD:refs/heads/cl1
refused git -C "$R" rev-parse -q --verify cl1
head -c 2500000 /dev/urandom >"$SCRATCH/c/pushed"
git_commit "$SCRATCH/c" pushed
git -C "$SCRATCH/c" push -q "${one/\/\////me:let-me@}/.git" HEAD:refs/heads/cl1
assert_eq "$(git -C "$R" rev-parse cl1)" "$(git -C "$SCRATCH/c" rev-parse HEAD)"
assert_eq "$(gate_get cl/cl1/files-list | json data 0 path)" pushed
refused git -C "$SCRATCH/part" push -q "${one/\/\////me:let-me@}/project/deep.git" HEAD:main
assert_contains "$OUTPUT" "push to the whole"

note "what is no request of git's"
assert_eq "$(gate_code /.git/info/refs)" 403
assert_eq "$(gate_code '/.git/info/refs?service=git-upload-archive')" 403
assert_eq "$(gate_code /.git/objects/info/packs)" 404
assert_eq "$(gate_code /.git/git-upload-pack -d x)" 415
assert_eq "$(gate_code '/.git/info/refs?service=git-receive-pack')" 401
code=$(gate_code /.git/git-upload-pack --data-binary 'zzzz' \
    -H 'Content-Type: application/x-git-upload-pack-request' || true)
note "nonsense is answered with $code"
code=$(gate_code /.git/git-upload-pack --data-binary 'no gzip' \
    -H 'Content-Encoding: gzip' \
    -H 'Content-Type: application/x-git-upload-pack-request' || true)
note "broken compression is answered with $code"
[ ! -e "$SCRATCH/one/store/scratch/git-upload-pack" ]

note "a gateway before a gateway, and one before a Git server, pass on"
gateway "$SCRATCH/two" "mono+$one"
git clone -q "$GATE/.git" "$SCRATCH/far"
same_as "$SCRATCH/far" main
git clone -q "$GATE/project/deep.git" "$SCRATCH/farpart"
assert_eq "$(git -C "$SCRATCH/farpart" rev-parse HEAD)" \
    "$(git -C "$SCRATCH/part" rev-parse HEAD)"
git -C "$SCRATCH/c" push -q "${GATE/\/\////me:let-me@}/.git" HEAD:refs/heads/cl2
assert_eq "$(git -C "$R" rev-parse cl2)" "$(git -C "$SCRATCH/c" rev-parse HEAD)"
assert_eq "$(gate_code '/nope.git/info/refs?service=git-upload-pack')" 404
stop_daemon
gateway "$SCRATCH/three" "git+$one/.git"
git clone -q "$GATE/.git" "$SCRATCH/far3"
same_as "$SCRATCH/far3" main
assert_eq "$(gate_code '/project.git/info/refs?service=git-upload-pack')" 501
