#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Every row of the Antares API: status, headers, types, error words; what is
# wrong is refused in the form clients know
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup
antares_cl7
start_daemon

api_py <<'END'
STATE = ("Provisioning", "Mounted", "Ready", "Quiescing", "Unmounting",
         "Unmounted", {"Failed": {"reason": str}})
STATUS = {"mount_id": UUID, "job_id": (str, None), "path": str,
          "cl": (str, None), "mountpoint": str,
          "layers": {"upper": str, "cl": (str, None), "dicfuse": "shared"},
          "state": STATE, "created_at_epoch_ms": int,
          "last_seen_epoch_ms": int, "base_revision": (str, None)}
MOUNTED = {"mount_id": UUID, "mountpoint": re.compile("/")}
NO = "00000000-0000-4000-8000-000000000000"

def ready(id):
    wait_for("ready", lambda: api.call("GET", "/mounts/%s/ready" % id).json["ready"])

# -- health
a = api.row("GET", "/health", 200, {
    "status": "healthy", "mount_count": 0, "uptime_secs": int,
    "protocol_version": int, "service": str, "service_version": str,
    "capabilities": [str]})
check(a.kind == "application/json", "health is JSON")
check({"mount.v1", "ready.v1", "changes.v1", "worktree-base.v1", "refresh-plan.v1",
       "worktree.attach.v2", "worktree.state.v2", "worktree.commit-finalize.v2",
       "worktree.refresh.v2"} <= set(a.json["capabilities"]), a.text)
check("Deprecation" not in a.headers, "antares is not deprecated")
root.row("GET", "/health", 200, {"status": "ok", "version": str,
                                 "uptime_secs": int, "mount_count": (int, None)})

# -- forms that are wrong: plain text
api.row("POST", "/mounts", 400, str, '{"path":')
api.row("POST", "/mounts", 422, str, "[]")
api.row("POST", "/mounts", 422, str, {})
api.row("POST", "/mounts", 422, str, {"path": 7})
api.row("POST", "/mounts", 422, str, {"path": None})
api.row("POST", "/mounts", 422, str, {"path": "/", "job_id": 7})
api.row("POST", "/mounts", 415, str, '{"path":"/"}', kind="text/plain")
api.row("POST", "/mounts", 415, str, '{"path":"/"}', kind=None)
api.row("POST", "/worktrees", 415, str, '{"repo_path":"/"}', kind="text/plain")
api.row("POST", "/mounts/%s/cl" % NO, 415, str, '{"cl":"x"}', kind=None)
api.row("POST", "/mounts", 413, ANY, '{"path":"' + "x" * (2 << 20) + '"}')
for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/ready"),
                     ("DELETE", "/cl")):
    api.row(method, "/mounts/not-a-uuid" + tail, 400, str)
api.row("POST", "/mounts/not-a-uuid/cl", 400, str, {"cl": "X"})
root.row("GET", "/antares/nothing", 404, b"")
root.row("PUT", "/antares/mounts", 405, ANY)
check("GET" in root.call("PUT", "/antares/mounts").headers["Allow"], "Allow")

# -- requests that are refused, and things that are not there
for path in ("", "   ", "../x", "/a/../../b"):
    api.error("POST", "/mounts", 400, "INVALID_REQUEST", {"path": path})
api.error("POST", "/mounts", 400, "INVALID_REQUEST",
          {"path": "/project", "cl": "CL7", "cl_path": "/other"})
api.error("POST", "/mounts", 400, "INVALID_REQUEST",
          {"path": "/", "mountpoint": "relative"})
# upstream shows an empty directory for these two
api.error("POST", "/mounts", 404, "NOT_FOUND", {"path": "/nosuch", "job_id": "a"})
api.error("POST", "/mounts", 500, "INTERNAL_ERROR",
          {"path": "/project", "job_id": "a", "cl": "NOSUCH"})
check(api.call("GET", "/mounts").json == {"mounts": []}, "nothing stays behind")
check(not os.listdir(SCRATCH + "/antares/mnt") and
      not os.listdir(SCRATCH + "/antares/upper"), "no directory either")
api.error("GET", "/mounts/" + NO, 404, "NOT_FOUND")
api.error("DELETE", "/mounts/" + NO, 404, "NOT_FOUND")
api.error("GET", "/mounts/%s/ready" % NO, 404, "NOT_FOUND")
api.error("POST", "/mounts/%s/cl" % NO, 404, "NOT_FOUND", {"cl": "CL7"})
api.error("DELETE", "/mounts/%s/cl" % NO, 404, "NOT_FOUND")
api.error("GET", "/mounts/by-job/nobody", 404, "NOT_FOUND")
api.error("DELETE", "/mounts/by-job/nobody", 404, "NOT_FOUND")

# -- a mount with a job
one = api.row("POST", "/mounts", 200, MOUNTED,
              {"path": " //project/ ", "job_id": " one ", "unknown": [1]}).json
id, dir = one["mount_id"], one["mountpoint"]
check(dir == SCRATCH + "/antares/mnt/" + id, "the mountpoint is named by the id")
check(open(dir + "/deep/n7").read() == "7\n", "content")
got = api.row("GET", "/mounts/" + id, 200, STATUS).json
check((got["job_id"], got["path"], got["cl"]) == ("one", "/project", None), str(got))
check(got["layers"]["upper"] == SCRATCH + "/antares/upper/" + id, str(got))
api.row("GET", "/mounts/" + id.upper(), 200, STATUS)
ready(id)
api.row("GET", "/mounts/%s/ready" % id, 200,
        {"mount_id": id, "ready": True, "state": "Ready"})
check(api.row("GET", "/mounts/by-job/one", 200, STATUS).json["mount_id"] == id, "by job")
api.row("GET", "/mounts", 200, {"mounts": [STATUS]})
check(api.call("GET", "/health").json["mount_count"] == 1, "count")

# -- the same again
check(api.row("POST", "/mounts", 200, MOUNTED,
              {"path": "/project", "job_id": "one"}).json == one, "the same mount")
check(api.row("POST", "/mounts", 200, MOUNTED,
              {"path": "/project", "build_id": "one", "cl": None}).json == one,
      "by build id")
api.error("POST", "/mounts", 400, "INVALID_REQUEST", {"path": "/", "job_id": "one"})
api.error("POST", "/mounts", 400, "INVALID_REQUEST",
          {"path": "/project", "job_id": "one", "cl": "CL7"})
# a blank job hides the build; without a job a second one is refused
anon = api.row("POST", "/mounts", 200, MOUNTED,
               {"path": "/project", "job_id": " ", "build_id": "b"}).json
check(api.call("GET", "/mounts/" + anon["mount_id"]).json["job_id"] is None, "no job")
api.error("POST", "/mounts", 400, "INVALID_REQUEST", {"path": "project"})
api.row("DELETE", "/mounts/" + anon["mount_id"], 200, dict(STATUS, state="Unmounted"))

# -- a change list, live, over changes of one's own
api.error("DELETE", "/mounts/%s/cl" % id, 400, "INVALID_REQUEST")
open(dir + "/mine", "w").write("mine")
held = open(dir + "/deep/n9")
got = api.row("POST", "/mounts/%s/cl" % id, 200, dict(STATUS, state="Ready"),
              {"cl": "CL7"}).json
check(got["cl"] == "CL7" and got["layers"]["cl"].endswith("/cl/" + id), str(got))
check(open(dir + "/deep/n7").read() == "changed\n", "the list is there")
check(not os.path.exists(dir + "/deep/n8"), "what it removes is gone")
check(held.read() == "9\n", "a file that was open goes on")
api.error("POST", "/mounts/%s/cl" % id, 500, "INTERNAL_ERROR", {"cl": "NOSUCH"})
check(open(dir + "/deep/n7").read() == "changed\n", "the old one stays")
check(api.call("GET", "/mounts/" + id).json["cl"] == "CL7", "and is told")
api.row("POST", "/mounts/%s/cl" % id, 422, str, {})
got = api.row("DELETE", "/mounts/%s/cl" % id, 200, dict(STATUS, state="Ready")).json
check(got["cl"] is None and got["layers"]["cl"] is None, str(got))
check(open(dir + "/deep/n7").read() == "7\n" and os.path.exists(dir + "/deep/n8"),
      "as before")
check(open(dir + "/mine").read() == "mine", "my own stays")
held.close()

# -- with a list from the start, its root given and not
for more in ({}, {"cl_path": "/project"}):
    m = api.row("POST", "/mounts", 200, MOUNTED,
                dict({"path": "/project", "job_id": "two", "cl": "CL7"}, **more)).json
    check(open(m["mountpoint"] + "/deep/n7").read() == "changed\n", "list")
    api.row("DELETE", "/mounts/by-job/two", 200, dict(STATUS, state="Unmounted"))
whole = api.row("POST", "/mounts", 200, MOUNTED, {
    "path": "/", "job_id": "two", "cl": "CL7", "cl_path": "/project"}).json
check(open(whole["mountpoint"] + "/project/deep/n7").read() == "changed\n", "list")
check(os.listdir(SCRATCH + "/antares/cl") == [whole["mount_id"]], "its directory")
api.row("DELETE", "/mounts/by-job/two", 200, dict(STATUS, state="Unmounted"))

# -- a mountpoint of the client's
os.mkdir(SCRATCH + "/mine")
m = api.row("POST", "/mounts", 200, MOUNTED, {
    "path": "/project", "job_id": "three", "mountpoint": SCRATCH + "/mine"}).json
check(m["mountpoint"] == SCRATCH + "/mine", str(m))
api.error("POST", "/mounts", 400, "INVALID_REQUEST", {
    "path": "/project", "job_id": "four", "mountpoint": SCRATCH + "/mine"})
os.mkdir(SCRATCH + "/full")
open(SCRATCH + "/full/x", "w").close()
api.error("POST", "/mounts", 400, "INVALID_REQUEST", {
    "path": "/project", "job_id": "four", "mountpoint": SCRATCH + "/full"})
api.row("DELETE", "/mounts/by-job/three", 200, dict(STATUS, state="Unmounted"))
check(os.path.isdir(SCRATCH + "/mine"), "a directory that was there stays")

# -- gone, with everything
busy = open(dir + "/deep/n9")
api.row("DELETE", "/mounts/" + id, 200, dict(STATUS, state="Unmounted"))
busy.close()
api.error("DELETE", "/mounts/" + id, 404, "NOT_FOUND")
for d in ("mnt", "upper", "cl"):
    check(os.listdir(SCRATCH + "/antares/" + d) == [], d + " is empty")
check("mounts = []" in open(SCRATCH + "/antares/state.toml").read(), "state file")
print(api.rows + root.rows, "rows")
END
mono_blameless

# nobody there: said at once, and nothing stays
stop "$MONO_PID" || true
api_py <<'END'
begin = time.monotonic()
api.error("POST", "/mounts", 500, "FUSE_ERROR", {"path": "/", "job_id": "x"})
check(time.monotonic() - begin < 30, "it is said soon")
check(api.call("GET", "/mounts").json == {"mounts": []}, "nothing stays behind")
END
