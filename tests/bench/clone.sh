#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nothing fetched yet: mount and read everything, against git clone --depth 1,
# from git http-backend on loopback.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

bench_tree
start_git_server "$FIXTURES"
url=$GIT_URL/$(basename "$REPO")
write_config
"$BENCH_FS" list "$TREE" | sed "s|^$TREE|$MNT|" >"$SCRATCH/list"

clone() {
    rm -rf "$SCRATCH/clone"
    timed git clone -q --depth 1 "$url" "$SCRATCH/clone"
}
mount_and_read() { # READERS
    fresh_store
    git_server_reset
    timed mount_read "$1"
    requests=$(git_server_requests)
    bytes=$(git_server_bytes)
}
mount_read() {
    show "$url"
    "$BENCH_FS" read "$SCRATCH/list" "$1"
}
one() { mount_and_read 1; }
four() { mount_and_read 4; }

times=$((ROUNDS < 3 ? ROUNDS : 3))
rounds $times clone one four
ratio "cold, loopback: mount + read all, 1 reader / clone" one clone "<= 1.00"
ratio "cold, loopback: mount + read all, 4 readers / clone" four clone "<= 1.00"
row "requests for all of it" "$requests" "" "" "$((bytes / 1048576)) MiB sent"
rm -rf "$SCRATCH/clone"

# mount alone, and one deep file
fresh_store
git_server_reset
timed show "$url"
row "mount ready (command to prompt)" "$(calc "$SPENT * 1000" 0)" " ms" "<= 300"
deep=$(cd "$TREE" && find . -mindepth 6 -type f | sort | awk 'NR == 1')
fresh_store
git_server_reset
show "$url"
first=$(git_server_bytes)
timed cat "$MNT/$deep"
bytes=$(git_server_bytes)
pack=$(du -sk "$REPO/objects/pack" | cut -f1)
row "one file at depth 6 after mount" "$(calc "$SPENT * 1000" 1)" " ms"
row "bytes sent by then, of the repository" \
    "$(calc "$bytes / $pack / 1024 * 100" 2)" " %" "<= 1.00" \
    "$bytes bytes, $first at mount, $(git_server_requests) requests"
row "memory of the daemon then" "$(($(rss_kib "$(daemon_process)") / 1024))" " MiB"
