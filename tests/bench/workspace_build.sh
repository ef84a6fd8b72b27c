#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Building in a warm workspace: parts of Linux with its smallest configuration,
# objects beside the sources and in a redirected directory, against a plain clone
# on ext4 and the same tree under kernel overlayfs, in one run.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
requires curl flex bison bc make gcc

BENCH_TREE=linux
workspace_legs --redirect out
targets=(lib/ mm/)

kernel() { # SOURCE [O=DIR] TARGET...
    make -s -C "$@" -j2 >"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        fail "the kernel does not build: make -C $*"
    }
}
forget_objects() { find "$1/lib" "$1/mm" -name '*.[oa]' -delete; }
for leg in "${LEGS[@]}"; do
    kernel "${AT[$leg]}" tinyconfig
    kernel "${AT[$leg]}" prepare
done
inside() { kernel "${AT[$1]}" "${targets[@]}"; }
outside() { kernel "${AT[$1]}" "O=${AT[$1]}/out" "${targets[@]}"; }
do_inside() {
    forget_objects "${AT[$1]}"
    timed inside "$1"
}
do_outside() {
    forget_objects "${AT[$1]}/out"
    timed outside "$1"
}
do_null_inside() { timed inside "$1"; }
do_null_outside() { timed outside "$1"; }

times=$((ROUNDS < 3 ? ROUNDS : 3))
[ "${BENCH_PART:-inside}" != inside ] || {
    for leg in "${LEGS[@]}"; do inside "$leg"; done
    alone
    against "workspace: make -j2 of Linux ${targets[*]}" do_inside "$times" "<= 1.05"
    against_warm "workspace: make with nothing to do" do_null_inside \
        "$ROUNDS" "<= 1.10"
}
[ "${BENCH_PART:-redirected}" != redirected ] || {
    for leg in "${LEGS[@]}"; do
        kernel "${AT[$leg]}" mrproper
        mkdir -p "${AT[$leg]}/out"
        kernel "${AT[$leg]}" "O=${AT[$leg]}/out" tinyconfig
        kernel "${AT[$leg]}" "O=${AT[$leg]}/out" prepare
        outside "$leg"
    done
    [ "${BENCH_PART:-}" ] && alone
    against "workspace: make -j2, output redirected" do_outside "$times" "<= 1.05"
    against_warm "workspace: the same with nothing to do" do_null_outside \
        "$ROUNDS" "<= 1.10"
}
exit 0
