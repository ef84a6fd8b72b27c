#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# A disk that does not answer, below the changes of a workspace: doctor and the
# metrics name each request that waits longer than a second, with what it waits
# for: the call and the file, or the lock and who has it; other mounts go on, and
# so does everything when the disk does.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires root fuse git jq
[ -r /proc/self/syscall ] || skip "a kernel that does not tell what threads wait for"
FAULTFS=$SCORPIO_BUILD/tools/faultfs
[ -x "$FAULTFS" ] || skip "$FAULTFS is not built"

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo/a" "$SCRATCH/repo/b"
echo content | tee "$SCRATCH/repo/a/f" >"$SCRATCH/repo/b/f"
git_commit "$SCRATCH/repo" files

disk=$SCRATCH/disk
mkdir "$disk" "$SCRATCH/backing"
: >"$SCRATCH/control"
start faultfs "$FAULTFS" "$SCRATCH/backing" "$disk" "$SCRATCH/control"
stuck=$PID
at_exit kill -CONT "$stuck"
wait_until 20 mountpoint -q "$disk"
write_config
printf '[fs]\nworkers = 6\n[server]\nhang_timeout = "0s"\n' >>"$DAEMON_CONFIG"
mkdir -p "$DAEMON_STORE"
chmod 700 "$DAEMON_STORE"
ln -s "$disk" "$DAEMON_STORE/workspaces"
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w
mount_source "$SCRATCH/repo" "$SCRATCH/other" --ro
echo before >"$m/a/new"

kill -STOP "$stuck"
mkdir "$m/a/one" &
one=$!
mkdir "$m/b/two" &
two=$!
told() { # REGEX
    scorpio_cli doctor >"$SCRATCH/doctor" || true
    grep -qE "$1" "$SCRATCH/doctor"
}
slow_at() { # WHERE
    [ "$(metric "scorpio_requests_slow{where=\"$1\"}")" -ge 1 ]
}
who='mkdir of inode [0-9]+ by process [0-9]+ waits for'
call="waits for [a-z]+ of $disk/"
wait_until 30 told "$who [a-z]+ of $disk/.*, since [1-9]"
wait_until 30 told "$who a lock of thread fuse \([0-9]+\), which $call"
grep 'waits for' "$SCRATCH/doctor"
slow_at work || fail "no metric of the call"
slow_at lock || fail "no metric of the lock"
# who needs nothing of that disk does not notice
assert_eq "$(within 20 cat "$SCRATCH/other/a/f")" content
kill -CONT "$stuck"
wait "$one" "$two" || fail "mkdir failed"
[ -d "$m/a/one" ] && [ -d "$m/b/two" ] || fail "a directory is not there"
none() { told "none waits for longer than a second"; }
wait_until 20 none
scorpio_cli -q umount "$m"
scorpio_cli -q umount "$SCRATCH/other"
