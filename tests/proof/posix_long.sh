#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 14400
# The long form of tests/posix: POSIX_OPS_N (120 000) random operations with
# one process, as many with four, ten times POSIX_FSX_N (100 000) on one file, and POSIX_KILLS
# (1 000) times kill -9. POSIX_SEED repeats a run.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

ops=${POSIX_OPS_N:-120000}
fsx=${POSIX_FSX_N:-100000}
kills=${POSIX_KILLS:-1000}
seed=${POSIX_SEED:-$(date +%s)}
note "seed $seed"

native=$SCRATCH/native
mkdir -p "$native"/{a,b}
posix_tools
"$FSRAND" --seed "$seed" --ops "$ops" "$native/a" "$native/b"
rm -rf "$native"

seed_mount
for part in 1 2 3 4; do
    "$FSRAND" --seed $((seed + part)) --ops $((ops / 4)) --check 5000 \
        "$M/tree" "$TWIN/tree"
    rw_remount "$REPO" "$M" >/dev/null
    same_now "after part $part and a new mount" tree
done
note "one process: $ops operations"
mkdir "$M/procs" "$TWIN/procs"
for part in 1 2; do
    "$FSRAND" --seed $((seed + part)) --procs 4 --ops $((ops / 2)) \
        --check 5000 "$M/procs" "$TWIN/procs"
    rm -r "$M/procs/shared" "$TWIN/procs/shared"
    rw_remount "$REPO" "$M" >/dev/null
    same_now "after part $part of four processes" procs
done
note "four processes: $ops operations"

(run_posix_ops -s lower -i "$M" "$TWIN") >"$SCRATCH/all.out" || {
    cat "$SCRATCH/all.out"
    fail "conformance checks"
}
tail -n 1 "$SCRATCH/all.out"

# another workspace, for a file of the revision
rw_mount "$REPO" "$SCRATCH/m2"
for s in 1 2 3 4 5; do
    "$FSX" -s $((seed + s)) -n "$fsx" "$M/fsx$s"
    "$FSX" -s $((seed + s)) -n "$fsx" -l 5000000 -p "$SCRATCH/m2/tree/big"
done
rw_unmount "$SCRATCH/m2"

for ((i = 1; i <= kills; i++)); do
    kill_round $((seed + i)) $((i % 3 + 1)) $((RANDOM % 2000 + 1))
    [ $((i % 50)) -ne 0 ] || note "$i kills"
done
rw_remount "$REPO" "$M"
same_now "after $kills kills" tree
same_now "after $kills kills" crowd
