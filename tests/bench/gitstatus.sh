#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock git in a workspace against a plain clone, in one run: the Linux tree and
# a million files (BENCH_FILES; BENCH_LINUX=0: only those).
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/gitwork.sh"
requires curl

C=$SCRATCH/clone
git_in() { git -C "$1" "${@:2}"; }
blobs() {
    scorpio_cli cache du --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["blobs"])'
}
ms() { calc "$1 * 1000" "${2:-0}"; }

# both_rows WHAT BUDGET_S CMD... - {} is the work tree
both_rows() {
    local what=$1 budget=$2 w c
    shift 2
    timed "${@//\{\}/$C}"
    c=$SPENT
    timed "${@//\{\}/$MNT}"
    w=$SPENT
    row "$name: $what" "$(ms "$w")" " ms" "${budget:+<= $budget}" \
        "plain clone $(ms "$c") ms"
}

edit() { # DIR - 10 000 files, evenly
    git -C "$1" ls-files -s | grep ^100 | cut -f2 |
        awk -v n="$2" 'NR % n == 0 && ++found <= 10000' |
        (cd "$1" && while read -r f; do printf x >>"$f"; done)
}

compare() { # NAME SOURCE BUDGET
    name=$1
    fresh_store
    timed git clone -q --shared "$2" "$C"
    row "$name: git clone --shared" "$(calc "$SPENT" 1)" " s"
    git -C "$C" config core.untrackedCache true
    # it would work on in the background, and keep the mount busy
    git -C "$C" config gc.auto 0
    timed mount_source "$2" "$MNT" --rw
    row "$name: mount" "$(ms "$SPENT")" " ms" "<= 300"
    timed wait_git "$MNT"
    git -C "$MNT" config gc.auto 0
    row "$name: until .git is ready" "$(calc "$SPENT" 2)" " s"
    both_rows "first git status" "$3" git -C {} status --porcelain
    both_rows "second git status" "$3" git -C {} status --porcelain
    ignores=$(git -C "$C" ls-files '.gitignore' '*/.gitignore' | wc -l)
    row "$name: files fetched for it" "$(blobs)" "" "<= $ignores" \
        "git reads the .gitignore files: $ignores"
    assert_le "$(blobs)" "$ignores" "files fetched"
    touch "$MNT/untracked" "$C/untracked"
    both_rows "status, one untracked" "" git -C {} status --porcelain
    both_rows "status again" "$3" git -C {} status --porcelain
    files=$(git -C "$C" ls-files | wc -l)
    for d in "$MNT" "$C"; do edit "$d" $((files / 10000)); done
    both_rows "status, 10 000 edits" "" git -C {} status --porcelain
    both_rows "status again" "" git -C {} status --porcelain
    assert_eq "$(git -C "$MNT" status --porcelain | sha1sum)" \
        "$(git -C "$C" status --porcelain | sha1sum)" "status"
    both_rows "add -u, 10 000 edits" "" git -C {} add -u
    both_rows "commit" "" git -C {} commit -q -m edits
    both_rows "status after the commit" "" git -C {} status --porcelain
    both_rows "status again" "$3" git -C {} status --porcelain
    both_rows "diff HEAD~1 --stat" "" git -C {} diff --stat HEAD~1
    hide
    rm -rf "$C"
}

write_config
if [ "${BENCH_LINUX:-1}" = 1 ]; then
    fixture_linux
    compare linux "$FIXTURE" "100 ms"
fi
fixture_synthetic "${BENCH_FILES:-1000000}"
compare "$(calc "${BENCH_FILES:-1000000} / 1000000" 1)M files" "$FIXTURE" "1000 ms"
