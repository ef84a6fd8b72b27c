#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Working in a warm workspace: find, git status, grep, a build, unpacking and
# removing many files, against a plain clone on ext4 and the same clone under
# kernel overlayfs, in one run. The tree is BENCH_TREE; the build is part of
# Linux and runs with that tree only.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/gitwork.sh"
requires tar curl

bench_tree
E=$SCRATCH/ext4
git clone -q --shared "$REPO" "$E"
git -C "$E" config core.untrackedCache true
git -C "$E" config gc.auto 0
legs=(ext4 scorpio)
declare -A AT=([ext4]=$E [scorpio]=$MNT [overlay]=$SCRATCH/overlay)
mkdir "$SCRATCH/lower"
cp -a "$E/." "$SCRATCH/lower/"
overlay_over "$SCRATCH/lower" && legs+=(overlay)
start_daemon
quietly mount_source "$REPO" "$MNT" --rw
wait_git "$MNT"
git -C "$MNT" config gc.auto 0
(cd "$TREE" && find . -type f -size -65 | LC_ALL=C sort |
    awk 'NR % 7 == 0 && n++ < 5000') >"$SCRATCH/names"
tar -C "$TREE" -cf "$SCRATCH/many.tar" -T "$SCRATCH/names"
for leg in "${legs[@]}"; do
    for _ in 1 2; do
        "$BENCH_FS" list "${AT[$leg]}" >"$SCRATCH/list.$leg"
        "$BENCH_FS" read "$SCRATCH/list.$leg" >/dev/null
        git -C "${AT[$leg]}" status --porcelain >"$SCRATCH/status"
        [ ! -s "$SCRATCH/status" ] || fail "$leg is not clean"
    done
done

# against WHAT BUDGET FUNCTION TIMES - FUNCTION LEG leaves its seconds in SPENT
against() {
    local leg names=()
    for leg in "${legs[@]}"; do
        eval "$3_$leg() { $3 $leg; }"
        names+=("$3_$leg")
    done
    rounds "$4" "${names[@]}"
    ratio "workspace: $1 / ext4" "$3_scorpio" "$3_ext4" "$2"
    [ "${#legs[@]}" -lt 3 ] ||
        ratio "workspace: $1 / overlayfs" "$3_scorpio" "$3_overlay"
}
# what was not looked at for a while may be cold again: once before the clock
again() { "$@" >/dev/null || true; timed "$@"; }
grep_none() { grep -rFc --exclude-dir=.git nosuchwordanywhere "$1" || [ $? -eq 1 ]; }
do_find() { again find "${AT[$1]}" -name .git -prune -o -printf '%s\n'; }
do_status() { again git -C "${AT[$1]}" status --porcelain; }
do_grep() { again grep_none "${AT[$1]}"; }
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

against "find -printf %s" "<= 1.25" do_find "$ROUNDS"
against "git status" "<= 1.25" do_status "$ROUNDS"
against "grep -r" "<= 1.50" do_grep "$ROUNDS"
against "tar x of 5 000 files" "" do_untar "$ROUNDS"
for leg in "${legs[@]}"; do
    n=$(find "${AT[$leg]}/unpacked" -type f | wc -l)
    assert_eq "$n" "$(wc -l <"$SCRATCH/names")" "files unpacked in $leg"
done
against "rm -r of 5 000 files" "" do_remove "$ROUNDS"

# -- a build inside: objects beside the sources -----------------------------------

configure() { # DIR
    make -s -C "$1" mrproper tinyconfig >"$SCRATCH/make.log" 2>&1 &&
        make -s -C "$1" -j2 prepare >>"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        fail "the kernel's configuration does not build in $1"
    }
}
build() { # DIR
    make -s -C "$1" -j2 lib/ mm/ >"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        fail "the build broke in $1"
    }
}
do_build() {
    configure "${AT[$1]}"
    timed build "${AT[$1]}"
}
do_null() { again build "${AT[$1]}"; }
if [ "$BENCH_TREE" = linux ] && command -v flex bison bc >/dev/null; then
    against "make -j2 of Linux lib/ mm/" "<= 1.05" do_build \
        $((ROUNDS < 2 ? ROUNDS : 2))
    against "make with nothing to do" "<= 1.10" do_null "$ROUNDS"
fi
is_mounted "$SCRATCH/overlay" && umount "$SCRATCH/overlay"
exit 0
