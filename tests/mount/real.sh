#!/bin/bash
# timeout: 400
# A real tree of 20 000 files over HTTP: mounted at once, one deep file costs
# little, and everything equals a checkout
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/fixtures.sh"
requires fuse git lighttpd
fixture_glibc
repo=$FIXTURE
fixture_checkout "$repo"
tree=$FIXTURE

start_git_server "$FIXTURES"
start_daemon
m=$SCRATCH/m
begin=$(now_ms)
mount_source "$GIT_URL/glibc.git" "$m"
spent=$(($(now_ms) - begin))
note "mounted after $spent ms"
assert_le $spent $((6000 * SLOW)) "ms until mounted"

begin=$(now_ms)
deep=$(cd "$tree" && find sysdeps/unix/sysv/linux/x86_64 -mindepth 2 -type f |
    sort | awk 'NR == 1')
cmp "$m/$deep" "$tree/$deep"
note "$deep after $(($(now_ms) - begin)) ms," \
    "$(git_server_requests) requests, $(git_server_bytes) bytes so far"

begin=$(now_ms)
assert_same_tree "$m" "$tree"
note "all of it after $(($(now_ms) - begin)) ms," \
    "$(git_server_requests) requests, $(git_server_bytes) bytes"
assert_mtimes "$m" 1700086400
assert_le "$(git_server_requests)" 600 "requests for 20 000 files"
