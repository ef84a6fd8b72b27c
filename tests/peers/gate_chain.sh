#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Two gateways in a row and the origin stopped: what passed through before is
# there for new clients (mounts, raw calls, LFS objects), what did not fails with
# words and in time, and nothing looks empty; the origin back, so is the rest
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"
requires fuse git git-lfs python3 curl jq

S=$SCRATCH/src
lfs_seed "$S"
mkdir "$S/cold"
echo cold >"$S/cold/file"
bytes "$S/cold/object.bin" 50000 cold
git_commit "$S" cold
mkdir "$SCRATCH/www"
start_lfs_server "$SCRATCH/www" "$SCRATCH/objects"
lfs_publish "$S" origin >/dev/null 2>&1
commit=$(git -C "$S" rev-parse main)
gateway "$SCRATCH/one" "git+$LFS_URL/origin.git" "lfs_directory = \"$SCRATCH/l1\""
one=$GATE
gateway "$SCRATCH/two" "mono+$one" "lfs_directory = \"$SCRATCH/l2\""

note "all is there: one client walks all but one directory"
write_config "$SCRATCH/c1"
start_daemon
mount_source "mono+$GATE" "$SCRATCH/m1"
find "$SCRATCH/m1" -path '*/cold' -prune -o -type f -print0 |
    xargs -0 cat >/dev/null
cmp "$SCRATCH/m1/src/b.bin" "$S/src/b.bin"
scorpio_cli umount "$SCRATCH/m1"
stop_daemon

note "the origin ends; another client, which knows nothing"
stop "$LFS_PID" || true
write_config "$SCRATCH/c2"
printf '[fs]\nrequest_timeout = "8s"\n' >>"$DAEMON_CONFIG"
start_daemon
client=$DAEMON_PORT
mount_source "mono+$GATE" "$SCRATCH/m2"
for f in a.bin src/b.bin src/x.c plain/numbers assets/run.sh \
    assets/deep/er/texture.png; do
    cmp "$SCRATCH/m2/$f" "$S/$f"
    assert_eq "$(stat -c %a,%s "$SCRATCH/m2/$f")" "$(stat -c %a,%s "$S/$f")"
done
assert_eq "$(gate_get latest-commit | json oid)" "$commit"
assert_eq "$(gate_get file/blob/"$(git -C "$S" rev-parse main:src/x.c)")" 'int x;'

note "what nobody has fails, with words"
for path in cold/file cold/object.bin; do
    assert_fails within 100 cat "$SCRATCH/m2/$path"
    case $OUTPUT in
    *error* | *"timed out"*) ;;
    *) fail "$path: $OUTPUT" ;;
    esac
done
for call in "file/blob/$(git -C "$S" rev-parse main:cold/file)" \
    'latest-commit?refs=refs/heads/other'; do
    code=$(gate_code "/api/v1/$call")
    case $code in 502 | 503 | 504) ;; *) fail "$call: $code" ;; esac
    assert_eq "$(json req_result <"$SCRATCH/said")" false
    note "$call: $code $(json err_message <"$SCRATCH/said")"
done
code=$(gate_code '/.git/info/refs?service=git-upload-pack')
case $code in 502 | 503 | 504) ;; *) fail "clone: $code" ;; esac
[ -s "$SCRATCH/said" ] || fail "a clone is refused without a word"
scorpio_cli umount "$SCRATCH/m2"
! grep -H 'was ended by signal' "$SCRATCH/daemon-$client.log" ||
    fail "the client's daemon crashed"

note "the origin is back"
start_lfs_server "$SCRATCH/www" "$SCRATCH/objects"
back() {
    [ "$(gate_code "/api/v1/file/blob/$(git -C "$S" rev-parse \
        main:cold/file)")" = 200 ]
}
wait_until 90 back
assert_eq "$(cat "$SCRATCH/said")" cold
