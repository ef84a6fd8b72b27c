#!/bin/bash
# timeout: 120
# A blob that takes longer to come than anybody waits: its readers are told
# so in time, it is fetched to its end once, and then it is here
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo
head -c 1000000 /dev/urandom >"$REPO/big"
echo small >"$REPO/small"
mkdir "$REPO/d" # siblings of what is read may come along
echo other >"$REPO/d/other"
serve_repo
write_config
printf '[fs]\nrequest_timeout = "1s"\nread_ahead = 0\n' >>"$DAEMON_CONFIG"
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m" --rev main
ls -lR "$m" >/dev/null
before=$(fault_requests)
fault_add '{"method":"POST","kind":"slow","piece":100000,"seconds":0.5}'
for i in 1 2; do
    begin=$(now_ms)
    assert_fails within 30 dd if="$m/big" of=/dev/null bs=4k count=1 status=none
    assert_le $(($(now_ms) - begin)) $((12000 * SLOW)) "ms until read $i failed"
done
# others are not held up by it, and it comes once
cmp "$m/small" "$REPO/small"
wait_until 30 cmp "$m/big" "$REPO/big"
assert_le $(($(fault_requests) - before)) 3 "requests for two files"

# one that falls silent does not hold up the daemon's end
fault_add '{"method":"POST","kind":"stall","after":60,"seconds":60}'
assert_fails within 30 cat "$m/d/other"
begin=$(now_ms)
stop_daemon
assert_le $(($(now_ms) - begin)) $((20000 * SLOW)) "ms until the daemon ended"
