#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# A program writes to a file that a fork has too, another one to its pages, and the fork
# goes while the copy for the first is made: neither write is lost
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup
base=$(git -C "$SCRATCH/repo" rev-parse main)
start_daemon
export BASE=$base UPPER=$AROOT/upper
api_py <<'END'
import ctypes, mmap, time
BASE, UPPER = os.environ["BASE"], os.environ["UPPER"]
BIG, TRIES = 300 << 20, 8
one, two = SCRATCH + "/one", SCRATCH + "/two"
os.mkdir(one)
os.mkdir(two)
src = api.row("POST", "/worktrees", 201, ANY, {
    "repo_path": "/project", "mountpoint": one, "lower_revision": BASE}).json["mount_id"]
block = os.urandom(1 << 20)
with open(one + "/big", "wb") as f:
    for _ in range(BIG >> 20):
        f.write(block)

# msync would wait for the other's write()
sync_file_range = ctypes.CDLL(None).sync_file_range
sync_file_range.argtypes = ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint

def files(id):
    return {os.path.join(at, n) for at, _, names in os.walk("%s/%s/upper" % (UPPER, id))
            for n in names}

met = 0
for k in range(TRIES):
    fork = api.row("POST", "/mounts/%s/fork" % src, 201, ANY,
                   {"mode": "chain", "mountpoint": two}).json["mount_id"]
    before, done = files(src), threading.Event()
    def first():
        with open(one + "/big", "r+b") as f:
            os.pwrite(f.fileno(), b"first%d" % k, BIG - 100)
        done.set()
    t = threading.Thread(target=first)
    # (the kernel lets one write() at a time to a file; pages of a map go beside it)
    fd = os.open(one + "/big", os.O_RDWR)
    second = mmap.mmap(fd, 4096)
    second[10]
    t.start()
    # as soon as there is something of the copy, the other side's file goes
    def begun():
        return done.is_set() or any(os.stat(p).st_blocks for p in files(src) - before)
    end = time.monotonic() + 60
    while not begun() and time.monotonic() < end:
        pass
    for p in files(fork):
        os.unlink(p)
    was_done = done.is_set()
    second[:7] = b"second%d" % k
    check(sync_file_range(fd, 0, 4096, 7) == 0, "the page is written")
    t.join()
    second.close()
    os.close(fd)
    met += not was_done
    with open(one + "/big", "rb") as f:  # not what the kernel kept of it
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        got = os.pread(f.fileno(), 7, 0), os.pread(f.fileno(), 6, BIG - 100)
    check(got == (b"second%d" % k, b"first%d" % k), "round %d: %r" % (k, got))
    api.row("DELETE", "/mounts/" + fork, 200, ANY)
    if met == 2:
        break
print("the fork went in the middle of the copy in %d of %d rounds" % (met, k + 1))
END
