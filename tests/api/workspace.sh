#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# /api/v1: changes, original, journal with long polling, reset, workspaces;
# a full and a vanished disk below the workspaces give clear errors
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl python3

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo a >"$SCRATCH/repo/a"
echo b >"$SCRATCH/repo/d/b"
git_commit "$SCRATCH/repo" one
start_daemon
M=$SCRATCH/m
API=$DAEMON_URL/api/v1
call() { # METHOD PATH [BODY] - the answer in $SCRATCH/answer, its code printed
    curl -sS --noproxy '*' -m 60 -o "$SCRATCH/answer" -w '%{http_code}' \
        -X "$1" ${3:+-H 'Content-Type: application/json' -d "$3"} "$API$2"
}
value() { # EXPRESSION of the answer v
    python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$SCRATCH/answer" "$1"
}
expect() { # CODE METHOD PATH [BODY]
    local want=$1
    shift
    assert_eq "$(call "$@")" "$want" "$* ($(cat "$SCRATCH/answer"))"
}

expect 201 POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$M"'",
    "read_only":false,"workspace":"api","uid":7,"gid":8}'
id=$(value 'v["id"]')
assert_eq "$(value 'v["read_only"], v["workspace"]')" "(False, 'api')"
assert_eq "$(stat -c %u:%g "$M/a")" 7:8
expect 400 POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$SCRATCH/x"'","uid":-5}'
expect 400 POST /mounts \
    '{"source":"'"$SCRATCH/repo"'","dir":"'"$SCRATCH/x"'","redirect":["../out"]}'
expect 400 POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$SCRATCH/x"'","workspace":"a/b"}'

# -- changes
expect 200 GET "/mounts/$id/changes"
assert_eq "$(value 'v["count"], v["changes"]')" "(0, [])"
[ -e "$M/.git" ] || fail "no .git"
expect 200 GET "/mounts/$id"
assert_eq "$(value 'v["changed"]')" 0 "our own .git is not a change"
echo more >>"$M/a"
mv "$M/d/b" "$M/c"
expect 200 GET "/mounts/$id/changes"
assert_eq "$(value '[(c["kind"], c["path"], c["from"], c["mode"], c["size"],
    c["modified"]) for c in v["changes"]]')" \
    "[('modified', 'a', None, '100644', 7, True), ('renamed', 'c', 'd/b', '100644', 2, False)]"
expect 200 GET "/mounts/$id/changes?path=c"
assert_eq "$(value 'v["count"]')" 1
expect 404 GET /mounts/nosuch/changes
expect 200 GET "/mounts/$id/original?path=a"
assert_eq "$(cat "$SCRATCH/answer")" a
expect 200 GET "/mounts/$id/original?path=c"
assert_eq "$(cat "$SCRATCH/answer")" b
expect 409 GET "/mounts/$id/original?path=d"
expect 404 GET "/mounts/$id/original?path=nosuch"

# -- journal
expect 200 GET "/mounts/$id/journal"
at=$(value 'v["clock"]')
assert_eq "$(value 'v["entries"]')" "[]"
begin=$(now_ms)
expect 200 GET "/mounts/$id/journal?since=$at&timeout=1"
assert_eq "$(value 'v["entries"]')" "[]" "nothing happened"
[ $(($(now_ms) - begin)) -ge 900 ] || fail "it did not wait"
start poll curl -sS --noproxy '*' -m 60 "$API/mounts/$id/journal?since=$at&timeout=50"
POLL=$PID
begin=$(now_ms)
touch "$M/happens"
wait_until 20 gone "$POLL"
assert_le $(($(now_ms) - begin)) $((9000 * SLOW)) "ms until a change was told"
cp "$SCRATCH/poll.log" "$SCRATCH/answer"
assert_eq "$(value 'v["entries"][0]["kind"], v["entries"][0]["path"]')" "('create', 'happens')"
[ "$(value 'v["clock"]')" != "$at" ] || fail "the clock stands still"
expect 410 GET "/mounts/$id/journal?since=1:1&timeout=1"
assert_eq "$(value 'v["code"]')" TOO_OLD
expect 200 GET "/mounts/$id/journal?since=$(value 'v["clock"]')&timeout=0"
for bad in x 1 1: :1 0:1 1:1x -1:1; do
    expect 400 GET "/mounts/$id/journal?since=$bad"
done
expect 400 GET "/mounts/$id/journal?since=$at&timeout=100000"
expect 404 GET "/mounts/nosuch/journal?since=$at"

# -- reset
expect 422 POST "/mounts/$id/reset" '{}'
expect 400 POST "/mounts/$id/reset" '{"path":"/"}'
expect 404 POST "/mounts/$id/reset" '{"path":"nosuch"}'
expect 400 POST "/mounts/$id/reset" '{"path":".git"}'
expect 404 POST /mounts/nosuch/reset '{"path":"a"}'
expect 200 POST "/mounts/$id/reset" '{"path":"c"}'
assert_eq "$(cat "$M/d/b")" b
[ ! -e "$M/c" ] || fail "c is still there"
expect 200 POST "/mounts/$id/reset" '{"all":true}'
assert_eq "$(value '[c["path"] for c in v["reset"]]')" "['a', 'happens']"
assert_same_tree "$M" "$SCRATCH/repo"

# -- a read-only view
expect 201 POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$SCRATCH/view"'","read_only":true}'
view=$(value 'v["id"]')
for path in changes "original?path=a" journal; do
    expect 409 GET "/mounts/$view/$path"
    assert_eq "$(value 'v["code"]')" READ_ONLY
done
expect 409 POST "/mounts/$view/reset" '{"all":true}'

# -- workspaces
echo kept >"$M/kept"
expect 200 GET /workspaces
assert_eq "$(value '[(w["name"], w["dir"]) for w in v["workspaces"] if w["name"] == "api"]')" \
    "[('api', '$M')]"
expect 409 DELETE /workspaces/api
assert_eq "$(value 'v["code"]')" BUSY
expect 200 DELETE "/mounts/$id"
expect 200 GET /workspaces
assert_eq "$(value '[w["dir"] for w in v["workspaces"] if w["name"] == "api"]')" "[None]"
expect 200 DELETE /workspaces/api
expect 404 DELETE /workspaces/api
expect 404 DELETE /workspaces/..%2Fstore

# -- a stop does not wait for those who listen
expect 201 POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$M"'","workspace":"api"}'
id=$(value 'v["id"]')
expect 200 GET "/mounts/$id/journal"
start poll curl -sS --noproxy '*' -m 60 \
    "$API/mounts/$id/journal?since=$(value 'v["clock"]')&timeout=50"
begin=$(now_ms)
stop_daemon
assert_le $(($(now_ms) - begin)) $((20000 * SLOW)) "ms to stop"

# -- no room
[ "$(id -u)" -eq 0 ] || exit 0
mkdir "$SCRATCH/disk"
mount -t tmpfs -o size=24m tmpfs "$SCRATCH/disk"
sed -i "s|^store_path.*|store_path = \"$SCRATCH/disk/store\"|" "$DAEMON_CONFIG"
start_daemon
scorpio_cli -q mount "$SCRATCH/repo" "$M" --rw
echo small >"$M/small"
assert_fails dd if=/dev/zero of="$M/big" bs=1M count=64
assert_contains "$OUTPUT" "No space left"
assert_eq "$(cat "$M/small")" small
rm "$M/big"
writes() { echo again >"$M/after"; }
wait_until 10 writes
assert_contains "$(scorpio_cli status "$M")" "A    small"
scorpio_cli -q reset "$M" --yes
assert_same_tree "$M" "$SCRATCH/repo"
scorpio_cli -q umount "$M"
stop_daemon
umount "$SCRATCH/disk"
