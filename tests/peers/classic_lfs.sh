#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Files of Git LFS through /api/git: committed as pointers, their objects uploaded and
# verified before the push, read back by stock git-lfs; nothing is pushed if the LFS
# server refuses, nothing is downloaded for it; what attributes begin or cease to name.
# And the ids of such files in a worktree of the Antares API
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/antares.sh"

LFS_PORT=$(free_port)
antares_workspace "lfs_url = \"http://127.0.0.1:$LFS_PORT/lfs\""
antares_setup --push-token s3cret
start_lfs_server "$SCRATCH" "$SCRATCH/objects" --strict-mono --batch-max 1 \
    --host "0.0.0.0:$LFS_PORT"
R=$SCRATCH/repo
git -C "$R" lfs install --local >/dev/null
printf '*.bin filter=lfs diff=lfs merge=lfs -text\n' >"$R/.gitattributes"
bytes "$R/project/a.bin" 100000 a
bytes "$R/project/b.bin" 3000000 b
bytes "$R/project/c.bin" 5000 c
bytes "$R/project/one.dat" 4000 plain
bytes "$R/project/gone.dat" 4000 another
git_commit "$R" "with LFS files"
find "$R/.git/lfs/objects" -type f -exec cp -t "$SCRATCH/objects" {} +
echo s3cret >"$SCRATCH/token"
cat >>"$DAEMON_CONFIG" <<END
[mono]
token_file = "$SCRATCH/token"
END
start_daemon
wait_until 20 test -s "$SCRATCH/mount/project/a.bin"

top=$SCRATCH/mount/project
call() { # METHOD PATH [BODY]
    curl -sS --noproxy '*' -m 120 -X "$1" ${3:+-H "Content-Type: application/json" -d "$3"} \
        "$DAEMON_URL/api/$2"
}
status() { call GET 'git/status?path=project' | jq -r .message; }
publish() {
    call POST git/add '{"mono_path": "project"}'
    call POST git/commit '{"mono_path": "project", "message": "m"}' |
        jq -e '.status == "Success"' >/dev/null
    call POST git/push '{"mono_path": "project"}'
}
call POST fs/mount '{"path": "project"}' | jq -e '.status == "Success"' >/dev/null
bytes "$top/a.bin" 120000 changed
mkdir "$top/sub"
bytes "$top/sub/new.bin" 2000000 new
cp "$top/sub/new.bin" "$top/sub/same.bin"
rm "$top/c.bin"
mv "$top/b.bin" "$top/moved.bin"
: >"$top/empty.bin"
echo plain >"$top/plain"
call POST git/add '{"mono_path": "project"}'
said=$(status)
assert_contains "$said" 'modified:   a.bin'
[[ $said != *"not staged"* ]] || fail "staged, and still changed: $said"
assert_contains "$(publish)" "Push successful"
assert_eq "$(lfs_stat downloads)" 0 "objects that came for a commit"
assert_eq "$(lfs_stat uploads)" 2 "what the server has, and what is there twice, is not sent"
assert_eq "$(lfs_stat verified)" 2 "verified"

# the commit has pointers, as git-lfs makes them
for f in a.bin sub/new.bin sub/same.bin moved.bin; do
    git -C "$R" cat-file blob "refs/pushed/1:$f" >"$SCRATCH/pointer"
    git lfs pointer --file "$top/$f" 2>/dev/null | cmp - "$SCRATCH/pointer" ||
        fail "$f is not its pointer"
done
assert_eq "$(git -C "$R" cat-file -s refs/pushed/1:empty.bin)" 0
assert_eq "$(git -C "$R" cat-file blob refs/pushed/1:plain)" plain
# and stock git-lfs reads it
git init -q "$SCRATCH/clone"
git -C "$SCRATCH/clone" lfs install --local >/dev/null
git -C "$SCRATCH/clone" config lfs.url "$LFS_URL/info/lfs"
# (what is pushed is the directory; the attributes are above it)
echo '*.bin filter=lfs' >"$SCRATCH/clone/.git/info/attributes"
git -C "$SCRATCH/clone" fetch -q "$R" refs/pushed/1
within 60 git -C "$SCRATCH/clone" checkout -q FETCH_HEAD
for f in a.bin sub/new.bin sub/same.bin moved.bin plain empty.bin; do
    cmp "$SCRATCH/clone/$f" "$top/$f" || fail "$f read back is another"
done
[ ! -e "$SCRATCH/clone/c.bin" ] || fail "the removed one is there"
lfs_obedient

# refused by the LFS server: no commit goes to a server that cannot show it
bytes "$top/a.bin" 90000 again
lfs_fault "{\"kind\": \"refuse\", \"code\": 403, \"times\": 1, \"oid\": \"$(oid_of "$top/a.bin")\"}"
assert_contains "$(publish)" "LFS server refuses"
# (and a link that ran out is asked for again, once)
lfs_fault '{"kind": "expire", "times": 1}'
git -C "$R" rev-parse -q --verify refs/pushed/2 >/dev/null && fail "it was pushed"
call POST git/push '{"mono_path": "project"}' >"$SCRATCH/again"
assert_contains "$(cat "$SCRATCH/again")" "Push successful"
git -C "$R" cat-file blob refs/pushed/2:a.bin | grep -q "$(oid_of "$top/a.bin")" ||
    fail "not the new content"

# attributes that were not there, or not so, in the revision: the base is what it was
printf '*.dat filter=lfs\na.bin -filter\n' >"$top/.gitattributes"
bytes "$top/one.dat" 6000 changed
rm "$top/gone.dat"
bytes "$top/a.bin" 70000 plain
assert_contains "$(publish)" "Push successful"
git -C "$R" cat-file blob refs/pushed/3:one.dat | grep -q "$(oid_of "$top/one.dat")" ||
    fail "one.dat is not its pointer"
git -C "$R" cat-file -e refs/pushed/3:gone.dat 2>/dev/null && fail "gone.dat is there"
cmp <(git -C "$R" cat-file blob refs/pushed/3:a.bin) "$top/a.bin"

# a worktree of a part of it: the attributes are above
base=$(git -C "$R" rev-parse main)
lfs_reset
mkdir "$SCRATCH/wt"
printf '%s\n' 'base = os.environ["BASE"]' >"$SCRATCH/wt.py"
cat >>"$SCRATCH/wt.py" <<'END'
import subprocess
def oid(rev, path):
    return subprocess.run(["git", "-C", SCRATCH + "/repo", "rev-parse", rev + ":project/" + path],
                          stdout=subprocess.PIPE, check=True).stdout.decode().strip()
def state(id):
    return {c["path"]: (c["kind"], c["content_hash"], c["base_hash"]) for c in
            api.call("GET", "/worktrees/%s/state" % id).json["changes"]}
END
export BASE=$base
api_py <<'END'
exec(open(SCRATCH + "/wt.py").read())
w = api.row("POST", "/worktrees", 201, ANY, {
    "repo_path": "/project", "mountpoint": SCRATCH + "/wt", "lower_revision": base}).json
open(SCRATCH + "/wt.id", "w").write(w["mount_id"])
END
bytes "$SCRATCH/wt/a.bin" 90000 worktree
bytes "$SCRATCH/wt/fresh.bin" 9000 fresh
mv "$SCRATCH/wt/b.bin" "$SCRATCH/wt/away.bin"
rm "$SCRATCH/wt/c.bin"
cp "$SCRATCH/wt/"{a,fresh}.bin "$R/project"
git -C "$R" mv project/b.bin project/away.bin
rm "$R/project/c.bin"
git_commit "$R" "the same, by the client"
export NEXT
NEXT=$(git -C "$R" rev-parse main)
api_py <<'END'
exec(open(SCRATCH + "/wt.py").read())
next, id = os.environ["NEXT"], open(SCRATCH + "/wt.id").read()
s = state(id)
check(s["a.bin"] == ("modified", oid(next, "a.bin"), oid(base, "a.bin")), str(s))
check(s["fresh.bin"] == ("added", oid(next, "fresh.bin"), None), str(s))
check(s["away.bin"][1] == oid(next, "away.bin") == oid(base, "b.bin"), str(s))
check(s["c.bin"] == ("deleted", None, oid(base, "c.bin")), str(s))
paths = [{"path": p, "kind": k, "content_hash": h} if h else {"path": p, "kind": k}
         for p, (k, h, _) in s.items()]
got = api.row("POST", "/worktrees/%s/commit-finalize" % id, 200, ANY, {
    "expected_base_revision": base, "new_base_revision": next, "committed_paths": paths}).json
check(got["state"] == "ready" and len(got["cleaned_paths"]) == len(paths), str(got))
check(state(id) == {}, "all is in the commit")
END
assert_eq "$(lfs_stat downloads)" 0 "objects that came for ids"
