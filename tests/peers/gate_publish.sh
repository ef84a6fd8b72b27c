#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# /api/git of one daemon against the gateway of another: a commit with files of Git
# LFS, moved, changed, new and removed ones; the objects are at the gateway, which
# refuses who has no token; stock git-lfs reads it back
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"

S=$SCRATCH/src
lfs_seed "$S"
git -C "$S" config receive.denyCurrentBranch ignore
gateway "$SCRATCH/one" "$S" 'push_token = "s3cret"'
write_config "$SCRATCH/two"
sed -i "1i base_url = \"$GATE\"\nworkspace = \"$SCRATCH/mount\"" "$DAEMON_CONFIG"
sed -i "1i config_file = \"$SCRATCH/two/config.toml\"" "$DAEMON_CONFIG"
cat >>"$DAEMON_CONFIG" <<END
[mono]
token_file = "$SCRATCH/token"
END
echo other >"$SCRATCH/token"
start_daemon
top=$SCRATCH/mount
wait_until 20 test -s "$top/a.bin"

call() { # METHOD PATH [BODY]
    curl -sS --noproxy '*' -m 120 -X "$1" ${3:+-H "Content-Type: application/json" -d "$3"} \
        "$DAEMON_URL/api/$2"
}
call POST fs/mount '{"path": "/"}' | jq -e '.status == "Success"' >/dev/null
was=$(git -C "$S" rev-parse main)
bytes "$top/a.bin" 120000 changed
bytes "$top/src/new.bin" 2000000 new
mv "$top/src/b.bin" "$top/assets/moved.bin"
rm "$top/plain/odd name+#%.bin"
echo 'int y;' >"$top/src/x.c"
chmod -x "$top/assets/run.sh"
call POST git/add '{"mono_path": "/"}'
call POST git/commit '{"mono_path": "/", "message": "by the API"}' |
    jq -e '.status == "Success"' >/dev/null || fail "no commit"
new=$(oid_of "$top/src/new.bin")
said=$(call POST git/push '{"mono_path": "/"}')
[[ $said != *successful* ]] || fail "pushed without the token: $said"
assert_contains "$said" token
assert_eq "$(git -C "$S" rev-parse main)" "$was"
assert_eq "$(gate_code "/info/lfs/objects/$new")" 404
echo s3cret >"$SCRATCH/token"
assert_contains "$(call POST git/push '{"mono_path": "/"}')" "Push successful"

assert_eq "$(git -C "$S" rev-parse main^)" "$was"
assert_eq "$(git -C "$S" log -1 --format=%s main)" "by the API"
git -C "$S" fsck --strict >"$SCRATCH/fsck" 2>&1 || fail "$(cat "$SCRATCH/fsck")"
assert_eq "$(gate_code "/info/lfs/objects/$new")" 200
for f in a.bin src/new.bin assets/moved.bin; do
    git lfs pointer --file "$top/$f" 2>/dev/null |
        cmp - <(git -C "$S" cat-file blob "main:$f") || fail "$f is not its pointer"
done
assert_eq "$(git -C "$S" rev-parse main:assets/moved.bin)" \
    "$(git -C "$S" rev-parse "$was:src/b.bin")"
note "stock git and git-lfs have it as the workspace shows it"
git -c filter.lfs.process="git-lfs filter-process" \
    -c filter.lfs.smudge="git-lfs smudge -- %f" \
    -c filter.lfs.clean="git-lfs clean -- %f" \
    -c filter.lfs.required=true clone -q "$GATE/.git" "$SCRATCH/clone"
diff -r --no-dereference -x .git "$SCRATCH/clone" "$top" || fail "another tree"
[ ! -x "$SCRATCH/clone/assets/run.sh" ] || fail "the mode is not committed"
