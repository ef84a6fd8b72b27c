#!/bin/bash
# timeout: 300
# A Mono server that stalls, cuts off, lies, refuses or shows nothing: reads get
# the right bytes or an error, a directory is never shown emptier than it is
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires fuse git python3 curl

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
start_mono --no-range
write_config
cat >>"$DAEMON_CONFIG" <<'END'
[fetch]
stall_timeout = "1s"
[fs]
request_timeout = "8s"
END
mono_tree "$SCRATCH/want"
m=$SCRATCH/m

fresh() { # the next look asks the server for everything
    if [ "${DAEMON_PID:-}" ]; then
        scorpio_cli umount "$m" >/dev/null
        stop_daemon
    fi
    rm -rf "$DAEMON_STORE"
    mono_reset
    start_daemon
    mount_source "mono+$MONO_URL" "$m" >/dev/null
}

# faults that pass: one after the other, and what is read is right
fresh
for fault in '"kind":"close","count":3' '"kind":"stall","seconds":3,"count":2' \
    '"kind":"truncate","count":3' '"kind":"status","status":503,"count":3' \
    '"kind":"status","status":500,"count":3' '"kind":"wrong","count":1' \
    '"kind":"status","status":429,"retry_after":1,"count":3' \
    '"kind":"empty","count":1'; do
    for what in 'GET /api/v1/file/blob/' 'HEAD' 'GET /api/v1/file/tree'; do
        mono_fault "{\"match\":\"$what\",$fault}"
    done
    within 60 diff -r --no-dereference "$SCRATCH/want/project" "$m/project" ||
        fail "not the same after $fault"
    fresh
done
note 'faults that pass do not show'

# faults that stay: an error, in time, and the text says which
fails_saying() { # TEXT PATH
    local start
    start=$(now_ms)
    : >"$SCRATCH/daemon-$DAEMON_PORT.log"
    if cat "$m/$2" >/dev/null 2>"$SCRATCH/err"; then
        fail "$2 was read"
    fi
    assert_le $(($(now_ms) - start)) $((15000 * SLOW)) "ms to fail"
    grep -q 'No such file' "$SCRATCH/err" && fail "a false ENOENT for $2"
    wait_until 5 grep -q "$1" "$SCRATCH/daemon-$DAEMON_PORT.log"
}
file=project/deep/er/x.sh
all='"match":"/api/v1/(file|tree)/"'
fresh
mono_fault "{$all,\"kind\":\"status\",\"status\":403,\"message\":\"not you\"}"
fails_saying 'forbids.*not you' $file
fresh
mono_fault "{$all,\"kind\":\"status\",\"status\":401}"
fails_saying 'token' $file
fresh
mono_fault "{$all,\"kind\":\"status\",\"status\":404}"
fails_saying 'shows this state of /project' $file
fresh
mono_fault "{$all,\"kind\":\"wrong\"}"
fails_saying 'project' $file
fresh
mono_fault "{$all,\"kind\":\"empty\"}"
fails_saying 'shows this state of /project' $file
# not even as an empty directory
ls "$m/project/deep" >"$SCRATCH/out" 2>&1 && fail "an empty directory is shown"
fresh
mono_fault "{$all,\"kind\":\"stall\",\"seconds\":20}"
fails_saying 'sent nothing\|timed out\|time' $file
fresh
cat "$m/project/deep/n1" >/dev/null
mono_fault '{"match":"file/blob","kind":"status","status":404}'
fails_saying 'Stale file handle' project/deep/n2
# an import whose placeholder is there, but not its content
mono_fault '{"match":"third-party%2Ffoo|third-party/foo","kind":"empty"}'
ls "$m/third-party/foo" >"$SCRATCH/out" 2>&1 && fail "an empty import is shown"
wait_until 5 grep -q 'shows nothing at /third-party/foo' \
    "$SCRATCH/daemon-$DAEMON_PORT.log"

# an import that is pushed to again: what was seen stays, the rest is refused
fresh
ls "$m/third-party/foo" >/dev/null
cat "$m/third-party/foo/x.sh" >/dev/null
echo new >"$SCRATCH/foo/src/in/new"
git_commit "$SCRATCH/foo" again
cat "$m/third-party/foo/x.sh" >/dev/null
if ls "$m/third-party/foo/src/in" >"$SCRATCH/out" 2>&1; then
    # the first look may have brought it along
    assert_eq "$(cat "$SCRATCH/out")" a.c "what an import held"
fi
mono_blameless
scorpio_cli umount "$m"
