#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# Every page of the store is overwritten in turn under a daemon that has it
# mounted: no program ever reads a wrong byte, and afterwards everything is
# there again. What LMDB does with such a page is not always the same. With
# KEEPER=--no-keeper nobody starts another one.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git python3 jq
pages=${PAGES:-0} # so many of them, evenly spread; 0: all

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo/d/e"
for i in {1..30}; do
    seq "$i" 300 >"$SCRATCH/repo/d/s$i"
    head -c $((i * 700)) /dev/urandom >"$SCRATCH/repo/d/e/r$i"
done
git_commit "$SCRATCH/repo" files
publish "$SCRATCH/repo" repo.git
start_fault_server "$SCRATCH/www"
start_daemon "${KEEPER:---keeper}"
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"
assert_same_tree "$m" "$SCRATCH/repo"
db=$DAEMON_STORE/data.mdb

python3 - "$db" "$m" "$SCRATCH/repo" "$pages" "$SLOW" <<'END'
import mmap, os, random, sys, time
db, mount, repo, want, slow = sys.argv[1:]
want, slow = int(want), int(slow)
names = [f"d/s{i}" for i in range(1, 31)] + [f"d/e/r{i}" for i in range(1, 31)]
truth = {n: open(f"{repo}/{n}", "rb").read() for n in names}

def read(name):
    """The content past the kernel's cache, or None for an honest error."""
    try:
        fd = os.open(f"{mount}/{name}", os.O_RDONLY)
    except FileNotFoundError:
        sys.exit(f"{name}: said not to exist")
    except OSError:
        return None
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        got = b""
        while part := os.read(fd, 1 << 20):
            got += part
        return got
    except OSError:
        return None
    finally:
        os.close(fd)


def all_right(when):
    """Reads everything until it is all there."""
    failed = 0
    deadline = time.monotonic() + 60 * slow
    bad = set(names)
    while bad:
        for name in sorted(bad):
            got = read(name)
            if got is None:
                failed += 1
            elif got != truth[name]:
                sys.exit(f"{when}: {name}: wrong bytes")
            else:
                bad.discard(name)
        if bad and time.monotonic() > deadline:
            sys.exit(f"{when}: {len(bad)} files cannot be read again")
        if bad:
            time.sleep(0.05)
    return failed


errors = broken = 0
total = os.path.getsize(db) // 4096
step = max(1, total // want) if want else 1
rand = random.Random(5)
for page in range(0, total, step):
    # what was damaged last may have been set aside only now
    errors += all_right(f"before page {page}")
    if page * 4096 >= os.path.getsize(db):
        continue
    with open(db, "r+b") as f:
        f.seek(page * 4096)
        f.write(rand.choice((bytes(4096), b"\xff" * 4096, rand.randbytes(4096))))
    broken += 1
    errors += all_right(f"page {page}")
print(f"{broken} of {total} pages overwritten, {errors} reads failed on the way")
END
poll_until 30 daemon_answers || fail "the daemon is gone"
note "restarts: $(scorpio_cli status --json | jq .restarts)"
assert_same_tree "$m" "$SCRATCH/repo"
scorpio_cli umount "$m"
