#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# A program with many threads that reads cold files of a slow server, and one that
# reads a file now and then: the second hardly waits for the first. Its share is
# the process's, not the threads', and so is the account.
# FAIR_THREADS, FAIR_BATCH, FAIR_CALLS, FAIR_MS, FAIR_FILES: other figures.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git python3 jq

threads=${FAIR_THREADS:-64} batch=${FAIR_BATCH:-1} calls=${FAIR_CALLS:-4}
ms=${FAIR_MS:-100} files=${FAIR_FILES:-800}
git_repo "$SCRATCH/repo"
python3 - "$SCRATCH/repo" "$files" <<'END'
import os, sys
# each in a directory of its own, so that nothing is read ahead
for name, n in ("greedy", int(sys.argv[2])), ("single", 40):
    for i in range(1, n + 1):
        d = f"{sys.argv[1]}/{name}/d{i}"
        os.makedirs(d)
        with open(f"{d}/f", "w") as f:
            f.write(f"{name} {i}\n")
END
git_commit "$SCRATCH/repo" files
publish "$SCRATCH/repo" repo.git
git -C "$SCRATCH/www/repo.git" config transfer.advertiseObjectInfo true
start_fault_server "$SCRATCH/www"
write_config
cat >>"$DAEMON_CONFIG" <<END
[fs]
read_ahead = 0
[fetch]
threads = $calls
batch = $batch
END
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"
within 120 find "$m" -size +1M # trees and sizes are here
fault_control delay "{\"ms\": $ms}" >/dev/null

cat >"$SCRATCH/greedy.py" <<'END'
import sys, threading
top, n, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
threading.stack_size(65536)
left, lock = iter(range(1, files + 1)), threading.Lock()
def read():
    while True:
        with lock:
            i = next(left, 0)
        if not i:
            return
        with open(f"{top}/greedy/d{i}/f") as f:
            if f.read() != f"greedy {i}\n":
                sys.exit(f"{i}: wrong bytes")
for i in range(n):
    threading.Thread(target=read).start()
print("reading", flush=True)
END
single() { # FROM TO - p50 and p99 of a file, in ms
    python3 - "$m" "$1" "$2" <<'END'
import sys, time
took = []
for i in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
    t = time.monotonic()
    with open(f"{sys.argv[1]}/single/d{i}/f") as f:
        if f.read() != f"single {i}\n":
            sys.exit(f"{i}: wrong bytes")
    took.append((time.monotonic() - t) * 1000)
took.sort()
print(int(took[len(took) // 2]), int(took[len(took) * 99 // 100]))
END
}
read -r alone alone99 < <(single 1 12)
start greedy python3 "$SCRATCH/greedy.py" "$m" "$threads" "$files"
greedy=$PID
wait_until 20 grep -q reading "$SCRATCH/greedy.log"
waits() { [ "$(metric scorpio_source_waiting)" -ge $((threads * 3 / 4)) ]; }
wait_until 20 waits
read -r beside beside99 < <(single 13 24)
gone "$greedy" && fail "the greedy one was done before"
note "a file alone: p50 $alone ms, p99 $alone99 ms; beside $threads threads:" \
    "p50 $beside ms, p99 $beside99 ms ($ms ms, $calls calls of $batch)"
queue=$((threads * ms / calls / batch)) # what waiting behind them all takes
assert_le "$beside" $((alone + queue / 3)) "p50 beside $threads threads"

# one account, with all that its threads read
scorpio_cli top --json >"$SCRATCH/top"
jq -e --argjson pid "$greedy" '[.. | objects | select(.pid? == $pid)] |
    length == 1 and .[0].fetched_objects > 20' "$SCRATCH/top" >/dev/null ||
    fail "accounts: $(jq -c . "$SCRATCH/top" | head -c 2000)"
stop "$greedy" || true
