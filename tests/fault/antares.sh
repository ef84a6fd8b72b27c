#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 600
# A Mono server that is down, stalls, breaks off, lies or refuses, and every call of
# /antares, /api/fs and /api/git made meanwhile: each is answered in time, in the
# form of its API, with a reason; and works as soon as the server does
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

echo s3cret >"$SCRATCH/token"
antares_workspace
cat >>"$DAEMON_CONFIG" <<END
[fetch]
stall_timeout = "1s"
connect_timeout = "1s"
timeout = "8s"
retries = 1
[mono]
token_file = "$SCRATCH/token"
END
port=$(free_port)
antares_setup --port "$port" --push-token s3cret
base=$(git -C "$SCRATCH/repo" rev-parse main)
git -C "$SCRATCH/repo" checkout -q -b next
echo next >"$SCRATCH/repo/project/deep/n9"
git_commit "$SCRATCH/repo" next
git -C "$SCRATCH/repo" checkout -q main
git -C "$SCRATCH/repo" tag next-tag next
antares_cl7
NEXT=$(git -C "$SCRATCH/repo" rev-parse next)
export BASE=$base NEXT
start_daemon
wait_until 20 is_mounted "$SCRATCH/mount"

cat >"$SCRATCH/calls.py" <<'END'
SLOW = float(os.environ.get("SCORPIO_SLOW", "1"))
FAULT, WORDS = os.environ["FAULT"], os.environ["WORDS"]
BASE, NEXT = os.environ["BASE"], os.environ["NEXT"]
FILE = os.path.join(SCRATCH, "state.json")
project = SCRATCH + "/mount/project/"
PUSH = {"mono_path": "project"}

def antares_error(a):
    check(a.kind == "application/json" and fits(a.json, ERROR), a.text)
    check(a.status in (404, 500), "%d %s" % (a.status, a.text))
    check(a.json["code"] == "NOT_FOUND" if a.status == 404 else
          a.json["code"] in ("FUSE_ERROR", "INTERNAL_ERROR"), a.text)
    return a.json["error"]

def move_error(a):  # what a worktree says
    if a.status != 200:
        return antares_error(a)
    check(a.json["state"] == "failed" and a.json["code"] == "SWITCH_FAILED", a.text)
    return a.json["detail"]

def fail_error(a):
    check(a.status == 200 and a.headers.get("Deprecation") == "true", a.text)
    check(a.json["status"] == "Fail", a.text)
    return a.json.get("message") or a.json.get("msg")

def text_error(a):
    check(a.status == 500 and a.kind.startswith("text/plain") and
          a.text.startswith("Error: "), a.text)
    return a.text

# name, method, path, body, how it fails (None: it must not, whatever the server does)
def table(s):
    id, w, n = "/mounts/" + s["plain"], "/worktrees/" + s["tree"], s["round"]
    plan = {"expected_base_revision": BASE, "target_revision": NEXT}
    done = {"expected_base_revision": BASE, "new_base_revision": NEXT,
            "committed_paths": [{"path": "n9", "kind": "modified"}]}
    return [
        ("health", "GET", "/health", None, None),
        ("mounts", "GET", "/mounts", None, None),
        ("mount", "GET", id, None, None),
        ("by job", "GET", "/mounts/by-job/plain%d" % n, None, None),
        ("ready", "GET", id + "/ready", None, None),
        ("changes", "GET", id + "/changes", None, None),
        ("worktree", "GET", id + "/worktree", None, None),
        ("bind", "POST", id + "/worktree/base", {"base_revision": BASE}, None),
        ("plan", "POST", "/mounts/%s/worktree/refresh-plan" % s["tree"], plan, None),
        ("state", "GET", w + "/state", None, antares_error),
        ("new", "POST", "/mounts", {"path": "/project", "job_id": "new%d" % n},
         antares_error),
        ("new with a list", "POST", "/mounts",
         {"path": "/project", "job_id": "list%d" % n, "cl": "CL7"}, antares_error),
        ("list set", "POST", "/mounts/%s/cl" % s["set"], {"cl": "CL7"},
         antares_error),
        ("list cleared", "DELETE", "/mounts/%s/cl" % s["clear"], None, antares_error),
        ("worktrees", "POST", "/worktrees",
         {"repo_path": "/project", "mountpoint": SCRATCH + "/w%d" % n}, antares_error),
        ("finalize", "POST", "/worktrees/%s/commit-finalize" % s["final"], done,
         move_error),
        ("refresh", "POST", w + "/refresh", {"expected_base_revision": BASE},
         antares_error),
        ("fork", "POST", "/mounts/%s/fork" % s["source"], {"job_id": "fork%d" % n},
         antares_error),
        ("delete", "DELETE", "/mounts/" + s["gone"], None, None),
        ("/config", "GET", "/api/config", None, None),
        ("/mpoint", "GET", "/api/fs/mpoint", None, None),
        ("/mount", "POST", "/api/fs/mount", {"path": "project", "cl": "CL7"},
         fail_error),
        ("/status", "GET", "/api/git/status?path=project", None, None),
        ("/add", "POST", "/api/git/add", PUSH, text_error),
        ("/commit", "POST", "/api/git/commit", dict(PUSH, message="m"), fail_error),
        ("/push", "POST", "/api/git/push", PUSH, text_error),
    ]

NEED = {"new", "new with a list", "list set", "worktrees", "finalize", "refresh",
        "/mount", "/commit", "/push"}  # what cannot be had without the server

def call(row):
    name, method, path, body, fails = row
    begin = time.monotonic()
    a = (root if name[0] == "/" else api).call(method, path, body)
    return a, time.monotonic() - begin

def good(a):
    return a.status < 300 and not (a.json or {}).get("status") == "Fail" and \
        not (a.json or {}).get("state") == "failed"

def make(n):
    """What the calls of a round work on."""
    s = {"round": n}
    for name in ("plain", "set", "clear", "gone", "source"):
        s[name] = api.row("POST", "/mounts", 200, ANY, dict(
            {"path": "/project", "job_id": "%s%d" % (name, n)},
            **({"cl": "CL7"} if name == "clear" else {}))).json["mount_id"]
    api.row("POST", "/mounts/%s/worktree/base" % s["source"], 200, ANY,
            {"base_revision": BASE})
    for name in ("tree", "final"):
        at = "%s/%s%d" % (SCRATCH, name, n)
        os.mkdir(at)
        s[name] = api.row("POST", "/worktrees", 201, ANY, {
            "repo_path": "/project", "mountpoint": at,
            "base_revision": BASE}).json["mount_id"]
    os.mkdir("%s/w%d" % (SCRATCH, n))
    root.call("POST", "/api/fs/unmount", {"path": "project"})
    check(root.call("POST", "/api/fs/mount", {"path": "project"}).json["status"] ==
          "Success", "selected")
    # the classic calls one after the other: a commit, and more that is staged
    for text in ("one", "two"):
        open(project + "deep/n20", "w").write(text)
        root.row("POST", "/api/git/add", 200, b"", PUSH)
        if text == "one":
            check(root.call("POST", "/api/git/commit", dict(PUSH, message="m")).json[
                "status"] == "Success", "committed")
    return s

def during(s):
    rows = table(s)
    ours = [r for r in rows if r[0][0] != "/"]
    def run(i):
        if i < len(ours):
            return [(ours[i], call(ours[i]))]
        return [(r, call(r)) for r in rows if r[0][0] == "/"]
    got = [x for part in at_once(len(ours) + 1, run) for x in part]
    failed = []
    for (name, *_, fails), (a, took) in got:
        if took > 40 * SLOW:
            sys.exit("%s, %s: after %.1f s" % (FAULT, name, took))
        if good(a):
            check(name not in NEED, "%s, %s: works: %s" % (FAULT, name, a.text))
            continue
        check(fails is not None, "%s, %s: %d %s" % (FAULT, name, a.status, a.text))
        why = fails(a)
        check(re.search(WORDS, why, re.I), "%s, %s: says \"%s\"" % (FAULT, name, why))
        failed.append(name)
    print("%s: %d calls, %d fail, the slowest after %.1f s" %
          (FAULT, len(got), len(failed), max(t for _, (_, t) in got)))
    return failed

def after(s, failed):
    for row in table(s):
        if row[0] in failed:
            # a server that failed often is left alone for a second or two
            wait_for("%s, %s, afterwards" % (FAULT, row[0]),
                     lambda: good(call(row)[0]), 30 * SLOW)
    root.call("POST", "/api/fs/unmount", {"path": "project_CL7"})
    for m in api.call("GET", "/mounts").json["mounts"]:
        api.call("DELETE", "/mounts/" + m["mount_id"])

step = sys.argv[1]
if step == "make":
    json.dump({"s": make(int(sys.argv[2]))}, open(FILE, "w"))
elif step == "during":
    v = json.load(open(FILE))
    v["failed"] = during(v["s"])
    json.dump(v, open(FILE, "w"))
else:
    v = json.load(open(FILE))
    after(v["s"], v["failed"])
END
n=0
round() { # NAME WORDS BEGIN [FAULT]
    n=$((n + 1))
    export FAULT=$1 WORDS=$2
    api_py make "$n" <"$SCRATCH/calls.py"
    case $3 in
    down) stop "$MONO_PID" KILL || true ;;
    *) mono_fault "{\"match\":\".\",$3}" ;;
    esac
    api_py during <"$SCRATCH/calls.py"
    daemon_answers || fail "$1: the daemon does not answer"
    case $3 in
    down)
        start_mono --port "$port" --push-token s3cret
        mono_cl CL7 "$base" work /project
        ;;
    *) mono_control faultless '' >/dev/null ;;
    esac
    api_py after <"$SCRATCH/calls.py"
}
round down 'connect|refused|reach' down
round stalled 'timed out|in time|not asked now|sent nothing' '"kind":"stall","seconds":20'
round 'breaks off' 'server|end|short|cut|broke|clos' '"kind":"truncate"'
round lies '.{12}' '"kind":"wrong"'
for status in 401 403 404 429 500; do
    round "$status" "$status|token|forbid|too many|not available|has no|does not exist" \
        "\"kind\":\"status\",\"status\":$status"
done
