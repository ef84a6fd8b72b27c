#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
# How long a reader waits when the daemon is killed while the kernel knows many
# inodes: PAUSE_INODES (1 000 000) of a view, or of a workspace whose files were
# all changed (PAUSE=changed; 100 000); PAUSE_KILLS (60). The figures are those of
# the machine at that moment: it is an error only if the reader sees one, or waits
# for ten times what is promised of 500 ms.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/fixtures.sh"
requires fuse git python3
changed=${PAUSE:-known}
case $changed in
known) inodes=${PAUSE_INODES:-1000000} view=(--ro) ;;
changed) inodes=${PAUSE_INODES:-100000} view=(--workspace w) ;;
*) fail "PAUSE is known or changed" ;;
esac
kills=${PAUSE_KILLS:-60}
fixture_synthetic "$inodes"

write_config
printf '[server]\nkeeper = true\n[cache]\nmax_size = "8GiB"\n' >>"$DAEMON_CONFIG"
start_daemon
m=$SCRATCH/m
mount_source "$FIXTURE" "$m" "${view[@]}"
begin=$(now_ms)
if [ "$changed" = changed ]; then
    find "$m" -path "$m/.git" -prune -o -type f -print0 | xargs -0 chmod 600
else
    find "$m" -type f -size +0 >/dev/null # who asks for sizes knows inodes
fi
note "$(metric scorpio_inodes) inodes known after $(($(now_ms) - begin)) ms"
assert_le $((inodes * 9 / 10)) "$(metric scorpio_inodes)" "inodes known"
file=$(find "$m" -path "$m/.git" -prune -o -type f -size +0 -print -quit)

cat >"$SCRATCH/wait.py" <<'END'
# kills PID, and reads FILE past the kernel's cache: the longest read, in ms
import os, signal, sys, time
fd, pid = os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2])
want = os.pread(fd, 4096, 0)
longest, begin = 0, time.monotonic()
os.kill(pid, signal.SIGKILL)
while time.monotonic() < begin + 0.3 or (longest < 5 and
                                         time.monotonic() < begin + 30):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    t = time.monotonic()
    assert os.pread(fd, 4096, 0) == want
    longest = max(longest, (time.monotonic() - t) * 1000)
print(round(longest))
END
serves() { # it has a child that answers, another than before
    local now
    now=$(daemon_process)
    [ "$now" != "$DAEMON_PID" ] && [ "$now" != "$1" ] && daemon_answers
}
last=none
for ((i = 0; i < kills; i++)); do
    wait_until 60 serves "$last"
    last=$(daemon_process)
    python3 "$SCRATCH/wait.py" "$file" "$last" >>"$SCRATCH/waits" ||
        fail "a reader saw the death of the daemon"
done
sort -n "$SCRATCH/waits" >"$SCRATCH/sorted"
at() { sed -n "$(((kills * $1 + 99) / 100))p" "$SCRATCH/sorted"; }
note "$kills kills, $inodes inodes $changed: a reader waits $(at 50) ms (p50)," \
    "$(at 99) ms (p99), $(tail -n1 "$SCRATCH/sorted") ms at most;" \
    "load $(cut -d' ' -f1 /proc/loadavg)"
assert_le "$(at 99)" $((5000 * SLOW)) "ms a reader waited (p99)"
assert_le $((inodes * 9 / 10)) "$(metric scorpio_inodes)" "inodes known at the end"
