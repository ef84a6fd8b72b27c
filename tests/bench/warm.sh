#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything has been read before: what a developer's second command sees.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

bench_tree
start_daemon
show "$REPO"
leg ext4 "$TREE"
leg scorpio "$MNT"
overlay_over "$TREE" && leg overlay "$SCRATCH/overlay"
# what the kernel's own part costs
mkdir "$SCRATCH/bare"
start bare "$SCORPIO_BUILD/tools/bench_floor" "$TREE" "$SCRATCH/bare"
wait_until 60 is_mounted "$SCRATCH/bare"
leg bare "$SCRATCH/bare"
for leg in "${LEGS[@]}"; do
    "$BENCH_FS" list "${AT[$leg]}" >"$SCRATCH/list.$leg"
    # small files: what an editor or a compiler opens most
    (cd "${AT[$leg]}" && find . -type f -size -9 -size +0 | sort |
        awk 'NR % 4 == 0 && n++ < 10000') |
        sed "s|^\.|${AT[$leg]}|" >"$SCRATCH/small.$leg"
    "$BENCH_FS" walk "${AT[$leg]}" >/dev/null
    "$BENCH_FS" read "$SCRATCH/list.$leg" >/dev/null
done

alone
bench_fs() { SPENT=$(BENCH_CLOCK=$CLOCK "$BENCH_FS" "$@" | cut -d' ' -f1); }
do_lstat() { bench_fs lstat "$SCRATCH/list.$1"; }
do_small() { bench_fs touch "$SCRATCH/small.$1"; }
do_read() { bench_fs read "$SCRATCH/list.$1"; }

against_warm "warm find -printf %s" do_find "$ROUNDS" "<= 1.25" "<= 1.00"
against_warm "warm lstat of each file" do_lstat "$ROUNDS" "<= 1.35" "<= 1.00"
against_warm "warm grep -r" do_grep "$ROUNDS" "<= 1.50" "<= 1.00"
against_warm "warm open-read-close, files up to 4 KiB" do_small "$ROUNDS" \
    "<= 1.30" "<= 1.00"
against_warm "warm read of every file" do_read "$ROUNDS" "<= 1.25" "<= 1.00"
row "requests in the best warm pass of each of these, in all" "$ASKED_BEST" "" \
    "<= 5" "in all passes $ASKED, $ASKED_READS of them READs"
exit 0
