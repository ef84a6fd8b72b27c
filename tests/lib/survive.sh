# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by those who source this
#
# survive.sh - killing the daemon under load, for tests/fault and tests/proof.
# Sourced after functions.sh and posix.sh.

kept_process() { # empty while there is none
    pgrep -P "$DAEMON_PID" 2>/dev/null | head -n1
}

another_daemon() { # OLD
    local pid
    pid=$(kept_process)
    [ "$pid" ] && [ "$pid" != "$1" ]
}

# kill_once [SIGNAL] - at this moment; returns when another one is there
kill_once() {
    local pid
    pid=$(kept_process)
    [ "$pid" ] || return 0
    kill "-${1:-KILL}" "$pid" 2>/dev/null || true
    wait_until 60 another_daemon "$pid"
}

# pauses LOG - how long each daemon was away, in ms, as the keeper measured it;
# not where others were killed in between
pauses() {
    sed -n 's/.*serves, \([0-9]*\) ms after .* gone"$/\1/p' "$1" | sort -n
}
times_served() { # LOG
    grep -c 'area=keeper msg="process [0-9]* serves, ' "$1" || true
}
served_since() { # LOG TIMES
    [ "$(times_served "$1")" -gt "$2" ]
}
percentile() { # P <numbers, sorted
    awk -v p="$1" '{ a[NR] = $1 } END { i = int(NR * p / 100 + 0.999)
        print a[i < 1 ? 1 : i] }'
}

# survive_files DIR - many files for readers, and what they hold
survive_files() {
    python3 - "$1" <<'END'
import hashlib, os, random, sys
r = random.Random(7)
sums = []
for d in range(20):
    os.makedirs(f"{sys.argv[1]}/cold/d{d}")
    for i in range(60):
        name = f"cold/d{d}/f{i}"
        data = r.randbytes(r.choice((10, 900, 5000, 70000, 200000)))
        with open(f"{sys.argv[1]}/{name}", "wb") as f:
            f.write(data)
        sums.append((name, hashlib.sha256(data).hexdigest()))
with open(sys.argv[1] + ".sums", "w") as f:
    for name, h in sums:
        f.write(f"{h}  {name}\n")
END
}

# survive_reader DIR SUMS STOP - reads at random, past the kernel's cache, until
# STOP is there; any error or wrong byte ends it with 1
survive_reader() {
    python3 - "$@" <<'END'
import hashlib, os, random, sys
top, sums, stop = sys.argv[1:]
want = [l.split("  ", 1) for l in open(sums).read().splitlines()]
n = 0
while not os.path.exists(stop):
    h, name = random.choice(want)
    path = f"{top}/{name}"
    if n % 50 == 0:
        here = set(os.listdir(os.path.dirname(path)))
        assert os.path.basename(name) in here, name
    os.stat(path)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    got = hashlib.sha256()
    while b := os.read(fd, 65536):
        got.update(b)
    os.close(fd)
    assert got.hexdigest() == h, f"{name}: wrong content"
    n += 1
print(f"{n} files read")
END
}

# survive_client PORT SOCKET STOP - connects to the daemon all the time, by TCP and
# by its socket: one that is being replaced refuses nobody. What it was answering
# when it died may be cut off.
survive_client() {
    python3 - "$@" <<'END'
import os, socket, sys
port, path, stop = int(sys.argv[1]), sys.argv[2], sys.argv[3]
answered = cut = 0
while not os.path.exists(stop):
    for family, address in ((socket.AF_INET, ("127.0.0.1", port)),
                            (socket.AF_UNIX, path)):
        with socket.socket(family) as s:
            s.settimeout(100)
            s.connect(address) # refused: the end
            try:
                s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
                          b"Connection: close\r\n\r\n")
                ok = s.recv(64).startswith(b"HTTP/1.1 200")
            except (ConnectionResetError, BrokenPipeError):
                ok = False
            answered += ok
            cut += not ok
assert answered > cut, f"{cut} of {answered + cut} connections cut off"
print(f"{answered} answers, {cut} cut off")
END
}

# survive_writer DIR STOP - rows with fsync, names made, moved and removed, an
# unlinked file in use, a mapped one, a lock; checked all the time
survive_writer() {
    python3 - "$@" <<'END'
import fcntl, mmap, os, sys
top, stop = sys.argv[1:]
os.makedirs(top)
os.chdir(top)
lost = os.open("unlinked", os.O_RDWR | os.O_CREAT)
os.unlink("unlinked")
log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
with open("mapped", "wb") as f:
    f.truncate(65536)
m = open("mapped", "r+b")
view = mmap.mmap(m.fileno(), 65536)
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
n = 0
while not os.path.exists(stop):
    line = f"row {n}\n".encode()
    assert os.write(log, line) == len(line)
    if n % 10 == 0:
        os.fsync(log)
    os.pwrite(lost, line.ljust(16), n * 16)
    assert os.pread(lost, 16, n * 16) == line.ljust(16)
    view[n % 4096 * 16:n % 4096 * 16 + 16] = line.ljust(16)
    d = f"d{n % 7}"
    os.mkdir(d)
    with open(f"{d}/new", "w") as f:
        f.write(str(n))
    os.rename(f"{d}/new", "moved")
    os.link("moved", f"{d}/link")
    os.symlink("nowhere", f"{d}/sym")
    os.setxattr("moved", "user.n", str(n).encode(), os.XATTR_CREATE)
    assert os.getxattr(f"{d}/link", "user.n") == str(n).encode()
    os.removexattr("moved", "user.n")
    assert open(f"{d}/link").read() == str(n)
    os.unlink(f"{d}/link")
    os.unlink(f"{d}/sym")
    os.rmdir(d)
    n += 1
view.flush()
text = open("log", "rb").read()
assert text == b"".join(f"row {i}\n".encode() for i in range(n)), "log"
for i in range(max(0, n - 4096), n):
    assert open("mapped", "rb").read()[i % 4096 * 16:][:16] == \
        f"row {i}\n".encode().ljust(16), "mapped"
print(f"{n} rounds")
END
}

# survive_builds PROJECT DIR STOP - builds in DIR again and again, each time
# with the same result as the build of the twin in PROJECT
survive_builds() {
    local n=0 want
    want=$(cd "$1" && find out -type f -exec sha256sum {} + | sort)
    while [ ! -e "$3" ]; do
        rm -rf "$2/out"
        make -s -j2 -C "$2" >/dev/null || return 1
        [ "$(cd "$2" && find out -type f -exec sha256sum {} + | sort)" = "$want" ] || {
            echo "the build differs from its twin"
            return 1
        }
        n=$((n + 1))
    done
    echo "$n builds"
}
