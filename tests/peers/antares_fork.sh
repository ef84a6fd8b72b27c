#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Forks that share the changes instead of copying them: nothing is written for
# 200 MB of content, each side writes its own by every way there is, also while it
# is forked, a chain of them, either side goes without the other, restarts, the
# store lost, killed in the middle
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup
base=$(git -C "$SCRATCH/repo" rev-parse main)
start_daemon
process=$(daemon_process)

export BASE=$base PROCESS=$process BIG=$((200 << 20)) UPPER=$AROOT/upper
cat >"$SCRATCH/forks.py" <<'END'
import hashlib, mmap, subprocess, time
BASE, BIG = os.environ["BASE"], int(os.environ["BIG"])
WAYS = SCRATCH + "/ways"

def tree(name, **more):
    os.makedirs(SCRATCH + "/" + name, exist_ok=True)
    return api.row("POST", "/worktrees", 201, ANY, dict(
        more, repo_path="/project", mountpoint=SCRATCH + "/" + name,
        lower_revision=BASE)).json["mount_id"]

def fork(id, name, mode="chain", status=201, shape=None):
    os.makedirs(SCRATCH + "/" + name, exist_ok=True)
    return api.row("POST", "/mounts/%s/fork" % id, status, shape or {
        "mount_id": UUID, "job_id": str, "path": SCRATCH + "/" + name,
        "source_mount_id": id, "mode": "chain", "lower_chain": [UUID],
        "source_frozen_layer": UUID, "base_revision": BASE, "mount_state": ANY,
        "shared_stats": {"files": int, "bytes": int}},
        {"mode": mode, "mountpoint": SCRATCH + "/" + name}).json

def changes(id):
    c = api.call("GET", "/mounts/%s/changes" % id).json["changes"]
    return sorted((x["kind"], x["path"], x.get("source_path")) for x in c)

def digest(path):
    h = hashlib.sha1()
    with open(path, "rb") as f:
        for p in iter(lambda: f.read(1 << 20), b""):
            h.update(p)
    return h.hexdigest()

def picture(top):
    """Everything below, but the times of directories."""
    out = {}
    for at, dirs, files in os.walk(top):
        for n in files + dirs:
            p = os.path.join(at, n)
            s = os.lstat(p)
            out[os.path.relpath(p, top)] = (
                oct(s.st_mode), os.readlink(p) if os.path.islink(p) else
                digest(p) if os.path.isfile(p) else "",
                s.st_mtime_ns if os.path.isfile(p) else 0)
    return out

def differ(a, b):
    return {k: (a.get(k), b.get(k)) for k in set(a) | set(b) if a.get(k) != b.get(k)}
END

# -- 200 MB: nothing of it is written, and both have it
api_py <<'END'
exec(open(SCRATCH + "/forks.py").read())
src = tree("one")
one, two = SCRATCH + "/one/", SCRATCH + "/two/"
block = os.urandom(1 << 20)
with open(one + "big", "wb") as f:
    for i in range(BIG >> 20):
        f.write(block)
    os.fsync(f.fileno())
open(one + "deep/n1", "w").write("mine\n")
os.unlink(one + "deep/n2")
os.rename(one + "deep/er", one + "moved")
os.symlink("big", one + "link")
os.link(one + "deep/n1", one + "second")
os.mkdir(one + "empty")
os.mkdir(one + ".libra")
open(one + ".libra/worktree_id", "w").write("one\n")

def written():
    with open("/proc/%s/io" % os.environ["PROCESS"]) as f:
        return int(dict(l.split(": ") for l in f)["wchar"])
def disk():
    return int(subprocess.run(["du", "-s", "--block-size=1", os.environ["UPPER"]], check=True,
                              stdout=subprocess.PIPE).stdout.split()[0])
before, used, t = written(), disk(), time.monotonic()
f = fork(src, "two")
t = time.monotonic() - t
# (the log of what the daemon says is in there too)
cost, more = written() - before, disk() - used
print("200 MB forked in %.0f ms, %d bytes written, %d more on the disk" % (t * 1e3, cost, more))
check(cost < 1 << 20 and more < 4 << 20, "%d bytes written, %d more" % (cost, more))
check(f["shared_stats"] == {"files": 3, "bytes": BIG + 5 + 4}, str(f))
check(f["lower_chain"] == [f["source_frozen_layer"]], str(f))
check(not os.path.exists(two + ".libra"), "the client's own files are not another's")
mine = [c for c in changes(src)]
check(changes(f["mount_id"]) == mine and ("modified", "big", None) in mine and
      ("deleted", "deep/n2", None) in mine, "counted from the base")
a, b = picture(one), picture(two)
for k in (".libra", ".libra/worktree_id"):
    a.pop(k)
check(not differ(a, b), str(differ(a, b)))
check(os.stat(two + "second").st_nlink == 2, "hard links stay links")
# a change costs the file, on the side that changes it
used = disk()
with open(two + "big", "r+b") as x:
    x.seek(BIG // 2)
    x.write(b"two")
check(disk() - used > BIG // 2, "the copy is made by who writes")
check(open(one + "big", "rb").read(BIG // 2 + 3)[-3:] == block[:3], "not seen there")
open(one + "deep/n1", "a").write("more\n")
check(open(one + "second").read() == "mine\nmore\n" and open(two + "second").read() == "mine\n",
      "each its own, by both names")
check(api.call("DELETE", "/mounts/" + f["mount_id"]).json["state"] == "Unmounted", "removed")
check(open(one + "big", "rb").read(1 << 20) == block, "the source goes on")
# not pinned: copied, and said so
plain = api.row("POST", "/mounts", 200, ANY, {"path": "/project", "job_id": "plain"}).json
api.row("POST", "/mounts/%s/worktree/base" % plain["mount_id"], 200, ANY,
        {"base_revision": BASE})
got = fork(plain["mount_id"], "three", shape=ANY)
check(got["mode"] == "materialize" and got["mode_downgraded_from"] == "chain" and
      got["lower_chain"] == [], str(got))
again = fork(got["mount_id"], "four", shape=ANY)
check(again["mode"] == "materialize" and again["lower_chain"] == [], "nor is its fork")
for id in (src, plain["mount_id"], got["mount_id"], again["mount_id"]):
    api.row("DELETE", "/mounts/" + id, 200, ANY)
END

# -- every way to write, on one side, then on the other: as on a plain disk
api_py <<'END'
exec(open(SCRATCH + "/forks.py").read())
def write(p, s): open(p, "r+b").write(s)
def middle(p, s):
    fd = os.open(p, os.O_RDWR); os.pwrite(fd, s, 150000); os.close(fd)
def append(p, s): open(p, "ab").write(s)
def truncated(p, s): open(p, "wb").write(s)
def shorter(p, s): os.truncate(p, 70000)
def longer(p, s): os.truncate(p, 500000)
def emptied(p, s): os.truncate(p, 0)
def mapped(p, s):
    with open(p, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[100000:100000 + len(s)] = s
        m.flush()
def allocate(p, s):
    fd = os.open(p, os.O_RDWR); os.posix_fallocate(fd, 0, 400000); os.close(fd)
def punched(p, s):
    subprocess.run(["fallocate", "-p", "-o", "4096", "-l", "65536", p], check=True)
def copied(p, s):
    a, b = os.open(os.path.dirname(p) + "/from", os.O_RDONLY), os.open(p, os.O_RDWR)
    check(os.copy_file_range(a, b, 5000, 1000, 2000) == 5000, "copied")
    os.close(a); os.close(b)
def itself(p, s):
    a = os.open(p, os.O_RDWR)
    check(os.copy_file_range(a, a, 5000, 1000, 200000) == 5000, "copied")
    os.close(a)
def touched(p, s): os.utime(p, ns=(5 * 10**9, 7 * 10**9 + len(s)))
def replaced(p, s):
    open(p + ".new", "wb").write(s); os.rename(p + ".new", p)
def mode(p, s): os.chmod(p, 0o600 if len(s) > 3 else 0o755)
def gone(p, s): os.unlink(p)
def direct(p, s):
    fd = os.open(p, os.O_RDWR | os.O_DSYNC); os.pwrite(fd, s, 4096); os.close(fd)
def held(p, s):  # open since before the fork
    os.pwrite(HELD[p], s, 10)
WAY = (write, middle, append, truncated, shorter, longer, emptied, mapped, allocate, punched,
       copied, itself, touched, replaced, mode, gone, direct, held)
HELD = {}

src = tree("one")
one, two, twin = SCRATCH + "/one", SCRATCH + "/two", SCRATCH + "/twin"
for side in (one, twin + "1", twin + "2"):
    os.makedirs(side + "/w")
    for w in WAY + ("from",):
        n = w if isinstance(w, str) else w.__name__
        with open("%s/w/%s" % (side, n), "wb") as f:
            f.write(bytes((i * 7 + len(n)) & 255 for i in range(30000)) * 10)
for p in (one, twin + "1"):
    HELD[p + "/w/held"] = os.open(p + "/w/held", os.O_RDWR)
def texts(top):
    return {k: v[:2] for k, v in picture(top + "/w").items()}
f = fork(src, "two")
for p in (two, twin + "2"):
    HELD[p + "/w/held"] = os.open(p + "/w/held", os.O_RDWR)
check(not differ(texts(one), texts(twin + "1")) and not differ(texts(two), texts(twin + "2")),
      "the same to begin with")
# first one side of half of them, then the other sides
for side, text in ((one, b"ONE"), (two, b"SECOND")):
    real = twin + ("1" if side == one else "2")
    for k, w in enumerate(WAY):
        if (k % 2 == 0) == (side == one):
            w(side + "/w/" + w.__name__, text); w(real + "/w/" + w.__name__, text)
    for s, r in ((one, twin + "1"), (two, twin + "2")):
        check(not differ(texts(s), texts(r)),
              "%s after %s: %s" % (s, side, differ(texts(s), texts(r))))
for side, text in ((one, b"ONE"), (two, b"SECOND")):
    real = twin + ("1" if side == one else "2")
    for k, w in enumerate(WAY):
        if (k % 2 == 0) != (side == one):
            w(side + "/w/" + w.__name__, text); w(real + "/w/" + w.__name__, text)
for s, r in ((one, twin + "1"), (two, twin + "2")):
    check(not differ(texts(s), texts(r)), "%s: %s" % (s, differ(texts(s), texts(r))))
check(os.stat(one + "/w/touched").st_mtime_ns == 7 * 10**9 + 3 and
      os.stat(two + "/w/touched").st_mtime_ns == 7 * 10**9 + 6, "times of their own")
for fd in HELD.values():
    os.close(fd)

# -- forked while it is written to: what a fork has stays what it was
stop, wrote = threading.Event(), [0] * 4
def run(i):
    fd, n = os.open("%s/w/race%d" % (one, i), os.O_RDWR | os.O_CREAT), 0
    while not stop.is_set():
        n += 1
        os.pwrite(fd, b"%08d" % n * 512, 4096 * (n % 64))
        if n % 97 == 0:
            os.truncate("%s/w/race%d" % (one, i), 4096 * 64)
    os.close(fd)
    wrote[i] = n
threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
for t in threads:
    t.start()
chain, last, kept = [f], src, []
for k in range(4):
    wait_for("they write", lambda: os.path.exists(one + "/w/race3"))
    g = fork(src, "r%d" % k)
    p = texts(SCRATCH + "/r%d" % k)
    kept.append((g, p))
    fork_of_fork = fork(g["mount_id"], "rr%d" % k)
    check(len(fork_of_fork["lower_chain"]) == len(g["lower_chain"]) + 1 and
          fork_of_fork["lower_chain"][1:] == g["lower_chain"], "a chain of chains")
    check(not differ(texts(SCRATCH + "/rr%d" % k), p), "a fork of a fork")
    for i in range(4):  # the forks write as well
        fd = os.open(SCRATCH + "/rr%d/w/race%d" % (k, i), os.O_RDWR)
        os.pwrite(fd, b"fork", 0); os.close(fd)
stop.set()
for t in threads:
    t.join()
check(min(wrote) > 0, str(wrote))
for k, (g, p) in enumerate(kept):
    d = SCRATCH + "/r%d" % k
    check(not differ(texts(d), p), "it moved: %s" % differ(texts(d), p))
    for i in range(4):  # each block whole
        data = open("%s/w/race%d" % (d, i), "rb").read()
        for at in range(0, len(data), 4096):
            b = data[at:at + 4096]
            check(b == b[:8] * 512 or not any(b), "half a write")
check(len(kept[-1][0]["lower_chain"]) == 5, str(kept[-1][0]))
print("%d blocks written beside 4 forks" % sum(wrote))
# the source goes first
for k in (1, 2):
    api.row("DELETE", "/mounts/" + kept[k][0]["mount_id"], 200, ANY)
api.row("DELETE", "/mounts/" + src, 200, ANY)
check(not differ(texts(SCRATCH + "/r0"), kept[0][1]) and
      not differ(texts(SCRATCH + "/r3"), kept[3][1]) and
      open(SCRATCH + "/rr1/w/race0", "rb").read(4) == b"fork", "forks without their source")
open(SCRATCH + "/ids", "w").write("\n".join((kept[0][0]["mount_id"], kept[3][0]["mount_id"])))
json.dump([picture(SCRATCH + "/r0"), picture(SCRATCH + "/r3"), picture(SCRATCH + "/rr1")],
          open(SCRATCH + "/pictures", "w"))
END

# -- restarts, and without the store
for how in TERM KILL lost; do
    stop_daemon "${how/lost/TERM}"
    [ "$how" != lost ] || rm -r "$DAEMON_STORE"
    start_daemon
    for d in r0 r3 rr1; do wait_until 30 is_mounted "$SCRATCH/$d"; done
    api_py "$how" <<'END'
exec(open(SCRATCH + "/forks.py").read())
for name, was in zip(("r0", "r3", "rr1"), json.load(open(SCRATCH + "/pictures"))):
    wait_for(name, lambda: os.path.exists(SCRATCH + "/%s/w/from" % name))
    now = json.loads(json.dumps(picture(SCRATCH + "/" + name)))
    check(not differ(now, was), "%s: %s: %s" % (sys.argv, name, differ(now, was)))
id = open(SCRATCH + "/ids").read().split()
wait_for("ready", lambda: all(api.call("GET", "/mounts/%s/ready" % i).json["ready"] for i in id))
g = fork(id[1], "again-" + sys.argv[1])
check(len(g["lower_chain"]) >= 6, "the chain is remembered: %s" % g)
api.row("DELETE", "/mounts/" + g["mount_id"], 200, ANY)
END
done
grep -q 'sealed_chain' "$AROOT/state.toml" || fail "the chain is not in the record"

# -- killed in the middle: the source as it was, a fork whole or not at all
api_py <<'END'
exec(open(SCRATCH + "/forks.py").read())
for m in api.call("GET", "/mounts").json["mounts"]:
    api.row("DELETE", "/mounts/" + m["mount_id"], 200, ANY)
src = tree("many")
os.mkdir(SCRATCH + "/many/d")
for i in range(1500):
    open(SCRATCH + "/many/d/%d" % i, "w").write("%d\n" % i)
open(SCRATCH + "/ids", "w").write(src)
t = time.monotonic()
g = fork(src, "whole")
open(SCRATCH + "/took", "w").write("%d" % ((time.monotonic() - t) * 1e3))
check(g["shared_stats"]["files"] == 1500, str(g))
api.row("DELETE", "/mounts/" + g["mount_id"], 200, ANY)
json.dump(picture(SCRATCH + "/many"), open(SCRATCH + "/pictures", "w"))
END
took=$(cat "$SCRATCH/took")
for part in 2 6 12; do
    ms=$((15 + took * part / 10))
    mkdir -p "$SCRATCH/kill$ms"
    curl -sS --noproxy '*' -m 60 -o "$SCRATCH/answer$ms" -X POST \
        -H 'Content-Type: application/json' \
        -d "{\"mode\":\"chain\",\"mountpoint\":\"$SCRATCH/kill$ms\"}" \
        "$ANTARES/mounts/$(cat "$SCRATCH/ids")/fork" 2>/dev/null &
    curl=$!
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))" # any moment will do
    stop_daemon KILL
    wait "$curl" || true
    unmount_lazily "$SCRATCH/kill$ms" 2>/dev/null || true
    start_daemon
    wait_until 30 is_mounted "$SCRATCH/many"
    api_py "$ms" <<'END'
exec(open(SCRATCH + "/forks.py").read())
was, ms = json.load(open(SCRATCH + "/pictures")), sys.argv[1]
wait_for("it comes back", lambda: os.path.exists(SCRATCH + "/many/d/1499"))
now = json.loads(json.dumps(picture(SCRATCH + "/many")))
check(not differ(now, was), "the source changed: %s" % str(differ(now, was))[:300])
wait_for("all are back", lambda: all(m["state"] in ("Ready", "Mounted")
         for m in api.call("GET", "/mounts").json["mounts"]))
def there():
    return {m["mount_id"]: m["mountpoint"] for m in api.call("GET", "/mounts").json["mounts"]}
wait_for("only what is listed is kept", lambda:
         sorted(os.listdir(os.environ["UPPER"])) == sorted(there()))
for id, dir in there().items():
    if dir.endswith("/kill" + ms):
        print("killed after %s ms: the fork is there" % ms)
        wait_for("it", lambda: os.path.exists(dir + "/d/1499"))
        now = json.loads(json.dumps(picture(dir)))
        check(not differ(now, was), "not whole: %s" % str(differ(now, was))[:300])
        api.row("DELETE", "/mounts/" + id, 200, ANY)
END
done
