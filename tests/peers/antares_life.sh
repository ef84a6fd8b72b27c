#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Antares mounts through races, many at once, restarts and kill -9; warm slots;
# what an earlier run left is cleared away
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup --delay 5
antares_cl7
start_daemon

api_py <<'END'
# twenty ask for one job at once: one mount, the same answer to all
got = at_once(20, lambda i: api.call("POST", "/mounts",
                                     {"path": "/project", "job_id": "race"}))
check({a.status for a in got} == {200}, str([a.text for a in got]))
check(len({a.text for a in got}) == 1, "one answer")
check(len(api.call("GET", "/mounts").json["mounts"]) == 1, "one mount")
# those that ask for something else are refused
got = at_once(6, lambda i: api.call("POST", "/mounts", {
    "path": "/project" if i % 2 else "/", "job_id": "mixed"}))
check(sorted(a.status for a in got) == [200] * 3 + [400] * 3, str([a.status for a in got]))
# none of those that wait for one that fails is left alone
got = at_once(6, lambda i: api.call("POST", "/mounts", {"path": "/none", "job_id": "bad"}))
check({a.status for a in got} == {404}, str([a.status for a in got]))
# taken away by six at once: one does it
got = at_once(6, lambda i: api.call("DELETE", "/mounts/by-job/mixed"))
check(sorted(a.status for a in got)[0] == 200 and
      [a.status for a in got].count(200) == 1, str([a.status for a in got]))
check({(a.status, a.json.get("code")) for a in got if a.status != 200} <=
      {(400, "INVALID_REQUEST"), (404, "NOT_FOUND")}, str([a.text for a in got]))
# thirty jobs
begin = time.monotonic()
got = at_once(30, lambda i: api.call("POST", "/mounts", {"path": "/", "job_id": "m%d" % i}))
check({a.status for a in got} == {200}, str([a.text for a in got]))
print("30 mounts at once: %.2f s" % (time.monotonic() - begin))
for a in got:
    check(open(a.json["mountpoint"] + "/project/deep/n3").read() == "3\n", "content")
got = at_once(30, lambda i: api.call("DELETE", "/mounts/by-job/m%d" % i))
check({a.status for a in got} == {200}, str([a.text for a in got]))
# for what comes next
m = api.call("POST", "/mounts", {"path": "/project", "job_id": "cl", "cl": "CL7"}).json
open(m["mountpoint"] + "/mine", "w").write("mine")
END

# killed: what was there comes back, with its changes, its list and its ids
state() {
    curl -fsS --noproxy '*' -m 30 "$ANTARES/mounts" | python3 -c 'import json, sys
for m in sorted(json.load(sys.stdin)["mounts"], key=lambda m: m["job_id"]):
    print(*(m[k] for k in ("mount_id", "job_id", "path", "cl", "mountpoint")))'
}
state >"$SCRATCH/before"
stop_daemon KILL
# as if one had died while it made a mount
left=11111111-2222-4333-8444-555555555555
mkdir -p "$AROOT/upper/$left/upper" "$AROOT/mnt/$left" "$AROOT/cl/$left"
: >"$AROOT/upper/$left/lock"
mkdir "$AROOT/upper/22222222-2222-4333-8444-555555555555" # not one of ours
start_daemon
all_ready() {
    [ "$(curl -fsS --noproxy '*' -m 30 "$ANTARES/mounts" | grep -o '"state":"Ready"' |
        wc -l)" -eq 2 ]
}
wait_until 30 all_ready
state >"$SCRATCH/after"
diff "$SCRATCH/before" "$SCRATCH/after"
dir=$(awk '$2 == "cl" { print $5 }' "$SCRATCH/after")
assert_eq "$(cat "$dir/mine")" mine
assert_eq "$(cat "$dir/deep/n7")" changed
[ ! -e "$AROOT/upper/$left" ] && [ ! -e "$AROOT/mnt/$left" ] && [ ! -e "$AROOT/cl/$left" ] ||
    fail "what was left is still there"
[ -e "$AROOT/upper/22222222-2222-4333-8444-555555555555" ] || fail "what is not ours went"
rmdir "$AROOT/upper/22222222-2222-4333-8444-555555555555"

# the store is lost: the mounts are not, nor what was written
stop_daemon
rm -r "$DAEMON_STORE"
start_daemon
wait_until 30 all_ready
assert_eq "$(cat "$dir/mine")" mine
assert_eq "$(cat "$dir/deep/n7")" changed

# taken away by somebody else
umount -l "$dir"
failed() { curl -fsS --noproxy '*' -m 30 "$ANTARES/mounts/by-job/cl" | grep -q '"Failed"'; }
wait_until 20 failed
api_py <<'END'
m = api.call("GET", "/mounts/by-job/cl").json
check(list(m["state"]) == ["Failed"] and m["state"]["Failed"]["reason"], str(m))
check(api.call("GET", "/mounts/%s/ready" % m["mount_id"]).json["ready"] is False, "not ready")
api.error("POST", "/mounts", 400, "INVALID_REQUEST",
          {"path": "/project", "job_id": "cl", "cl": "CL7"})
api.error("POST", "/mounts/%s/cl" % m["mount_id"], 400, "INVALID_REQUEST", {"cl": "CL7"})
api.error("DELETE", "/mounts/%s/cl" % m["mount_id"], 400, "INVALID_REQUEST")
check(api.call("DELETE", "/mounts/by-job/cl").json["state"] == "Unmounted", "removed")
check(api.call("DELETE", "/mounts/by-job/race").json["state"] == "Unmounted", "removed")
for d in ("mnt", "upper", "cl"):
    check(os.listdir(SCRATCH + "/antares/" + d) == [], d + " is empty")
END

# a state file of another program is no reason to fail
stop_daemon
printf '[[mounts]]\njob_id = "x"\nmountpoint = "/x"\nupper_id = "y"\n' >"$AROOT/state.toml"
start_daemon
assert_eq "$(state)" ''
stop_daemon
echo 'no toml [' >"$AROOT/state.toml"

# slots: the next job gets the mount of the last one, moved and cleaned
echo 'antares_warm_slots = "1"' >>"$DAEMON_CONFIG"
start_daemon
api_py <<'END'
def post(**body):
    return api.call("POST", "/mounts", body).json
a = post(path="/project", job_id="a")
d = a["mountpoint"]
for name in ("x", "deep/n1"):
    open(d + "/" + name, "w").write("of a")
os.unlink(d + "/deep/n2")
check(api.call("DELETE", "/mounts/" + a["mount_id"]).json["state"] == "Unmounted", "a ended")
check(api.call("GET", "/mounts").json == {"mounts": []}, "a is gone")
b = post(path="/project", job_id="b", cl="CL7")
check(b["mountpoint"] == d and b["mount_id"] != a["mount_id"], "b got the place of a")
check(not os.path.exists(d + "/x") and open(d + "/deep/n1").read() == "1\n" and
      open(d + "/deep/n2").read() == "2\n", "nothing of a is there")
check(open(d + "/deep/n7").read() == "changed\n", "b has its list")
c = post(path="/project", job_id="c")
check(c["mountpoint"] != d, "c has its own")
for x in (b, c):
    api.call("DELETE", "/mounts/" + x["mount_id"])
check(len(os.listdir(SCRATCH + "/antares/mnt")) == 1, "only one is kept")
other = post(path="/", job_id="o")
check(other["mountpoint"] != d, "another path, another mount")
api.call("DELETE", "/mounts/" + other["mount_id"])
END
stop_daemon KILL
rm "$AROOT/state.toml.bad" # or what no record names might be somebody's
start_daemon
nothing_left() { [ -z "$(find "$AROOT/mnt" "$AROOT/upper" -mindepth 1 -print -quit)" ]; }
wait_until 20 nothing_left
mono_blameless
