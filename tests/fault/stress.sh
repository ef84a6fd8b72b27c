#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# Readers, writers, mappers and switches in one workspace at once: who reads
# sees one of the revisions, never a mixture within a page and never anything
# else; after a switch has returned everybody sees the new one; what was written
# stays (tests/proof/stress_long.sh: ten minutes; lock and invalidation
# assertions are on in the asan and tsan variants)
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git python3
seconds=${STRESS_SECONDS:-20}

git_repo "$SCRATCH/repo"
for rev in 1 2 3; do
    python3 - "$SCRATCH/repo" "$rev" <<'END'
import os, sys
top, rev = sys.argv[1], int(sys.argv[2])
for d in range(10):
    os.makedirs(f"{top}/d{d}", exist_ok=True)
    for i in range(20):
        # sizes change with the revision; every line says which it is
        lines = (100 + 30 * i) * rev
        with open(f"{top}/d{d}/f{i}", "w") as f:
            f.write(f"rev {rev} d{d} f{i:02}\n".ljust(32, ".") * lines)
    same = f"{top}/d{d}/same"
    if not os.path.exists(same):
        open(same, "w").write(f"same {d}\n" * 5000)
    for name in (f"{top}/d{d}/only{r}" for r in (1, 2, 3)):
        if os.path.exists(name):
            os.remove(name)
    open(f"{top}/d{d}/only{rev}", "w").write(f"only {rev}\n")
END
    git_commit "$SCRATCH/repo" "r$rev" $((1700000000 + rev))
    git -C "$SCRATCH/repo" tag "r$rev"
done
start_daemon --no-keeper
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --rw --rev r1

cat >"$SCRATCH/load.py" <<'END'
import mmap, os, random, re, sys
role, top, stop = sys.argv[1:]
rand = random.Random(role)
n = 0
def name():
    return f"d{rand.randrange(10)}/f{rand.randrange(20)}"
def check(text, name, what):
    """Every page is of one revision, and of this file."""
    d, f = name.split("/")
    for at in range(0, len(text), 4096):
        page = text[at:at + 4096]
        revs = set(re.findall(rb"rev (\d) (d\d) f(\d\d)", page))
        if b"\0" in page: # beyond the end of a file that was made shorter
            page = page.rstrip(b"\0")
            assert b"\0" not in page, f"{what} {name}: zeros inside"
        # copying out of a map is no single step: a switch may come in between
        assert len(revs) <= 1 or what == "map", f"{what} {name}: mixed page {revs}"
        for rev, dd, ff in revs:
            assert (dd.decode(), f"f{int(ff)}") == (d, f), f"{what} {name}: {dd} {ff}"
def reader():
    x = name()
    fd = os.open(f"{top}/{x}", os.O_RDONLY)
    if rand.random() < .3:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    # a page by a call: the end of one revision may be the middle of the next
    text = b""
    while len(text) % 4096 == 0 and (part := os.pread(fd, 4096, len(text))):
        text += part
    os.close(fd)
    check(text, x, "read")
    if n % 20 == 0:
        only = [e for e in os.listdir(f"{top}/{x.split('/')[0]}")
                if e.startswith("only")]
        assert 1 <= len(only) <= 2, f"names {only}"
def mapper():
    x = name()
    fd = os.open(f"{top}/{x}", os.O_RDONLY)
    size = os.fstat(fd).st_size
    # the first page is there in every revision
    with mmap.mmap(fd, min(size, 4096), prot=mmap.PROT_READ) as v:
        for _ in range(5):
            check(v[:], x, "map")
    os.close(fd)
def writer():
    os.makedirs(f"{top}/own", exist_ok=True)
    p = f"{top}/own/w{n % 50}"
    text = f"{n}\n".encode() * rand.randrange(1, 3000)
    with open(p, "wb") as f:
        f.write(text)
        if n % 7 == 0:
            os.fsync(f.fileno())
    os.rename(p, p + ".moved")
    assert open(p + ".moved", "rb").read() == text, "what was written"
    assert not os.path.exists(p), "a name that was moved"
    if n % 3 == 0:
        os.unlink(p + ".moved")
fd = view = None
def map_writer():
    global fd, view
    if view is None:
        os.makedirs(f"{top}/own", exist_ok=True)
        fd = os.open(f"{top}/own/mapped", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 65536)
        view = mmap.mmap(fd, 65536)
    at = n * 16 % 65536
    view[at:at + 16] = b"%016d" % n
    if n % 10 == 0:
        view.flush()
    assert os.pread(fd, 16, at) == b"%016d" % n, "read beside a map"
    os.pwrite(fd, b"%016d" % (n + 1), at)
    assert view[at:at + 16] == b"%016d" % (n + 1), "map beside a write"
while not os.path.exists(stop):
    globals()[role.rstrip("0123456789")]()
    n += 1
print(f"{n} rounds")
END
stop_file=$SCRATCH/stop
declare -A load=()
for role in reader1 reader2 mapper1 writer1 map_writer1; do
    start "$role" python3 "$SCRATCH/load.py" "$role" "$m" "$stop_file"
    load[$role]=$PID
done
all_alive() {
    local role
    for role in "${!load[@]}"; do
        gone "${load[$role]}" && {
            cat "$SCRATCH/$role.log"
            fail "$role ended during switch $switches"
        }
    done
    true
}

switches=0
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
    switches=$((switches + 1))
    rev=$((switches % 3 + 1))
    within 60 scorpio_cli -q switch "$m" "r$rev" >"$SCRATCH/switch.log" 2>&1 || {
        cat "$SCRATCH/switch.log"
        fail "switch $switches to r$rev"
    }
    # it has returned: nobody may see what was before
    for d in 0 3 7; do
        read -r got <"$m/d$d/f$d"
        case $got in "rev $rev "*) ;; *) fail "after the switch to r$rev: $got" ;; esac
        [ -e "$m/d$d/only$rev" ] || fail "after the switch to r$rev: no only$rev"
        [ "$(stat -c %s "$m/d$d/f5")" -eq $((250 * 32 * rev)) ] ||
            fail "after the switch to r$rev: the size of f5"
    done
    all_alive
done
touch "$stop_file"
for role in "${!load[@]}"; do
    ended_well "$role" "${load[$role]}"
done
note "$switches switches"
[ $switches -ge 3 ] || fail "hardly any switch"
# what is there in the end is the revision and what was written
git -C "$SCRATCH/repo" checkout -q "r$rev"
rm -rf "$m/own"
assert_same_tree "$m" "$SCRATCH/repo"
scorpio_cli -q umount "$m"
daemon_answers || fail "the daemon is gone"
