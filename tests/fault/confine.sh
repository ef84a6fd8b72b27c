#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is refused to the running daemon (tried by a backend of somebody's, from
# inside) and to git that it starts; and that it can be switched off
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git python3 jq gcc
grep -q '^Seccomp_filters' /proc/self/status || skip "a kernel without seccomp"

git_repo "$SCRATCH/repo"
echo content >"$SCRATCH/repo/file"
git_commit "$SCRATCH/repo" file
# git as the daemon finds it: it tells what it may do, then does its work
real=$(command -v git)
mkdir "$SCRATCH/bin"
cat >"$SCRATCH/bin/git" <<END
#!/bin/bash
{ grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
  python3 -c 'import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
c.ptrace(0, 0, 0, 0)
print("ptrace", ctypes.get_errno())
c.umount2(b"/no/such/place", 2)
print("umount2", ctypes.get_errno())'
} >>"$SCRATCH/told" 2>&1
exec "$real" "\$@"
END
chmod +x "$SCRATCH/bin/git"
filters() { awk '/^Seccomp_filters/ { print $2 }' "/proc/$1/status"; }
here=$(filters self)
m=$SCRATCH/m
# a backend that tries from inside what no daemon does
gcc -std=gnu11 -D_GNU_SOURCE -O1 -fPIC -shared -I. -Iinclude -o "$SCRATCH/intruder.so" \
    "$TESTLIB/intruder.c"
export INTRUDER_LOG=$SCRATCH/tried
intrude() { # NAME - one that was not fetched before
    rm -f "$INTRUDER_LOG"
    mount_source "hello+$1" "$SCRATCH/h"
    assert_eq "$(cat "$SCRATCH/h/hello.txt")" "Hello, $1!"
    cat "$INTRUDER_LOG"
    scorpio_cli -q umount "$SCRATCH/h"
}
turn=0
run_daemon() { # ARGS...
    rm -f "$SCRATCH/told"
    PATH=$SCRATCH/bin:$PATH start_daemon \
        --set plugins.load="$SCRATCH/intruder.so" "$@"
    # a workspace that is new: git is started for it
    mount_source "$SCRATCH/repo" "$m" --workspace="w$((++turn))"
    assert_eq "$(cat "$m/file")" content
    # git is started beside the mount, not before it
    wait_until 30 grep -q '^umount2' "$SCRATCH/told"
}
end_daemon() {
    scorpio_cli -q umount "$m"
    stop_daemon
}

run_daemon
pid=$(daemon_process)
doctor=$(scorpio_cli doctor --json || true)
if [ "$(id -u)" -eq 0 ]; then
    assert_eq "$(filters "$pid")" $((here + 1)) "filters of the daemon"
    assert_contains "$doctor" "calls that no daemon needs"
    # it can still do all its work, and restart itself
    scorpio_cli -q restart || fail "restart"
    assert_eq "$(cat "$m/file")" content
    intrude you
    # the leak checker of a sanitizer is a debugger
    [ "$SLOW" -eq 1 ] || sed -i '/^ptrace/d' "$INTRUDER_LOG"
    [ "$(grep -c ' 1$' "$INTRUDER_LOG")" -ge 11 ] &&
        ! grep -vE ' 1$|^no_new_privs' "$INTRUDER_LOG" ||
        fail "the daemon may do something of this"
    grep -q '^no_new_privs 0' "$INTRUDER_LOG" || fail "fusermount3 would not work"
else
    assert_contains "$doctor" "only of programs"
fi
cat "$SCRATCH/told"
grep -q '^NoNewPrivs:.1' "$SCRATCH/told" || fail "git may gain rights"
grep -q '^Seccomp:.2' "$SCRATCH/told" || fail "git is not confined"
grep -q '^ptrace 1$' "$SCRATCH/told" || fail "git may debug"
grep -q '^umount2 1$' "$SCRATCH/told" || fail "git may unmount"
end_daemon

run_daemon --set server.confine=false
assert_eq "$(filters "$(daemon_process)")" "$here" "filters when it is off"
assert_contains "$(scorpio_cli doctor --json || true)" "off (server.confine)"
# so it was not the kernel that refused
intrude all
grep -q '^process_vm_readv 0' "$INTRUDER_LOG" || fail "refused, although it is off"
end_daemon
