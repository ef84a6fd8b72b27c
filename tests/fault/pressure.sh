#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Too little of everything: descriptors, memory, a clock that jumps, and ten
# thousand readers at once. What cannot be done is an error in words; nothing
# hangs, no byte is wrong, and all works when the need is over.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d
for i in {1..1000}; do
    echo "content of file $i" >"$REPO/d/f$i"
done
head -c 20000000 /dev/urandom >"$REPO/large"
serve_repo
m=$SCRATCH/m

# -- ten thousand readers of cold files at once: threads of one program
start_daemon --no-keeper
mount_source "$FAULT_URL/repo.git" "$m"
readers() { # N - each reads one file; all must be right
    within 200 python3 - "$m" "$1" <<'END'
import resource, sys, threading
top, n = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(
    resource.RLIMIT_NOFILE)[1],) * 2)
threading.stack_size(65536)
BLOCK = 500
go = [threading.Event() for _ in range(n // BLOCK + 1)]
surplus = n // BLOCK + 1 # those from this block on do not read
wrong = []
def read(i):
    go[i // BLOCK].wait()
    if i // BLOCK >= surplus:
        return
    try:
        with open(f"{top}/d/f{i % 1000 + 1}") as f:
            if f.read() != f"content of file {i % 1000 + 1}\n":
                wrong.append(f"{i}: wrong bytes")
    except OSError as e:
        wrong.append(f"{i}: {e}")
threads = []
for i in range(n):
    t = threading.Thread(target=read, args=(i,))
    try:
        t.start()
    except RuntimeError: # the machine's limit: the server and git need some, too
        surplus = max(i // BLOCK - 1, 0)
        break
    threads.append(t)
for g in go[surplus:]:
    g.set()
for t in threads[surplus * BLOCK:]:
    t.join()
del threads[surplus * BLOCK:]
for g in go:
    g.set()
for t in threads:
    t.join()
print(f"{len(threads)} readers, {len(wrong)} failed {wrong[:3]}")
sys.exit(bool(wrong) or len(threads) < n // 4)
END
}
readers 10000 || fail "ten thousand readers"
note "resident $(awk '/VmRSS/ { print int($2 / 1024) }' \
    "/proc/$DAEMON_PID/status") MiB, $(find "/proc/$DAEMON_PID/fd" | wc -l) descriptors"
scorpio_cli -q umount "$m"

# -- the clock jumps: forward and back over what has a time (run under a
# library that shifts the wall clock, where there is one)
stop_daemon
case $SCORPIO_BUILD in
*/tsan) faketime= ;; # it waits for conditions unseen by the sanitizer
*) faketime=$(find /usr/lib -name 'libfaketimeMT.so.1' -print -quit) ;;
esac
if [ "$faketime" ]; then
    echo "+0" >"$SCRATCH/time"
    start_daemon_at() {
        LD_PRELOAD=$faketime FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 \
            FAKETIME_TIMESTAMP_FILE=$SCRATCH/time start_daemon --no-keeper
    }
    start_daemon_at
    mount_source "$FAULT_URL/repo.git" "$m"
    for jump in +10y -10y -40y +1d +0; do
        echo "$jump" >"$SCRATCH/time"
        daemon_answers || fail "clock $jump: no answer"
        [ "$(cat "$m/d/f7")" = "content of file 7" ] || fail "clock $jump"
        within 30 ls -lR "$m/d" >/dev/null
    done
    scorpio_cli -q umount "$m"
    stop_daemon
else
    note "no libfaketime, or none here: the clock is not tested"
fi

# -- few descriptors: the daemon has 48
(
    ulimit -n 48
    exec "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" serve --no-keeper
) >"$SCRATCH/few.log" 2>&1 </dev/null &
DAEMON_PID=$!
STARTED+=("$DAEMON_PID")
wait_until 20 daemon_answers
mount_source "$FAULT_URL/repo.git" "$m" --rw
python3 - "$DAEMON_PORT" "$m" <<'END'
import os, socket, sys
# connections take what there is; reads and writes go on or fail in words
socks = []
for i in range(60):
    s = socket.socket()
    s.settimeout(2)
    try:
        s.connect(("127.0.0.1", int(sys.argv[1])))
        s.send(b"GET /hea")
    except OSError:
        break
    socks.append(s)
failed = 0
for i in range(1, 200):
    try:
        if open(f"{sys.argv[2]}/d/f{i}").read() != f"content of file {i}\n":
            sys.exit(f"f{i}: wrong bytes")
        with open(f"{sys.argv[2]}/new{i}", "w") as f:
            f.write("x")
    except OSError as e:
        if isinstance(e, FileNotFoundError):
            sys.exit(f"f{i}: {e}")
        failed += 1
for s in socks:
    s.close()
print(f"{len(socks)} idle connections, {failed} of 199 failed")
END
wait_until 60 daemon_answers
fresh() { cmp "$m/d/f999" "$REPO/d/f999" && echo after >"$m/after"; }
wait_until 30 fresh
assert_same_tree "$m/d" "$REPO/d"
scorpio_cli -q umount "$m"
stop "$DAEMON_PID" || true

# -- little memory: a limited group where there is one, else an address space
# that is hardly enough; the large file is larger than half of it
group=/sys/fs/cgroup/memory/scorpio-test-$$
limit=$((80 * SLOW)) # MiB: what sanitizers keep beside is counted as well
if [ "$(id -u)" -eq 0 ] && mkdir "$group" 2>/dev/null; then
    at_exit rmdir "$group"
    echo "${limit}M" >"$group/memory.limit_in_bytes"
    rm -rf "$DAEMON_STORE"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec "$SCORPIO" -c "$DAEMON_CONFIG" \
            --http-addr "127.0.0.1:$DAEMON_PORT" serve --no-keeper
    ) >"$SCRATCH/small.log" 2>&1 </dev/null &
    DAEMON_PID=$!
    STARTED+=("$DAEMON_PID")
    wait_until 20 daemon_answers
    mount_source "$FAULT_URL/repo.git" "$m"
    within 120 cmp "$m/large" "$REPO/large" || fail "in $limit MiB"
    within 120 diff -r "$m/d" "$REPO/d" || fail "in $limit MiB"
    gone "$DAEMON_PID" && fail "the daemon was ended in $limit MiB"
    note "peak $(($(cat "$group/memory.max_usage_in_bytes") / 1048576)) MiB of $limit"
    scorpio_cli -q umount "$m"
    stop "$DAEMON_PID" || true
    wait_until 20 test ! -s "$group/cgroup.procs"
else
    note "no memory group can be made: not tested"
fi
