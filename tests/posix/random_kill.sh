#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# kill -9 of the daemon at random points of random operations: everything that
# was acknowledged is there afterwards (tests/proof/posix_long.sh: 1 000 times)
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

seed_mount
for i in 1 2 3 4 5; do
    kill_round "${POSIX_SEED:-$RANDOM}" $((i % 2 * 2 + 1)) $((RANDOM % 1500 + 10))
    note "round $i: $(grep -c . "$SCRATCH/journal"* | xargs)"
    tail -n 3 "$SCRATCH/verify.log"
done
rw_remount "$REPO" "$M"
same_now "after a last unmount and mount" tree
same_now "after a last unmount and mount" crowd
"$FSRAND" --seed 1 --ops 500 "$M/tree" "$TWIN/tree"
