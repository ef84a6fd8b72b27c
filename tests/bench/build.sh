#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make -j2 of a real C project that reads its sources from the mount and writes
# elsewhere: parts of the Linux kernel with its smallest configuration.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

requires flex bison bc make gcc
BENCH_TREE=linux
bench_tree
start_daemon
show "$REPO"
targets="mm/ lib/ kernel/"

configure() { # SOURCE OUTPUT
    rm -rf "$2"
    mkdir "$2"
    make -s -C "$1" O="$2" tinyconfig >"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        skip "the kernel's configuration does not run here"
    }
    make -s -C "$1" O="$2" -j2 prepare >"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        skip "the kernel's preparation does not build here"
    }
}
build() { # SOURCE OUTPUT
    # shellcheck disable=SC2086
    make -s -C "$1" O="$2" -j2 $targets >"$SCRATCH/make.log" 2>&1 || {
        tail -n5 "$SCRATCH/make.log"
        fail "the build broke"
    }
}
on_ext4() { configure "$TREE" "$SCRATCH/out1"; timed build "$TREE" "$SCRATCH/out1"; }
on_scorpio() { configure "$MNT" "$SCRATCH/out2"; timed build "$MNT" "$SCRATCH/out2"; }
null_ext4() { timed build "$TREE" "$SCRATCH/out1"; }
null_scorpio() { timed build "$MNT" "$SCRATCH/out2"; }

rounds 1 on_ext4 on_scorpio # warms both
times=$((ROUNDS < 3 ? ROUNDS : 3))
rounds $times on_ext4 on_scorpio
ratio "make -j2 of Linux $targets/ ext4" on_scorpio on_ext4 "<= 1.05"
rounds "$ROUNDS" null_ext4 null_scorpio
ratio "make with nothing to do / ext4" null_scorpio null_ext4 "<= 1.10"
