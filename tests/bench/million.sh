#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A repository of a million files (BENCH_FILES) against one of a thousand.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

files=${BENCH_FILES:-1000000}
fixture_synthetic 1000
small=$FIXTURE
fixture_synthetic "$files"
large=$FIXTURE
start_git_server "$FIXTURES"
write_config

mount_one() { # SOURCE
    fresh_store
    timed show "$1"
}
for how in local http; do
    a=$small
    b=$large
    if [ $how = http ]; then
        a=$GIT_URL/$(basename "$small")
        b=$GIT_URL/$(basename "$large")
    fi
    mount_small() { mount_one "$a"; }
    mount_large() { mount_one "$b"; }
    rounds 3 mount_small mount_large
    row "$how: mount of $files files" "$(calc "$(median mount_large) * 1000" 0)" \
        " ms" "<= 300" "1000 files: $(calc "$(median mount_small) * 1000" 0) ms"
done

# over HTTP, mounted afresh
idle=$(rss_kib "$(daemon_process)")
row "http: memory after the mount" $((idle / 1024)) " MiB"
timed ls -l "$MNT"
row "http: ls -l of the root" "$(calc "$SPENT * 1000" 1)" " ms" "<= 200"
deep=$(git -C "$large" ls-tree -r --name-only main |
    awk -F/ 'NF == 6 && !found { print; found = 1 }')
timed cat "$MNT/$deep"
row "http: one file at depth 6" "$(calc "$SPENT * 1000" 1)" " ms" "<= 300"

mount_one "$large"
idle=$(rss_kib "$(daemon_process)")
row "local: memory of the daemon after the mount" $((idle / 1024)) " MiB" "<= 50"
timed find "$MNT" -printf '%s\n'
entries=$(git -C "$large" ls-tree -r -t main | wc -l)
row "local: first find -printf %s" "$(calc "$SPENT" 1)" " s" "" \
    "$(calc "$entries / $SPENT" 0) entries/s"
full=$(rss_kib "$(daemon_process)")
row "local: memory after it" $((full / 1024)) " MiB"
mapped=$(awk '/^RssFile/ { print $2 }' \
    "/proc/$(daemon_process)/status")
# inodes that outlive the daemon are shared memory
anon=$(awk '/^RssAnon|^RssShmem/ { s += $2 } END { print s }' \
    "/proc/$(daemon_process)/status")
row "local: of it the store's map (page cache)" $((mapped / 1024)) " MiB"
row "local: bytes of own memory per known node" \
    "$(calc "$anon * 1024 / $entries" 0)" " B" "<= 64" "$entries nodes, $((anon / 1024)) MiB"
timed find "$MNT" -printf '%s\n'
row "local: second find" "$(calc "$SPENT" 1)" " s"
timed hide
row "local: umount" "$(calc "$SPENT * 1000" 0)" " ms"
