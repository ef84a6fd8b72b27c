#!/bin/bash
# timeout: 200
# What cannot be mounted is refused in time, in words, with exit code 3 (2 where
# the command itself is wrong)
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo
echo hello >"$REPO/file"
serve_repo
write_config
cat >>"$DAEMON_CONFIG" <<END
[fetch]
stall_timeout = "2s"
connect_timeout = "2s"
timeout = "5s"
retries = 1
END
start_daemon
mkdir "$SCRATCH/m"

refused() { # WHAT TEXT ARGS... - mount ARGS fails, and says TEXT
    local what=$1 text=$2 code=0
    shift 2
    OUTPUT=$(timeout $((30 * SLOW)) "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr \
        "127.0.0.1:$DAEMON_PORT" mount "$@" 2>&1) || code=$?
    note "$what: exit $code: $OUTPUT"
    case $code in
    2 | 3) ;;
    *) fail "$what: exit code $code" ;;
    esac
    grep -qiE -- "$text" <<<"$OUTPUT" || fail "$what: the error does not say '$text'"
    [ "$(wc -l <<<"$OUTPUT")" -le 4 ] || fail "$what: a long error"
    is_mounted "$SCRATCH/m" && fail "$what: mounted"
    return 0
}

url=$FAULT_URL/repo.git
refused "no such repository" "404|not found|no repository" "$FAULT_URL/none.git" "$SCRATCH/m"
refused "dead server" "connect|refused" "http://127.0.0.1:1/x.git" "$SCRATCH/m"
for code in 401 403 404 429 500; do
    fault_add '{"kind":"status","times":-1,"code":'$code'}'
    refused "$code" "$code|denied|login|credential" "$url" "$SCRATCH/m"
    case $OUTPUT in *"wait 0 s"*) fail "$code: $OUTPUT" ;; esac
    fault_clear
done
fault_add '{"kind":"status","times":-1,"code":429,"retry_after":70}'
refused "429 with a time" "429.*wait 70 s" "$url" "$SCRATCH/m"
fault_clear
fault_add '{"kind":"stall","after":0,"seconds":60,"times":-1}'
refused stall "sent nothing|time|answer" "$url" "$SCRATCH/m"
fault_clear
fault_add '{"kind":"redirect","times":-1,"code":302,"to":"http://127.0.0.1:1/x"}'
refused "redirect to nowhere" "." "$url" "$SCRATCH/m"
fault_clear
fault_add '{"kind":"redirect","times":-1,"code":302,"to":"file:///etc/passwd"}'
refused "redirect to a file" "." "$url" "$SCRATCH/m"
fault_clear
fault_add '{"kind":"replace","times":-1,"body":"<html>hi</html>","type":"text/html"}'
refused "not a git server" "." "$url" "$SCRATCH/m"
fault_clear

# mountpoints
refused "not a repository" "." "$SCRATCH/nosuchdir" "$SCRATCH/m"
touch "$SCRATCH/afile"
refused "mountpoint is a file" "not a directory|is a file" "$url" "$SCRATCH/afile"
mkdir "$SCRATCH/full"
touch "$SCRATCH/full/x"
refused "mountpoint not empty" "not empty" "$url" "$SCRATCH/full"
refused "mountpoint below a file" "." "$url" "$SCRATCH/afile/sub"
refused "unknown scheme" "." "gopher+foo://x/y" "$SCRATCH/m"
refused "unknown revision" "nosuch" "$url" "$SCRATCH/m" --rev nosuch
if [ "$(id -u)" -eq 0 ]; then
    refused "mountpoint in /proc" "." "$url" /proc/nosuch/dir
fi

# a missing mountpoint is made, and removed again
mount_source "$url" "$SCRATCH/m"
refused_twice=$(scorpio_cli mount "$url" "$SCRATCH/m" 2>&1) &&
    fail "mounted twice on one directory"
assert_contains "$refused_twice" "mount" "error of the second mount"
scorpio_cli umount "$SCRATCH/m"
scorpio_cli mount "$url" "$SCRATCH/new/deep/dir"
assert_eq "$(cat "$SCRATCH/new/deep/dir/file")" hello
scorpio_cli umount "$SCRATCH/new/deep/dir"
assert_fails scorpio_cli umount "$SCRATCH/m"
assert_fails scorpio_cli umount no-such-id

# after all that it still works
mount_source "$url" "$SCRATCH/m"
assert_eq "$(cat "$SCRATCH/m/file")" hello
