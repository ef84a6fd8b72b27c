#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything has been read before: what a developer's second command sees.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

bench_tree
start_daemon
show "$REPO"
legs=(ext4 scorpio)
declare -A AT=([ext4]=$TREE [scorpio]=$MNT [overlay]=$SCRATCH/overlay)
overlay_over "$TREE" && legs+=(overlay)
for leg in "${legs[@]}"; do
    "$BENCH_FS" list "${AT[$leg]}" >"$SCRATCH/list.$leg"
    # small files: what an editor or a compiler opens most
    (cd "${AT[$leg]}" && find . -type f -size -9 -size +0 | sort |
        awk 'NR % 4 == 0 && n++ < 10000') |
        sed "s|^\.|${AT[$leg]}|" >"$SCRATCH/small.$leg"
    for _ in 1 2; do
        "$BENCH_FS" walk "${AT[$leg]}" >/dev/null
        "$BENCH_FS" read "$SCRATCH/list.$leg" >/dev/null
    done
done

# Each measured pass comes right after one that is not: kernels that give back
# what was not touched for a while (damon_reclaim) would make "warm" a lottery.
# Requests are counted in the measured passes of scorpio alone.
asked=0
measured() { # FUNCTION LEG
    local before
    "$1" "$2"
    before=$(metric scorpio_fuse_requests_total)
    "$1" "$2"
    asked=$((asked + $(metric scorpio_fuse_requests_total) - before))
}
over() { # WHAT BUDGET FUNCTION - one ratio to ext4, one to overlayfs
    local leg names=()
    for leg in "${legs[@]}"; do
        eval "$3_$leg() { measured $3 $leg; }"
        names+=("$3_$leg")
    done
    rounds "$ROUNDS" "${names[@]}"
    ratio "warm $1 / ext4" "$3_scorpio" "$3_ext4" "$2"
    if [ "${#legs[@]}" -gt 2 ]; then
        ratio "warm $1 / overlayfs" "$3_scorpio" "$3_overlay" "<= 1.00"
    fi
}
do_find() { timed find "${AT[$1]}" -printf '%s\n'; }
do_lstat() { SPENT=$("$BENCH_FS" lstat "$SCRATCH/list.$1" | cut -d' ' -f1); }
do_grep() { timed grep -rFc nosuchwordanywhere "${AT[$1]}" || true; }
do_small() { SPENT=$("$BENCH_FS" touch "$SCRATCH/small.$1" | cut -d' ' -f1); }
do_read() { SPENT=$("$BENCH_FS" read "$SCRATCH/list.$1" | cut -d' ' -f1); }

# grep finds nothing and says so with 1
grep() { command grep "$@" || [ $? -eq 1 ]; }

over "find -printf %s" "<= 1.25" do_find
over "lstat of each file" "<= 1.35" do_lstat
over "grep -r" "<= 1.50" do_grep
over "open-read-close, files up to 4 KiB" "<= 1.30" do_small
over "read of every file" "<= 1.25" do_read
row "requests to the daemon in all of these passes" \
    "$asked" "" "<= 30"
is_mounted "$SCRATCH/overlay" && umount "$SCRATCH/overlay"
exit 0
