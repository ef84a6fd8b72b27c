#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 400
# The unit for systemd, in the hands of systemd itself (a manager of its own, in
# namespaces): it becomes ready, the keeper is killed again and again and nobody
# who uses a mount notices, for systemd holds the descriptors; stop and start
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires root fuse git unshare nsenter systemctl systemd-analyze python3
manager=/lib/systemd/systemd
[ -x "$manager" ] || skip "no $manager"
# what it takes for the root of all control groups is a group of ours
top=/sys/fs/cgroup
layout="$top:cgroup2:"
[ ! -d $top/unified ] || # the older kind, with the newer one for who is left
    layout="$top/systemd:cgroup:none,name=systemd $top/unified:cgroup2:"
groups=()
remove_group() { # and who is still in it, or was started again meanwhile
    [ ${#groups[@]} -gt 0 ] || return 0
    empty() {
        local left
        left=$(find "${groups[@]}" -name cgroup.procs -exec cat {} +)
        # shellcheck disable=SC2086 # several
        [ -z "$left" ] || { kill -KILL $left 2>/dev/null; false; }
    }
    poll_until 20 empty || true
    find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
at_exit remove_group
for l in $layout; do
    mkdir "${l%%:*}/scorpio-test-$$" 2>/dev/null || skip "no control group can be made"
    groups+=("${l%%:*}/scorpio-test-$$")
    [ -w "${groups[-1]}/cgroup.procs" ] || skip "${l%%:*} is none of control groups"
done

# -- systemd, with nothing but our unit
units=$SCRATCH/units
unit=scorpio@root.service
mkdir -p "$units/$unit.d" "$SCRATCH/run"
chmod 700 "$SCRATCH/run"
cp packaging/systemd/scorpio@.service "$units"
printf '[Unit]\nDescription=nothing else\n' >"$units/basic.target"
write_config
cat >"$units/$unit.d/here.conf" <<END
[Service]
ExecStart=
ExecStart=$SCORPIO -c $DAEMON_CONFIG --http-addr 127.0.0.1:$DAEMON_PORT serve
StandardOutput=append:$SCRATCH/service.log
END
verdict=$(SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no "$unit" 2>&1 |
    grep -F scorpio || true)
assert_eq "$verdict" "" "what systemd-analyze says"

cat >"$SCRATCH/manager.sh" <<END
set -e
mount -t tmpfs none $top
for l in $layout; do
    IFS=: read -r at type options <<<"\$l"
    mkdir -p "\$at"
    mount -t "\$type" \${options:+-o "\$options"} none "\$at"
done
mount -t tmpfs none /run
mkdir -p /run/systemd/system
export XDG_RUNTIME_DIR="$SCRATCH/run" SYSTEMD_UNIT_PATH="$units" SYSTEMD_LOG_TARGET=console
exec $manager --user --unit=basic.target
END
# shellcheck disable=SC2016 # of the inner shell
start systemd bash -c 'for g; do echo $$ >"$g/cgroup.procs" || exit; done
    exec unshare -C -m --propagation private bash "$0"' "$SCRATCH/manager.sh" "${groups[@]}"
systemd=$PID
inside() { nsenter -t "$systemd" -m -- "$@"; }
ctl() { inside env XDG_RUNTIME_DIR="$SCRATCH/run" systemctl --user "$@"; }
alive() { ctl show -p Version >/dev/null 2>&1; }
decided() { alive || gone "$systemd"; }
poll_until 60 decided && alive || {
    cat "$SCRATCH/systemd.log"
    skip "systemd does not run here"
}
value() { ctl show "$unit" -p "$1" --value; }

# -- ready means that it answers
ctl start "$unit" || {
    cat "$SCRATCH/systemd.log" "$SCRATCH/service.log"
    fail "it does not start"
}
daemon_answers || fail "it was ready before it answered"
assert_eq "$(value ActiveState)" active
keeper=$(value MainPID)

# -- a mount in use; the keeper dies
git_repo "$SCRATCH/repo"
for i in {1..50}; do
    seq "$i" 3000 >"$SCRATCH/repo/f$i"
done
git_commit "$SCRATCH/repo" files
m=$SCRATCH/m
mkdir "$m"
inside "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" \
    mount "$SCRATCH/repo" "$m" --workspace w >/dev/null
cat >"$SCRATCH/user.py" <<'END'
# reads and writes in a mount until told to stop; any error ends it
import hashlib, os, sys
m, stop, out = sys.argv[1:]
want = {n: open(os.path.join(os.path.dirname(m), "repo", n), "rb").read()
        for n in ("f%d" % i for i in range(1, 51))}
held = os.open(m + "/f1", os.O_RDONLY)
rounds = 0
while not os.path.exists(stop):
    for n, content in want.items():
        with open(m + "/" + n, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert f.read() == content, n
    assert os.pread(held, 1 << 20, 0) == want["f1"]
    rounds += 1
    with open(m + "/mine", "w") as f:
        f.write("%d\n" % rounds)
    with open(out + ".new", "w") as f:
        f.write("%d\n" % rounds)
    os.rename(out + ".new", out)
END
start user nsenter -t "$systemd" -m -- python3 "$SCRATCH/user.py" "$m" \
    "$SCRATCH/stop" "$SCRATCH/rounds"
user=$PID
rounds() { cat "$SCRATCH/rounds" 2>/dev/null || echo 0; }
goes_on() { [ "$(rounds)" -gt "$1" ]; }
wait_until 30 goes_on 0
for _ in 1 2 3; do
    kill -KILL "$keeper"
    another() {
        local now
        now=$(value MainPID) && [ "$now" != 0 ] && [ "$now" != "$keeper" ] &&
            [ "$(value ActiveState)" = active ]
    }
    wait_until 60 another
    keeper=$(value MainPID)
    wait_until 60 goes_on "$(rounds)"
    kill -0 "$user" || {
        cat "$SCRATCH/user.log"
        fail "who uses the mount saw that the keeper died"
    }
done
assert_eq "$(value NRestarts)" 3
touch "$SCRATCH/stop"
ended_well user "$user"

# -- an orderly end, and the next start
mine=$(inside cat "$m/mine")
ctl stop "$unit"
assert_eq "$(value Result)" success
assert_eq "$(value ActiveState)" inactive
wait_until 20 gone "$keeper"
inside mountpoint -q "$m" && fail "still mounted after stop"
ctl start "$unit"
back() { [ "$(inside cat "$m/mine" 2>/dev/null)" = "$mine" ]; }
wait_until 30 back
# reload reaches the daemon
printf '[log]\nlevel = "debug"\n' >>"$DAEMON_CONFIG"
ctl reload "$unit"
wait_until 20 grep -q "configuration reloaded" "$SCRATCH/service.log"
ctl stop "$unit"
stop "$systemd" KILL || true # a TERM is for a target that it has not
