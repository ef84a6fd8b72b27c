#!/bin/bash
# timeout: 240
# The first look at one file of a repository on a server: its content comes with
# the question for its size, so that reading it costs no other round trip; a
# large file is not fetched because somebody looked at its size.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git lighttpd

git_repo "$SCRATCH/src"
mkdir -p "$SCRATCH/src/a/b/c" "$SCRATCH/src/large"
echo one >"$SCRATCH/src/a/b/c/first"
echo two >"$SCRATCH/src/a/b/c/second"
head -c 64M /dev/urandom >"$SCRATCH/src/large/file"
git -C "$SCRATCH/src" config core.compression 0
git -C "$SCRATCH/src" config core.bigFileThreshold 1m
git_commit "$SCRATCH/src" one
mkdir "$SCRATCH/www"
git clone -q --bare "$SCRATCH/src" "$SCRATCH/www/origin.git"
# shellcheck disable=SC2034 # git_server.sh; a large file takes a few seconds
GIT_SERVER_EXTRA='connection.kbytes-per-second = 16384'
start_git_server "$SCRATCH/www"
start_daemon
M=$SCRATCH/m
mount_source "$GIT_URL/origin.git" "$M" --ro

calls() { # OP - of all sources
    curl -fsS --noproxy '*' -m 10 "$DAEMON_URL/metrics" |
        awk -v op="op=\"$1\"" 'index($1, "scorpio_source_requests_total{") == 1 &&
            index($1, op) { s += $NF } END { printf "%d\n", s }'
}
idle() { [ "$(metric scorpio_source_running)" = 0 ]; }

note "a look at a small file brings it"
mounted=$(metric scorpio_backend_requests_total)
assert_eq "$(stat -c %s "$M/a/b/c/first")" 4
wait_until 20 idle
assert_eq "$(calls fetch)" 1 "fetches after stat"
# directories (three levels at once), content, sizes of the directory; when the
# machine is busy those in several
assert_le $(($(metric scorpio_backend_requests_total) - mounted)) 7 \
    "requests of a look at a file"
assert_eq "$(cat "$M/a/b/c/first")" one
assert_eq "$(calls fetch)" 1 "fetches after reading what was looked at"
assert_eq "$(cat "$M/a/b/c/second")" two
assert_eq "$(calls fetch)" 2 "fetches after reading another"

note "a look at a large one does not"
before=$(metric scorpio_source_bytes_total)
assert_eq "$(stat -c %s "$M/large/file")" 67108864
wait_until 60 idle
assert_le $(($(metric scorpio_source_bytes_total) - before)) 1000000 \
    "bytes fetched by a look at a large file"
cmp "$M/large/file" "$SCRATCH/src/large/file" ||
    fail "the content differs after a cancelled guess"
