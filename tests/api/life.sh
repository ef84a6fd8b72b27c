#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mount starts a daemon; mounts come back after a restart and when daemon and
# keeper were killed, at the revision they showed; what cannot come back is
# tried again.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl python3

write_config
git_repo "$SCRATCH/repo"
echo one >"$SCRATCH/repo/file"
git_commit "$SCRATCH/repo" one
cd "$SCRATCH"

pid_of() { scorpio_cli --json status | python3 -c 'import json,sys
print(json.load(sys.stdin)["keeper_pid"])'; }
# daemons in the background are nobody's children: remember them
at_exit eval 'signal_ours KILL $(cat "$SCRATCH/pids")'
remember() { pid_of >>"$SCRATCH/pids"; }

# -- relative names, a directory that is missing, a daemon that is missing
out=$(within 30 "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" \
    mount repo made/here)
remember
assert_contains "$out" "$SCRATCH/repo"
assert_contains "$out" "$SCRATCH/made/here"
assert_eq "$(wc -l <<<"$out")" 1 "one friendly line"
assert_eq "$(cat made/here/file)" one
daemon_answers || fail "no HTTP on the port asked for"

# -- many at once start one daemon only
scorpio_cli stop >/dev/null
for i in 1 2 3 4 5; do
    scorpio_cli mount repo "many/$i" >"$SCRATCH/many.$i" 2>&1 &
    pids[i]=$!
done
for i in 1 2 3 4 5; do
    wait "${pids[i]}" || fail "mount $i: $(cat "$SCRATCH/many.$i")"
    assert_eq "$(cat "many/$i/file")" one
done
remember
for i in 1 2 3 4 5; do scorpio_cli -q umount "many/$i"; done
assert_eq "$(ls many 2>/dev/null)" "" "directories made are removed"

# -- a restart shows what was shown, not what is new
is_back() { [ "$(cat made/here/file 2>/dev/null)" = one ]; }
echo two >repo/file
git_commit repo two
wait_until 10 is_back
scorpio_cli stop >/dev/null
is_mounted "$SCRATCH/made" && fail "mounted after stop"
assert_eq "$(stat -c %a "$DAEMON_STORE/mounts.json")" 600
scorpio_cli -q serve --background
remember
wait_until 10 is_back

# -- all is killed: the next daemon clears the stale mount away
# what the kernel has cached can still be read
unreadable() { ! stat -f made/here; }
kill -9 "$(pid_of)"
wait_until 10 unreadable
scorpio_cli -q serve --background
remember
wait_until 10 is_back

# -- all is killed, and umount without a daemon
kill -9 "$(pid_of)"
wait_until 10 unreadable
scorpio_cli -q umount made/here
is_mounted "$SCRATCH/made" && fail "the stale mount is still there"
scorpio_cli -q serve --background --no-restore
remember
assert_eq "$(scorpio_cli list)" "nothing is mounted"

# -- unmounted behind our back: forgotten too
scorpio_cli -q mount repo behind
unmounted() { [ "$(scorpio_cli list)" = "nothing is mounted" ]; }
umount behind 2>/dev/null || fusermount3 -u behind
wait_until 10 unmounted
scorpio_cli -q mount repo behind
assert_eq "$(cat behind/file)" two

# -- a source that is away is tried again and comes by itself
scorpio_cli stop >/dev/null
mv repo away
scorpio_cli -q serve --background
remember
failing() { scorpio_cli list | grep -q 'failed: '; }
wait_until 10 failing
assert_eq "$(curl -s -o /dev/null -w '%{http_code}' "$DAEMON_URL/ready")" 200
assert_contains "$(scorpio_cli doctor || true)" "not mounted"
mv away repo
back_too() { [ "$(cat behind/file 2>/dev/null)" = two ]; }
wait_until 20 back_too

# -- a broken record is set aside, the daemon still starts
scorpio_cli stop >/dev/null
echo '{"version":1,"mounts":[' >"$DAEMON_STORE/mounts.json"
scorpio_cli -q serve --background
remember
assert_eq "$(scorpio_cli list)" "nothing is mounted"
[ -e "$DAEMON_STORE/mounts.json.bad" ] || fail "nothing was set aside"

# -- [[mount]] of the configuration
scorpio_cli stop >/dev/null
cat >>"$DAEMON_CONFIG" <<END
[[mount]]
source = "$SCRATCH/repo"
dir = "$SCRATCH/configured"
rev = "main~1"
END
scorpio_cli -q serve --background
remember
assert_eq "$(cat configured/file)" one
scorpio_cli stop >/dev/null
while read -r pid; do wait_until 10 gone "$pid"; done <"$SCRATCH/pids"
