#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Random operations in a workspace end in the same tree as on its native twin,
# also after unmount and mount; one file byte by byte
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

seed_mount
seed=${POSIX_SEED:-$RANDOM}
ops=${POSIX_OPS_N:-4000}
"$FSRAND" --seed "$seed" --ops "$ops" "$M/tree" "$TWIN/tree"
rw_remount "$REPO" "$M"
same_now "after unmount and mount" tree
# and on, from what is there now
"$FSRAND" --seed $((seed + 1)) --ops $((ops / 2)) "$M/tree" "$TWIN/tree"
mkdir "$M/procs" "$TWIN/procs"
"$FSRAND" --seed "$seed" --procs 3 --ops "$ops" --check 0 "$M/procs" "$TWIN/procs"
rw_remount "$REPO" "$M"
same_now "after unmount and mount" tree
for p in p0 p1 p2; do
    same_now "after several processes" procs/$p
done

# a new file, one of the revision, and one that stays
"$FSX" -s "$seed" -n "$ops" "$M/fsx"
"$FSX" -s "$seed" -n $((ops / 2)) -l 400000 -p "$M/lower/lower_read/f65537"
"$FSX" -s "$seed" -n 1000 -p "$M/lower/lower_big/big"
sum=$(sha256sum <"$M/lower/lower_big/big")
rw_remount "$REPO" "$M"
assert_eq "$(sha256sum <"$M/lower/lower_big/big")" "$sum"
