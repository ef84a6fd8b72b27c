#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Every way a disk can fail x what lies on it (the store, the content of
# changed files, the log of changes): what cannot be had is an error in time,
# never a wrong byte and never "no such file"; what was acknowledged is there
# when the disk is well again, and everything works
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires root fuse git python3 jq
FAULTFS=$SCORPIO_BUILD/tools/faultfs
[ -x "$FAULTFS" ] || skip "$FAULTFS is not built"

repo=$SCRATCH/repo
git_repo "$repo"
for i in {1..60}; do
    seq "$i" 4000 >"$repo/cold$i"
done
seq 60000 >"$repo/warm"
echo lower >"$repo/small"
git_commit "$repo" files
publish "$repo" repo.git
start_fault_server "$SCRATCH/www"

# -- a disk that fails on demand below store and workspaces
disk=$SCRATCH/disk
mkdir "$disk" "$SCRATCH/backing"
: >"$SCRATCH/control"
start faultfs "$FAULTFS" "$SCRATCH/backing" "$disk" "$SCRATCH/control"
wait_until 20 mountpoint -q "$disk"
at_exit cp /dev/null "$SCRATCH/control"
turn=1
disk_is() { # RULE... - "ERROR OPERATIONS PART"; none: well
    printf '%s\n' "$@" >"$SCRATCH/control.new"
    mv "$SCRATCH/control.new" "$SCRATCH/control"
    turn=$((turn + 1))
    wait_until 20 reloaded "$turn"
}
reloaded() { [ "$(grep -c rules "$SCRATCH/faultfs.log")" -ge "$1" ]; }
wait_until 20 reloaded 1

write_config
sed -i "s|^store_path.*|store_path = \"$disk/store\"|" "$DAEMON_CONFIG"
DAEMON_STORE=$disk/store
cat >>"$DAEMON_CONFIG" <<END
[server]
socket = "$SCRATCH/scorpio.sock"
[fetch]
retries = 0
[fs]
request_timeout = "15s"
read_ahead = 0
END
start_daemon --keeper
log=$SCRATCH/daemon-$DAEMON_PORT.log
m=$SCRATCH/m
again() { mount_source "$FAULT_URL/repo.git" "$m" --workspace w >/dev/null; }
again
ls -l "$m" >/dev/null
cmp "$m/warm" "$repo/warm"
echo first >"$m/private"
echo lower >"$m/touched"

# -- what is done while the disk fails: 0 done, 1 an error in words
acknowledged=first
next=0
try() { # WHAT CMD... - sets $code
    local what=$1
    shift
    code=0
    timeout -k 5 $((40 * SLOW)) "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" || code=$?
    case $code in
    0) return ;;
    124 | 137) fail "$cell: $what hangs" ;;
    esac
    code=1
    grep -qE "Input/output error|No space left|Read-only file|No such device|timed out|Stale" \
        "$SCRATCH/err" || fail "$cell: $what: $(cat "$SCRATCH/err")"
}
drop() { # past the kernel's cache
    python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)' "$1" 2>/dev/null || true
}
try_read() { # WHAT FILE WANTED
    drop "$2"
    try "$1" cat "$2"
    [ $code -ne 0 ] || cmp "$SCRATCH/out" "$3" || fail "$cell: $1: wrong bytes"
}
everything() { # all that is tried in a cell; sets done_WHAT to 0 or 1
    next=$((next + 1))
    try_read warm "$m/warm" "$repo/warm"
    done_warm=$code
    try_read cold "$m/cold$next" "$repo/cold$next"
    done_cold=$code
    echo "$acknowledged" >"$SCRATCH/wanted"
    try_read private "$m/private" "$SCRATCH/wanted"
    done_private=$code
    # in place: a shell's ">" would empty it first
    try write bash -c "printf '%-5s\n' $next 1<>'$m/private' >&1"
    done_write=$code
    maybe=$acknowledged # an error does not say that nothing was written
    [ $code -ne 0 ] && maybe=$(printf '%-5s' $next) ||
        acknowledged=$(printf '%-5s' $next)
    try sync sync "$m/private"
    done_sync=$code
    try mkdir mkdir "$m/dir$next"
    done_mkdir=$code
    [ $code -ne 0 ] || made="$made dir$next"
}
made=
is_right() {
    local d now
    now=$(cat "$m/private")
    [ "$now" != "$maybe" ] || acknowledged=$now
    [ "$now" = "$acknowledged" ] &&
        cmp "$m/cold$next" "$repo/cold$next" && cmp "$m/warm" "$repo/warm" &&
        [ "$(find "$m" -maxdepth 1 -name 'cold*' | wc -l)" -eq 60 ] || return 1
    for d in $made; do
        [ -d "$m/$d" ] || return 1
    done
}
# what must fail in a cell, for else the disk did not
table="
full       store   cold
read-only  store   cold
EIO        store   -
vanished   store   cold
full       upper   write
read-only  upper   write
EIO        upper   private write
vanished   upper   private write
full       log     mkdir
read-only  log     mkdir
EIO        log     mkdir
vanished   log     mkdir
"
begin() { # DISK WHAT
    local part
    case $2 in
    store) part=data.mdb ;;
    upper) part=/upper/ ;;
    log) part=/w/log ;;
    esac
    case $1/$2 in
    full/*) disk_is "ENOSPC w $part" ;;
    read-only/*) disk_is "EROFS w $part" ;;
    EIO/store) disk_is "EIO ri store/data.mdb" ;; # bad sectors
    EIO/*) disk_is "EIO rws $part" ;;
    vanished/store) disk_is "ENODEV w $part" ;;
    vanished/*) disk_is "ENODEV rwsm $part" ;;
    esac
}
while read -r kind what fails; do
    [ "$kind" ] || continue
    cell="$kind $what"
    begin "$kind" "$what"
    began=$(now_ms)
    everything
    took=$(($(now_ms) - began))
    note "$cell: warm $done_warm cold $done_cold private $done_private" \
        "write $done_write sync $done_sync mkdir $done_mkdir ($took ms)"
    for op in ${fails#-}; do
        name=done_$op
        [ "${!name}" -eq 1 ] || fail "$cell: $op did not fail"
    done
    wait_until 20 daemon_answers
    disk_is
    # a log that could not be synced is not trusted until it is read again
    if [ "$what" = log ] && ! mkdir "$m/after$next" 2>/dev/null; then
        note "$cell: mounted again"
        within 60 scorpio_cli -q umount "$m"
        again
        mkdir "$m/after$next"
    fi
    poll_until 60 is_right || {
        cat "$m/private" || true
        find "$m" -maxdepth 1 -name 'd*'
        fail "$cell: not as it was: wanted '$acknowledged', $made"
    }
    mkdir -p "$m/after$next"
    made="$made after$next"
done <<<"$table"
[ "$(find "$SCRATCH/backing/store" -name 'store.damaged-*' | wc -l)" -eq 1 ] ||
    fail "the unreadable store was not set aside"
grep -qE "damaged .*set aside" "$log" || { grep aside "$log"; fail "nobody told of it"; }
within 60 scorpio_cli -q umount "$m"
again
is_right || fail "after all: not as it was"
within 60 scorpio_cli -q umount "$m"
stop_daemon
