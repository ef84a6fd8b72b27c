#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The calls that three generations of the Orion worker make for one build, in
# their order, read as they read them
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_workspace
antares_setup
antares_cl7
start_daemon
wait_until 20 is_mounted "$SCRATCH/mount"

api_py <<'END'
def post(path, body):
    return root.call("POST", path, body).json  # the status is not looked at

# -- 2025: the classic calls, the list under its older and its newer name
def classic(key, unmount):
    repo, root_dir = "/project", SCRATCH + "/mount/"
    name = repo.lstrip("/") + "_CL7"
    for again in (False, True):
        v = post("/api/fs/mount", {"path": repo, key: "CL7"})
        if v["status"] == "Success":
            break
        check(not again and v["message"] == "please unmount", str(v))
        post(unmount, {"path": name})
    v = root.call("GET", "/api/fs/select/" + v["request_id"]).json
    check(v["task_status"] == "finished", str(v))
    os.makedirs(root_dir + name + "/buck-out/v2")
    check(open(root_dir + name + "/deep/n7").read() == "changed\n", "the list")
    check(open(root_dir + "project/deep/n7").read() == "7\n", "and the base")

for key, unmount in (("mr", "/api/fs/umount"), ("cl", "/api/fs/unmount")):
    classic(key, unmount)
    classic(key, unmount)  # the one before died and left its mount
    v = post(unmount, {"path": "project_CL7"})
    check(v["status"] == "Success", str(v))

# -- from 2025-12: two mounts for each build, the old state and the new
def antares(job, poll):
    old = post("/antares/mounts", {"path": "/", "job_id": job + "-old"})
    new = post("/antares/mounts", {"path": "/", "job_id": job, "cl": "CL7"})
    for m in (old, new):
        check(isinstance(m["mountpoint"], str) and isinstance(m["mount_id"], str), str(m))
        if poll:  # from 2026-02-26
            wait_for("ready", lambda m=m: root.call(
                "GET", "/antares/mounts/%s/ready" % m["mount_id"]).json["ready"] is True)
    check(open(old["mountpoint"] + "/project/deep/n7").read() == "7\n", "old")
    check(os.path.isdir(new["mountpoint"] + "/project"), "new")
    os.makedirs(new["mountpoint"] + "/buck-out/v2")
    open(new["mountpoint"] + "/buck-out/v2/log", "w").write("x")
    check(not os.path.exists(old["mountpoint"] + "/buck-out"), "each its own")
    for m in (old, new):
        v = root.call("DELETE", "/antares/mounts/" + m["mount_id"]).json
        check(v["state"] == "Unmounted", str(v))
        check(not os.path.exists(m["mountpoint"]), "the disk does not fill")

for n in range(3):
    antares("task-%d" % n, False)
    antares("task-%d" % n, True)  # a retry has the same job
at_once(6, lambda i: antares("par-%d" % i, i % 2))
check(root.call("GET", "/antares/mounts").json == {"mounts": []}, "nothing stays")
END
mono_blameless
