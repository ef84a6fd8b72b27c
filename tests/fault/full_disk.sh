#!/bin/bash
# timeout: 200
# No room left for the store: reads that need room fail with a clear error or
# work by making room, nothing hangs, and what is there stays readable
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"
requires root

new_repo
echo small >"$REPO/small"
for i in $(seq 1 30); do
    head -c 2000000 /dev/urandom >"$REPO/big$i"
done
serve_repo
mkdir "$SCRATCH/disk"
mount -t tmpfs -o size=40m tmpfs "$SCRATCH/disk"
write_config
sed -i "s|^store_path.*|store_path = \"$SCRATCH/disk/store\"|" "$DAEMON_CONFIG"
printf '[cache]\nmax_size = "1GiB"\n[fetch]\nretries = 0\n' >>"$DAEMON_CONFIG"
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m" --rev main
assert_eq "$(cat "$m/small")" small
good=0
bad=0
for i in $(seq 1 30); do
    code=0
    timeout $((30 * SLOW)) cat "$m/big$i" >"$SCRATCH/out" 2>"$SCRATCH/err" || code=$?
    [ $code -ne 124 ] || fail "big$i: hangs"
    if [ $code -eq 0 ]; then
        cmp "$SCRATCH/out" "$REPO/big$i"
        good=$((good + 1))
    else
        grep -qE 'No space left|Input/output error' "$SCRATCH/err" ||
            fail "big$i: $(cat "$SCRATCH/err")"
        bad=$((bad + 1))
    fi
done
note "$good files read, $bad refused"
[ $good -gt 0 ] || fail "nothing could be read"
assert_eq "$(cat "$m/small")" small
daemon_answers || fail "the daemon died of a full disk"
scorpio_cli umount "$m"
stop_daemon

# a limit smaller than the content is kept, and everything is readable
umount "$SCRATCH/disk"
mount -t tmpfs -o size=200m tmpfs "$SCRATCH/disk"
sed -i 's/^max_size.*/max_size = "32MiB"/' "$DAEMON_CONFIG"
start_daemon
mount_source "$FAULT_URL/repo.git" "$m" --rev main
assert_same_tree "$m" "$REPO"
used=$(du -sm "$SCRATCH/disk" | cut -f1)
note "60 MB through a store of 32 MiB: $used MiB on the disk"
assert_le "$used" 36 "MiB used by a store limited to 32"
