#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# /api/git in a workspace of the monorepo: status, add, commit, push, reset; what
# arrives at the server is one sound commit with what was changed, and no more
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_workspace 'git_author = "Ada"' 'git_email = "ada@example.org"'
antares_setup --push-token s3cret
start_daemon
wait_until 20 is_mounted "$SCRATCH/mount"

api_py <<'END'
STATUS = {"status": ("Success", "Fail"), "mono_path": str, "upper_path": str,
          "lower_path": str, "message": str}
COMMIT = {"id": HEX40, "tree_id": HEX40, "parent_commit_ids": [HEX40],
          "author": str, "committer": str, "message": str}
DONE = {"status": "Success", "commit": COMMIT, "msg": str}
FAIL = {"status": "Fail", "commit": None, "msg": str}
P = {"mono_path": "project"}

def row(method, path, status, shape, body=None):
    a = root.row(method, "/api/git/" + path, status, shape, body)
    check(a.headers.get("Deprecation") == "true", path)
    return a.text if shape is str or shape == b"" else a.json

# -- forms, and what is not mounted
row("GET", "status", 400, str)
row("POST", "add", 422, str, {})
row("POST", "commit", 422, str, P)
check(row("GET", "status?path=project", 200, STATUS)["status"] == "Fail", "not mounted")
check(row("POST", "add", 500, str, P).startswith("Error: "), "not mounted")
row("POST", "commit", 200, FAIL, dict(P, message="m"))
row("POST", "push", 500, str, P)
row("POST", "reset", 500, str, {"path": "project"})

root.call("POST", "/api/fs/mount", {"path": "project"})
s = row("GET", "status?path=project", 200, dict(STATUS, status="Success"))
check("clean" in s["message"] and s["lower_path"] == SCRATCH + "/mount/project", str(s))
check(os.path.isdir(s["upper_path"]), str(s))
row("POST", "commit", 200, FAIL, dict(P, message="nothing"))
row("POST", "push", 500, str, P)

# -- changes of every kind
top = SCRATCH + "/mount/project/"
open(top + "deep/n1", "w").write("changed\n")
open(top + "new file é", "w").write("new\n")
os.makedirs(top + "fresh/dir")
open(top + "fresh/dir/x", "w").write("x\n")
os.chmod(top + "fresh/dir/x", 0o755)
os.symlink("deep/n2", top + "sym")
os.chmod(top + "deep/n3", 0o755)
os.unlink(top + "deep/n4")
os.rename(top + "deep/n5", top + "deep/moved")
os.rename(top + "deep/er", top + "elsewhere")
os.unlink(top + "dangling")
os.mkdir(top + "dangling")
open(top + "dangling/in", "w").write("in\n")
open(SCRATCH + "/mount/outside", "w").write("not ours")
m = row("GET", "status?path=project", 200, STATUS)["message"]
check("\x1b[31mmodified:   deep/n1\x1b[0m" in m and "outside" not in m, m)

# -- part of it staged: only that is committed
row("POST", "add", 200, b"", {"mono_path": "project/deep/n1"})
m = row("GET", "status?path=project", 200, STATUS)["message"]
check("\x1b[32mmodified:   deep/n1\x1b[0m" in m and m.count("deep/n1") == 1, m)
open(top + "deep/n1", "w").write("later\n")
one = row("POST", "commit", 200, DONE, dict(P, message="one"))["commit"]
check(one["author"].startswith("Ada <ada@example.org> "), str(one))
m = row("GET", "status?path=project", 200, STATUS)["message"]
check("Commit to be pushed" in m and "\x1b[31mmodified:   deep/n1" in m, m)
# -- and all the rest
row("POST", "add", 200, b"", P)
row("POST", "commit", 200, DONE, dict(P, message="two"))
# no token yet: said so, and nothing is lost
check("token" in row("POST", "push", 500, str, P), "says what is missing")
END

# the token, and a restart between commit and push
echo s3cret >"$SCRATCH/token"
cat >>"$DAEMON_CONFIG" <<END
[mono]
token_file = "$SCRATCH/token"
END
stop_daemon KILL
start_daemon
wait_until 20 test -e "$SCRATCH/mount/project/new file é"
cat >"$SCRATCH/push.py" <<'END'
a = root.row("POST", "/api/git/push", 200, str, {"mono_path": "project"})
check(a.text.strip() == "Push successful", a.text)
m = root.call("GET", "/api/git/status?path=project").json["message"]
check("Commit to be pushed" not in m, m)
root.row("POST", "/api/git/push", 500, str, {"mono_path": "project"})
END
api_py <"$SCRATCH/push.py"
git -C "$SCRATCH/repo" cat-file commit refs/pushed/1 >"$SCRATCH/commit"
assert_eq "$(sed -n 's/^author //p' "$SCRATCH/commit" | cut -d'>' -f1)" "Ada <ada@example.org"
assert_eq "$(sed '1,/^$/d' "$SCRATCH/commit")" "one

two"
assert_eq "$(git -C "$SCRATCH/repo" rev-list --count refs/pushed/1)" 2
unpack "$SCRATCH/repo" refs/pushed/1 "$SCRATCH/pushed"
assert_same_tree "$SCRATCH/pushed" "$SCRATCH/mount/project"
[ -x "$SCRATCH/pushed/deep/n3" ] || fail "the mode is lost"

# -- somebody else was faster: refused, by name; another file is no matter
echo theirs >"$SCRATCH/repo/project/deep/n20"
git_commit "$SCRATCH/repo" theirs
api_py <<'END'
top = SCRATCH + "/mount/project/"
open(top + "deep/n20", "w").write("mine\n")
root.row("POST", "/api/git/add", 200, b"", {"mono_path": "/project/deep/n20/"})
v = root.row("POST", "/api/git/commit", 200, ANY,
             {"mono_path": "project", "message": "m"}).json
check(v["status"] == "Fail" and "deep/n20 changed on the server" in v["msg"], str(v))
root.row("POST", "/api/git/reset", 200, b"", {"path": "project"})
check(open(top + "deep/n20").read() == "20\n", "as in the revision")
check(open(SCRATCH + "/mount/outside").read() == "not ours", "outside stays")
open(top + "deep/n21", "w").write("mine\n")
root.row("POST", "/api/git/add", 200, b"", {"mono_path": "project"})
v = root.row("POST", "/api/git/commit", 200, ANY,
             {"mono_path": "project", "message": "m"}).json
check(v["status"] == "Success", str(v))
END
api_py <"$SCRATCH/push.py"
assert_eq "$(git -C "$SCRATCH/repo" diff --name-only main:project refs/pushed/2)" deep/n21
# unmounting forgets what is staged
api_py <<'END'
top = SCRATCH + "/mount/project/"
open(top + "n", "w").write("n")
root.row("POST", "/api/git/add", 200, b"", {"mono_path": "project"})
root.call("POST", "/api/fs/unmount", {"path": "project"})
left = [f for d, _, fs in os.walk(SCRATCH + "/store/classic-git") for f in fs]
check(left == [], str(left))
END
mono_blameless
