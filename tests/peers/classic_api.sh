#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The whole monorepo at server.workspace, and every row of /api/fs and
# /api/config: status, headers, types; with change lists, over restarts
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_workspace
antares_setup
antares_cl7
start_daemon

# the whole monorepo is there without a call, and can be worked in
wait_until 20 is_mounted "$SCRATCH/mount"
mono_tree "$SCRATCH/wanted"
assert_same_tree "$SCRATCH/mount" "$SCRATCH/wanted"
mkdir -p "$SCRATCH/mount/buck-out/v2"
echo out >"$SCRATCH/mount/buck-out/v2/log"

api_py <<'END'
OUT = {"status": ("Success", "Fail"), "message": str}
DONE = dict(OUT, status="Success")
FAIL = dict(OUT, status="Fail")
WORK = {"hash": HEX40, "path": str, "inode": int}
SELECT = dict(OUT, task_status=("finished", "error", "not_found"), mount=(WORK, None))
top = SCRATCH + "/mount/"

def row(method, path, shape, body=None, status=200):
    a = root.row(method, path, status, shape, body)
    check(a.headers.get("Deprecation") == "true", path + " is deprecated")
    return a.json

def mount(path, **more):
    v = row("POST", "/api/fs/mount", dict(DONE, request_id=UUID), dict(more, path=path))
    s = row("GET", "/api/fs/select/" + v["request_id"],
            dict(SELECT, status="Success", task_status="finished", mount=WORK))
    row("GET", "/api/fs/select/" + v["request_id"],
        dict(SELECT, status="Fail", task_status="not_found", mount=None))
    return s["mount"]

def refused(path, **more):
    return row("POST", "/api/fs/mount", dict(FAIL, request_id=UUID),
               dict(more, path=path))

row("GET", "/api/config", {"status": "Success", "config": {
    "mega_url": os.environ["MONO_URL"], "mount_path": SCRATCH + "/mount",
    "store_path": SCRATCH + "/store"}})
row("POST", "/api/config", {"status": "Success", "config": {
    "mega_url": "http://x", "mount_path": "", "store_path": ""}},
    {"mega_url": "http://x"})
row("GET", "/api/fs/mpoint", {"status": "Success", "mounts": []})
row("GET", "/api/fs/select/nothing", dict(SELECT, status="Fail", task_status="not_found"))
row("POST", "/api/fs/mount", str, {}, 422)
row("POST", "/api/fs/mount", str, {"path": 1}, 422)
row("POST", "/api/fs/mount", str, "{", 400)
root.row("POST", "/api/fs/mount", 415, str, '{"path":"x"}', kind="text/plain")
root.row("GET", "/lfs/locks", 404, ANY)
row("POST", "/api/fs/unmount", str, {"inode": "x"}, 422)

# -- a directory
w = mount("/project//deep/")
check(w["path"] == "project/deep" and w["inode"] == os.stat(top + "project/deep").st_ino, str(w))
for path in ("project/deep", "project", "project/deep/er"):
    check(refused(path)["message"] == "please unmount", path)
v = refused("../x")
check(v["message"].startswith("Mount failed: "), "..")
row("GET", "/api/fs/select/" + v["request_id"],
    dict(SELECT, task_status="error", mount=None))
row("GET", "/api/fs/select/" + v["request_id"],
    dict(SELECT, status="Fail", task_status="not_found"))
check(root.call("GET", "/health").json["mount_count"] == 1, "classic mounts are counted")
check(refused("run")["message"].startswith("Mount failed: "), "a file")
row("GET", "/api/fs/mpoint", {"status": "Success", "mounts": [w]})
open(top + "project/deep/mine", "w").write("mine")
open(top + "project/deep/n1", "w").write("mine")
open(top + "project/other", "w").write("other")
row("POST", "/api/fs/unmount", DONE, {"path": "/project/deep"})
row("POST", "/api/fs/unmount", FAIL, {"path": "/project/deep"})
row("POST", "/api/fs/unmount", FAIL, {})
check(not os.path.exists(top + "project/deep/mine") and
      open(top + "project/deep/n1").read() == "1\n", "its changes are gone")
check(open(top + "project/other").read() == "other", "others stay")
# again, and away by inode with the older spelling
w = mount("project/deep")
row("POST", "/api/fs/umount", DONE, {"inode": w["inode"], "path": "ignored"})

# -- one that does not exist is made
w = mount("out/put")
check(os.listdir(top + "out/put") == [], "empty")
open(top + "out/put/x", "w").write("x")
row("POST", "/api/fs/unmount", DONE, {"path": "out/put"})
check(not os.path.exists(top + "out/put"), "gone")

# -- with a list: by both names, beside the directory
for key in ("cl", "mr"):
    w = mount("project", **{key: "CL7"})
    check(w["path"] == "project_CL7", str(w))
    at = top + "project_CL7/deep/"
    check(open(at + "n7").read() == "changed\n" and not os.path.exists(at + "n8"), "list")
    check(open(top + "project/deep/n7").read() == "7\n", "beside it the directory")
    open(at + "mine", "w").write("mine")
    row("POST", "/api/fs/unmount", DONE, {"path": "project_CL7"})
    check(not os.path.exists(top + "project_CL7"), "gone")
check(refused("project", cl="NOSUCH")["message"].startswith("Mount failed: "), "no such list")
check(not os.path.exists(top + "project_NOSUCH"), "nothing stays")
# calls at once wait for each other
got = at_once(6, lambda i: root.call("POST", "/api/fs/mount", {"path": "p%d" % i}).json)
check(all(g["status"] == "Success" for g in got), str(got))
for i in range(6):
    row("POST", "/api/fs/unmount", DONE, {"path": "p%d" % i})

# -- for the restart
mount("project/deep")
mount("project", cl="CL7")
open(top + "project_CL7/kept", "w").write("kept")
open(top + "project/deep/kept", "w").write("kept")
print(root.rows, "rows")
END
mono_blameless

# what a new daemon serves: names alone may be the kernel's, of the one before
served() {
    [ "$(curl -fsS "$DAEMON_URL/api/v1/mounts" | jq '[.mounts[] |
        select(.state == "mounted")] | length')" = 2 ]
}

# the daemon dies, its keeper does not: what is open stays open
exec 7>>"$SCRATCH/mount/project_CL7/held" 8>>"$SCRATCH/mount/project/deep/held"
for i in 1 2 3 4 5 6; do
    kill -KILL "$(daemon_process)"
    echo "$i" >&7
    echo "$i" >&8
    wait_until 20 served
    assert_eq "$(tr -d '\n' <"$SCRATCH/mount/project_CL7/held")" "$(seq -s '' "$i")"
    assert_eq "$(cat "$SCRATCH/mount/project_CL7/deep/n7")" changed
    assert_eq "$(cat "$SCRATCH/mount/project/deep/kept")" kept
done
exec 7>&- 8>&-

# restarts, orderly and not: everything comes back, with what was changed
for signal in TERM KILL; do
    stop_daemon "$signal"
    start_daemon
    wait_until 20 served
    assert_eq "$(cat "$SCRATCH/mount/project_CL7/kept")" kept
    assert_eq "$(cat "$SCRATCH/mount/project/deep/kept")" kept
    assert_eq "$(cat "$SCRATCH/mount/project_CL7/deep/n7")" changed
    assert_eq "$(cat "$SCRATCH/mount/buck-out/v2/log")" out
    assert_eq "$(curl -fsS "$DAEMON_URL/api/fs/mpoint" | jq -c '[.mounts[].path]|sort')" \
        '["project/deep","project_CL7"]'
done
stop_daemon
is_mounted "$SCRATCH/mount" && fail "something stays mounted"

# a file of this name that is not ours is left alone
echo 'other = 1' >"$SCRATCH/config.toml"
start_daemon
curl -fsS -X POST -H 'Content-Type: application/json' -d '{"path":"doc"}' \
    "$DAEMON_URL/api/fs/mount" >/dev/null
assert_eq "$(cat "$SCRATCH/config.toml")" 'other = 1'
stop_daemon

# the server is not there: the daemon is, and says so; then it comes
stop "$MONO_PID" || true
rm -rf "$DAEMON_STORE" "$SCRATCH/config.toml"
start_daemon
got=$(curl -fsS -X POST -H 'Content-Type: application/json' -d '{"path":"project"}' \
    "$DAEMON_URL/api/fs/mount" | jq -r '.status + " " + .message')
assert_contains "$got" "Fail Mount failed: "
start_mono --port "${MONO_URL##*:}"
# (the circuit to the server closes again within a second or two)
works() {
    curl -fsS -X POST -H 'Content-Type: application/json' -d '{"path":"project"}' \
        "$DAEMON_URL/api/fs/mount" | grep -q Success
}
wait_until 60 works
assert_eq "$(cat "$SCRATCH/mount/project/deep/n7")" 7
