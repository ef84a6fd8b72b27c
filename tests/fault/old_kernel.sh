#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that cannot send requests again: when the daemon dies, who waits gets
# an error at once instead of hanging; everything is mounted again with its
# changes; scorpio restart is refused before anything happens
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
. "$TESTLIB/survive.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git cc python3

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo one >"$SCRATCH/repo/file"
head -c 30000 /dev/urandom >"$SCRATCH/repo/d/far"
git_commit "$SCRATCH/repo" one
publish "$SCRATCH/repo" repo.git
start_fault_server "$SCRATCH/www"
cc -shared -fPIC -O1 -o "$SCRATCH/old.so" "$TESTLIB/preload/oldkernel.c" -ldl
write_config
printf '[fs]\nread_ahead = 0\n' >>"$DAEMON_CONFIG"
ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
    LD_PRELOAD=$SCRATCH/old.so start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m" --workspace w
view=$SCRATCH/view
mount_source "$FAULT_URL/repo.git" "$view" --rev main
ls -lR "$view" >/dev/null
echo mine >"$m/mine"

# -- restart: refused, with what to do; the same process goes on
old=$(daemon_process)
assert_fails scorpio_cli restart
assert_contains "$OUTPUT" "would not outlive"
assert_contains "$OUTPUT" "scorpio stop"
assert_eq "$(daemon_process)" "$old" "the process after a refusal"
assert_eq "$(cat "$m/mine")" mine

# -- somebody waits for the server, somebody has a file open; the daemon dies
fault_add '{"method":"POST","times":-1,"kind":"stall","after":0,"seconds":60}'
exec 7<"$m/file"
start waiter cat "$view/d/far"
waiter=$PID
waiting() {
    scorpio_cli list --json | grep -q '"waiting": *[1-9]'
}
wait_until 20 waiting
begin=$(now_ms)
kill -KILL "$old"
wait_until 20 gone "$waiter"
code=0
wait "$waiter" || code=$?
assert_eq "$code" 1 "the end of who waited"
assert_le $(($(now_ms) - begin)) $((15000 * SLOW)) "ms until the error"
code=0
within 20 cat /dev/fd/7 >/dev/null 2>&1 || code=$?
assert_eq "$code" 1 "reading a file that was open"
exec 7<&-

# -- the next daemon mounts it again, with its changes
wait_until 60 another_daemon "$old"
fault_clear
back() {
    [ "$(cat "$m/mine")" = mine ] && cmp "$view/d/far" "$SCRATCH/repo/d/far"
}
wait_until 60 back
assert_eq "$(scorpio_cli status "$m" | grep -c mine)" 1 "the change"
