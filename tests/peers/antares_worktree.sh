#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The worktree calls of the Antares API, row by row: changes, binding, plans,
# forks, finalizing a commit that is on the server, refreshing
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup
R=$SCRATCH/repo
base=$(git -C "$R" rev-parse main)
# what the client will have committed: on main, later
git -C "$R" checkout -q -b work
echo mine >"$R/project/deep/n1"
rm "$R/project/deep/n2"
echo added >"$R/project/added"
echo theirs >"$R/project/deep/n50"
git_commit "$R" work 1700001000
next=$(git -C "$R" rev-parse work)
mono_cl CL7 "$base" work /project
start_daemon
mkdir "$SCRATCH/wt" "$SCRATCH/wt2"

export BASE=$base NEXT=$next
api_py <<'END'
import subprocess
BASE, NEXT, REPO = os.environ["BASE"], os.environ["NEXT"], SCRATCH + "/repo"
NO = "00000000-0000-4000-8000-000000000000"
NULL = (str, None)
CHANGES = {"mount_id": UUID, "generation": int, "changes": list}
TREE = {"mount_id": UUID, "path": str, "base_revision": NULL, "mount_state": ANY,
        "dirty": bool, "changes": CHANGES}
STATE = {"mount_id": UUID, "lower_revision": HEX40, "base_revision": NULL,
         "state": ANY, "generation": int, "dirty": bool, "changes": list}
MOVE = {"base_revision": NULL, "lower_revision": HEX40, "generation": int}

def oid(rev, path):
    return subprocess.run(["git", "-C", REPO, "rev-parse", rev + ":project/" + path],
                          stdout=subprocess.PIPE, check=True).stdout.decode().strip()

# -- a worktree at a revision
w = api.row("POST", "/worktrees", 201, {
    "mount_id": UUID, "worktree_id": "w1", "mountpoint": SCRATCH + "/wt",
    "base_revision": BASE, "lower_revision": BASE, "state": ANY, "generation": int},
    {"repo_path": "/project", "mountpoint": SCRATCH + "/wt", "worktree_id": "w1",
     "lower_revision": BASE}).json
id, dir = w["mount_id"], SCRATCH + "/wt/"
api.row("POST", "/worktrees", 422, str, {"repo_path": "/project"})
for method, tail, body in (
        ("GET", "changes", None), ("GET", "worktree", None),
        ("POST", "worktree/base", {"base_revision": BASE}),
        ("POST", "worktree/refresh-plan",
         {"expected_base_revision": BASE, "target_revision": NEXT}),
        ("POST", "fork", {})):
    api.error(method, "/mounts/%s/%s" % (NO, tail), 404, "NOT_FOUND", body)
    api.row(method, "/mounts/x/" + tail, 400, str, body)
for tail, body in (("commit-finalize", {"expected_base_revision": BASE,
                                        "committed_paths": []}),
                   ("refresh", {"expected_base_revision": BASE})):
    api.error("POST", "/worktrees/%s/%s" % (NO, tail), 404, "NOT_FOUND", body)
    api.row("POST", "/worktrees/%s/%s" % (id, tail), 422, str, {})
api.error("GET", "/worktrees/%s/state" % NO, 404, "NOT_FOUND")
clean = api.row("GET", "/mounts/%s/worktree" % id, 200, dict(TREE, dirty=False)).json

# -- binding: not one with changes, not to nowhere
other = api.row("POST", "/mounts", 200, ANY, {"path": "/project", "job_id": "other"}).json
oid_, odir = other["mount_id"], other["mountpoint"]
got = api.row("POST", "/mounts/%s/worktree/refresh-plan" % oid_, 200, ANY,
              {"expected_base_revision": BASE, "target_revision": NEXT}).json
check(got["disposition"] == "unbound" and got["current_base_revision"] is None, str(got))
open(odir + "/mine", "w").write("mine")
api.error("POST", "/mounts/%s/worktree/base" % oid_, 400, "INVALID_REQUEST",
          {"base_revision": BASE})
api.row("POST", "/mounts/%s/worktree/base" % oid_, 422, str, {})
os.unlink(odir + "/mine")
api.error("POST", "/mounts/%s/worktree/base" % oid_, 400, "INVALID_REQUEST",
          {"base_revision": BASE, "vcs_pointer": {"commondir": "x", "worktree_id": "w"}})
check(not os.path.exists(odir + "/.libra"), "nothing is written")
api.row("DELETE", "/mounts/" + oid_, 200, ANY)

# -- without a revision it is the latest
os.mkdir(SCRATCH + "/wt3")
got = api.row("POST", "/worktrees", 201, ANY, {
    "repo_path": "/project", "mountpoint": SCRATCH + "/wt3", "job_id": "latest"}).json
check(got["lower_revision"] == BASE and got["base_revision"] == BASE, str(got))
api.row("DELETE", "/mounts/by-job/latest", 200, ANY)

# -- changes
def plan(expected, target, **more):
    return api.row("POST", "/mounts/%s/worktree/refresh-plan" % id, 200, {
        "mount_id": id, "current_base_revision": NULL, "target_revision": str,
        "disposition": str, "worktree": TREE},
        dict(more, expected_base_revision=expected, target_revision=target)
        ).json["disposition"]

check(plan(BASE, NEXT) == "ready", "ready")
check(plan(NEXT, NEXT) == "base_mismatch", "mismatch")
check(plan(BASE, BASE) == "already_at_target", "already")
open(dir + "deep/n1", "w").write("mine\n")
os.unlink(dir + "deep/n2")
open(dir + "added", "w").write("added\n")
open(dir + "private", "w").write("private\n")
os.rename(dir + "deep/er", dir + "moved")
open(dir + "deep/n3", "w").write("3\n")  # as it was
api.row("POST", "/mounts/%s/worktree/base" % id, 200, TREE,
        {"base_revision": BASE, "vcs_pointer": {"commondir": "/x/.libra",
                                                "worktree_id": "w1"}})
check(open(dir + ".libra/commondir").read() == "/x/.libra\n", "pointer")
check(open(dir + ".libra/worktree_id").read() == "w1\n", "pointer")
api.error("POST", "/mounts/%s/worktree/base" % id, 400, "INVALID_REQUEST",
          {"base_revision": NEXT})
c = api.row("GET", "/mounts/%s/changes" % id, 200, CHANGES).json
got = {(x["kind"], x["path"], x.get("source_path")) for x in c["changes"]}
check(got == {("modified", "deep/n1", None), ("deleted", "deep/n2", None),
              ("modified", "deep/n3", None), ("modified", "added", None),
              ("modified", "private", None), ("deleted", "deep/er", None),
              ("modified", "moved/x.sh", "deep/er/x.sh")}, str(got))
check(c["generation"] != clean["changes"]["generation"], "another generation")
check(api.call("GET", "/mounts/%s/changes" % id).json == c, "the same again")
check(plan(BASE, NEXT) == "blocked_dirty", "dirty")
check(plan(BASE, NEXT, require_clean=False) == "ready", "not asked to be clean")
s = api.row("GET", "/worktrees/%s/state" % id, 200, dict(STATE, dirty=True)).json
got = {x["path"]: (x["kind"], x["content_hash"], x["base_hash"]) for x in s["changes"]}
check(got["deep/n1"] == ("modified", oid(NEXT, "deep/n1"), oid(BASE, "deep/n1")), str(got))
check(got["added"] == ("added", oid(NEXT, "added"), None), str(got))
check(got["deep/n2"] == ("deleted", None, oid(BASE, "deep/n2")), str(got))
check("deep/n3" not in got, "equal to its base is no change")

# -- a fork has the same, and its own from then on
f = api.row("POST", "/mounts/%s/fork" % id, 201, {
    "mount_id": UUID, "job_id": str, "path": SCRATCH + "/wt2", "source_mount_id": id,
    "mode": "materialize", "lower_chain": [str], "base_revision": BASE, "mount_state": ANY,
    "copy_stats": {"files": int, "bytes": int, "reflink_used": bool, "retries": int}},
    {"mountpoint": SCRATCH + "/wt2", "inherit_cl": True}).json
api.row("POST", "/mounts/%s/fork" % id, 422, str, {"mode": "other"})
api.error("POST", "/mounts/%s/fork" % id, 400, "INVALID_REQUEST",
          {"mode": "chain", "job_id": f["job_id"]})
two = SCRATCH + "/wt2/"
check(open(two + "deep/n1").read() == "mine\n" and not os.path.exists(two + "deep/n2")
      and open(two + "private").read() == "private\n", "copied")
check(os.stat(two + "moved/x.sh").st_mode & 0o111 and not os.path.exists(two + "deep/er"),
      "moved, with its mode")
open(two + "private", "w").write("other\n")
check(open(dir + "private").read() == "private\n", "each its own")
api.row("DELETE", "/mounts/" + f["mount_id"], 200, ANY)
plain = api.row("POST", "/mounts", 200, ANY, {"path": "/project", "cl": "CL7"}).json
api.error("POST", "/mounts/%s/fork" % plain["mount_id"], 400, "INVALID_REQUEST", {})
api.error("POST", "/mounts/%s/worktree/base" % plain["mount_id"], 400,
          "INVALID_REQUEST", {"base_revision": BASE})
api.row("DELETE", "/mounts/" + plain["mount_id"], 200, ANY)
api.error("POST", "/mounts/%s/cl" % id, 400, "INVALID_REQUEST", {"cl": "CL7"})

# -- the commit is at the server
def finalize(state, code=None, **more):
    shape = dict(MOVE, state=state, cleaned_paths=[str])
    if code:
        shape.update(code=code, detail=str)
    body = {"expected_base_revision": BASE, "new_base_revision": NEXT,
            "committed_paths": [
                {"path": "deep/n1", "kind": "modified",
                 "content_hash": oid(NEXT, "deep/n1")},
                {"path": "deep/n2", "kind": "deleted"},
                {"path": "added", "kind": "added", "content_hash": oid(NEXT, "added")}]}
    body.update(more)
    return api.row("POST", "/worktrees/%s/commit-finalize" % id, 200, shape, body).json

# (the server knows commits that main has)
subprocess.run(["git", "-C", REPO, "update-ref", "refs/heads/main", NEXT], check=True)
finalize("conflict", "BASE_MISMATCH", expected_base_revision=NO.replace("-", "0"),
         new_base_revision=BASE.replace("0", "1"))
finalize("conflict", "GENERATION_CHANGED", expected_generation=7)
finalize("conflict", "TREE_MISMATCH", committed_paths=[
    {"path": "deep/n1", "kind": "modified", "content_hash": oid(BASE, "deep/n1")}])
finalize("conflict", "TREE_MISMATCH", committed_paths=[{"path": "deep/n1", "kind": "deleted"}])
check(open(dir + "deep/n50").read() == "50\n", "nothing happened so far")
held = open(dir + "deep/n9")
got = finalize("ready", expected_generation=s["generation"])
check(sorted(got["cleaned_paths"]) == ["added", "deep/n1", "deep/n2"] and
      got["base_revision"] == NEXT and got["lower_revision"] == NEXT, str(got))
check(held.read() == "9\n", "what is open goes on")
held.close()
check(open(dir + "deep/n50").read() == "theirs\n" and open(dir + "added").read() == "added\n"
      and not os.path.exists(dir + "deep/n2"), "the new revision")
left = {x["path"] for x in api.call("GET", "/worktrees/%s/state" % id).json["changes"]}
check(left == {"private", "moved/x.sh", "deep/er"}, str(left))
check(finalize("ready")["base_revision"] == NEXT, "safe to repeat")

# -- refreshing
def refresh(how, body, **more):
    return api.row("POST", "/worktrees/%s/refresh" % id, 200,
                   dict(MOVE, disposition=how, **more), body).json
refresh("already_at_target", {"expected_base_revision": NEXT})
refresh("base_mismatch", {"expected_base_revision": BASE}, code=str, detail=str)
refresh("blocked_dirty", {"expected_base_revision": NEXT, "target_revision": BASE},
        detail=str)
got = refresh("switched", {"expected_base_revision": NEXT, "target_revision": BASE,
                           "require_clean": False})
check(got["base_revision"] == BASE and open(dir + "deep/n50").read() == "50\n", str(got))
check(open(dir + "private").read() == "private\n", "private changes stay")
got = refresh("switched", {"expected_base_revision": BASE, "require_clean": False})
check(got["base_revision"] == NEXT and open(dir + "deep/n50").read() == "theirs\n",
      "to the latest, if no target is named: %s" % got)
check(finalize("ready", new_base_revision=None)["base_revision"] == NEXT, "likewise")
api.row("DELETE", "/mounts/" + id, 200, ANY)
print(api.rows, "rows")
END
mono_blameless
