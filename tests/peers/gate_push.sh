#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# Pushes through the gateway make change lists: to refs/cl, refs/changes or a
# branch, at once in cl/list and files-list, and in a mount with that change list;
# a second push moves it; a source that cannot be written says so
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gate.sh"
requires fuse git python3 curl jq

refused() {
    if OUTPUT=$("$@" 2>&1); then fail "this should have failed: $*"; fi
}
links() {
    curl -fsS --noproxy '*' -m 60 -H 'Content-Type: application/json' -d \
        '{"pagination":{"page":1,"per_page":50},"additional":{"asc":true}}' \
        "$GATE/api/v1/cl/list" | jq -c '[.data.items[].link]'
}
files() { gate_get "cl/$1/files-list" | jq -c '[.data[]|[.action,.path]]'; }

R=$SCRATCH/repo
git_repo "$R"
mkdir -p "$R/a/b"
echo 1 >"$R/a/b/one"
echo 1 >"$R/a/two"
git_commit "$R" first 1700000000
gateway "$SCRATCH/one" "$R" 'push_token = "let-me"' 'cl_prefix = "cl/"'
one=$GATE
C=$SCRATCH/c
git clone -q "$one/.git" "$C"
to=${one/\/\////me:let-me@}/.git
assert_eq "$(links)" '[]'

note "a push to refs/cl is a change list, in a mount at once"
git -C "$C" mv a/two a/three
echo 2 >"$C/a/b/one"
git_commit "$C" "change seven" 1700000100
git -C "$C" push -q "$to" HEAD:refs/cl/7
assert_eq "$(links)" '["7"]'
assert_eq "$(files 7)" \
    '[["modified","a/b/one"],["new","a/three"],["deleted","a/two"]]'
mount_source "mono+$one" "$SCRATCH/m" --rev main@7
assert_same_tree "$SCRATCH/m/a" "$C/a"
scorpio_cli umount "$SCRATCH/m"

note "another push moves it"
echo 3 >"$C/a/four"
git -C "$C" add -A
git -C "$C" commit -q --amend -m "change seven, better"
git -C "$C" push -q -f "$to" HEAD:refs/cl/7
assert_eq "$(links)" '["7"]'
assert_contains "$(files 7)" a/four
mount_source "mono+$one" "$SCRATCH/m2" --rev main@7
assert_same_tree "$SCRATCH/m2/a" "$C/a"
scorpio_cli umount "$SCRATCH/m2"

note "refs/changes and branches too; one link is told once"
git -C "$C" push -q "$to" HEAD:refs/changes/34/1234/1 HEAD:refs/heads/cl/8 \
    HEAD~1:refs/heads/cl/7
assert_eq "$(links | jq -c sort)" '["34/1234/1","7","8"]'
assert_eq "$(files 34%2F1234%2F1)" "$(files 8)"
assert_contains "$(files 7)" a/four "refs/cl before the branch"
git -C "$C" push -q "$to" :refs/cl/7 :refs/heads/cl/7
assert_eq "$(links | jq -c sort)" '["34/1234/1","8"]'
assert_eq "$(gate_code /api/v1/cl/7/files-list)" 404

note "through a gateway before this one"
gateway "$SCRATCH/two" "mono+$one"
git -C "$C" push -q "${GATE/\/\////me:let-me@}/.git" HEAD:refs/cl/9
assert_eq "$(links | jq -c sort)" '["34/1234/1","8","9"]'
assert_contains "$(files 9)" a/four
stop_daemon

note "a source that takes none"
gateway "$SCRATCH/three" "git+ssh://nobody@127.0.0.1:1/none.git" \
    'push_token = "let-me"'
refused timeout 60 git -C "$C" push "${GATE/\/\////me:let-me@}/.git" HEAD:refs/cl/9
assert_eq "$(gate_code '/.git/info/refs?service=git-receive-pack' \
    -u me:let-me)" 501
assert_contains "$(cat "$SCRATCH/said")" "neither a repository of its machine"
assert_eq "$(gate_code /api/v1/cl/list -d \
    '{"pagination":{"page":1,"per_page":5}}')" 501
