#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Working in a warm workspace: find, git status, grep, unpacking and removing many
# files, the last two in a redirected directory as well; against a plain clone on
# ext4 and the same tree under kernel overlayfs, in one run.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
requires tar curl

workspace_legs --redirect redirected
AT[redirected]=$MNT/redirected
(cd "$TREE" && find . -type f -size -65 | LC_ALL=C sort |
    awk 'NR % 7 == 0 && n++ < 5000') >"$SCRATCH/names"
tar -C "$TREE" -cf "$SCRATCH/many.tar" -T "$SCRATCH/names"
for leg in "${LEGS[@]}"; do
    "$BENCH_FS" list "${AT[$leg]}" >"$SCRATCH/list.$leg"
    "$BENCH_FS" read "$SCRATCH/list.$leg" >/dev/null
done
alone

do_status() { timed git -C "${AT[$1]}" status --porcelain; }
do_untar() {
    rm -rf "${AT[$1]}/unpacked"
    mkdir "${AT[$1]}/unpacked"
    timed tar -C "${AT[$1]}/unpacked" -xf "$SCRATCH/many.tar"
}
do_remove() {
    mkdir -p "${AT[$1]}/unpacked"
    tar -C "${AT[$1]}/unpacked" -xf "$SCRATCH/many.tar"
    timed rm -r "${AT[$1]}/unpacked"
}

against_warm "workspace: find -printf %s" do_find "$ROUNDS" "<= 1.25" "<= 1.00"
against_warm "workspace: git status" do_status "$ROUNDS" "<= 1.25" "<= 1.00"
against_warm "workspace: grep -r" do_grep "$ROUNDS" "<= 1.50" "<= 1.00"
LEGS+=(redirected)
against "workspace: tar x of 5 000 files" do_untar "$ROUNDS"
for leg in "${LEGS[@]}"; do
    n=$(find "${AT[$leg]}/unpacked" -type f | wc -l)
    assert_eq "$n" "$(wc -l <"$SCRATCH/names")" "files unpacked in $leg"
done
against "workspace: rm -r of 5 000 files" do_remove "$ROUNDS"
exit 0
