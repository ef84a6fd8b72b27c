#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An indexer gets only so much fetched: then it is refused or comes last, while
# everybody else reads as ever, and so does it what is in the store
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d
for i in {1..40}; do
    head -c 100000 /dev/urandom >"$REPO/d/f$i"
done
serve_repo
write_config
cat >>"$DAEMON_CONFIG" <<END
[fs]
crawl_programs = "updatedb greedy-indexer other"
crawl_budget = "1MiB"
crawl_over = "refuse"
END
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"
cp "$(command -v cat)" "$SCRATCH/greedy-indexer" # the name is what counts
index() { # files read: how many worked; errors in $SCRATCH/err
    local i good=0
    for i in {1..40}; do
        "$SCRATCH/greedy-indexer" "$m/d/f$i" 2>>"$SCRATCH/err" |
            cmp -s - "$REPO/d/f$i" && good=$((good + 1))
    done
    echo $good
}
: >"$SCRATCH/err"
good=$(index)
note "$good of 40 files of 100 kB were fetched for an indexer with 1 MiB"
# 11, and 11 more if a new minute has begun
[ "$good" -ge 10 ] && [ "$good" -le 24 ] || fail "$good files, wanted 11"
assert_contains "$(cat "$SCRATCH/err")" "quota exceeded"
[ "$(metric scorpio_fs_crawl_refused_total)" -ge 16 ] || fail "not counted"
# others are not meant, and what they had fetched is there for it as well
cmp "$m/d/f35" "$REPO/d/f35"
"$SCRATCH/greedy-indexer" "$m/d/f35" | cmp - "$REPO/d/f35"
scorpio_cli -q umount "$m"
stop_daemon

# slow: all of it comes
sed -i 's/^crawl_over.*/crawl_over = "slow"/' "$DAEMON_CONFIG"
rm -rf "$DAEMON_STORE"
start_daemon
mount_source "$FAULT_URL/repo.git" "$m"
assert_eq "$(index)" 40 "files for an indexer that is put last"
[ "$(metric scorpio_fs_crawl_refused_total)" -ge 16 ] || fail "not counted"
scorpio_cli -q umount "$m"
