#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A workspace in use moves between commits of Linux that differ in 1 %, in 10 000
# and in 30 % of the files, from git http-backend on loopback; while a build runs
# in it and a process holds files open. Then: what git says of it, what is in the
# files, and whether ninja and make build again what changed and nothing else.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/gitwork.sh"
requires curl ninja make python3

fixture_linux_switch
REPO=$FIXTURE
start_git_server "$FIXTURES"
start_daemon
quietly mount_source "$GIT_URL/$(basename "$REPO")" "$MNT" --rw --rev one
wait_git "$MNT"

# one output for each .c file of these, made from it alone
git -C "$REPO" ls-tree -r --name-only one -- drivers/net drivers/usb fs |
    grep '\.c$' >"$SCRATCH/sources"
mkdir "$SCRATCH/ninja" "$SCRATCH/make"
python3 - "$SCRATCH" "$MNT" <<'END'
import sys
scratch, mnt = sys.argv[1:]
sources = open(scratch + "/sources").read().split()
with open(scratch + "/ninja/build.ninja", "w") as n, \
        open(scratch + "/make/Makefile", "w") as m:
    n.write("rule sum\n command = cksum $in >$out && echo $in >>built\n")
    outs = ["o%d" % i for i in range(len(sources))]
    m.write("all: %s\n" % " ".join(outs))
    for o, s in zip(outs, sources):
        n.write("build %s: sum %s/%s\n" % (o, mnt, s))
        m.write("%s: %s/%s\n\t@cksum $< >$@ && echo $< >>built\n" % (o, mnt, s))
END
build() { # ninja|make - what it built is in built
    rm -f "$SCRATCH/$1/built"
    "$1" -j2 -C "$SCRATCH/$1" >"$SCRATCH/$1.log" 2>&1 || fail "$1 broke"
    touch "$SCRATCH/$1/built"
}
rebuilt() { sed "s|^$MNT/||" "$SCRATCH/$1/built" | sort; }
build ninja
build make
# the kernel and the store know everything there is in the first commit
find "$MNT" -name .git -prune -o -printf '%s\n' >/dev/null
"$BENCH_FS" list "$MNT" | grep -E '/(drivers/net|kernel|mm|fs)/' >"$SCRATCH/list"
"$BENCH_FS" read "$SCRATCH/list" >/dev/null

cat >"$SCRATCH/holder.py" <<'END'
import os, sys, time
paths = open(sys.argv[1]).read().splitlines()[::20][:500]
files = [os.open(p, os.O_RDONLY) for p in paths]
open(sys.argv[2], "w").close()
while os.path.exists(sys.argv[2]):
    for f in files:
        os.pread(f, 4096, 0)
    time.sleep(0.01)
print("fine")
END
in_use() { # a build that begins again and again, and a process with open files
    start loop bash -c "while :; do make -s -B -j2 -C '$SCRATCH/loop' || exit; done"
    LOOP=$PID
    start holder python3 "$SCRATCH/holder.py" "$SCRATCH/list" "$SCRATCH/holding"
    HOLDER=$PID
    wait_until 20 test -e "$SCRATCH/holding"
}
in_use_no_more() {
    rm "$SCRATCH/holding"
    wait_until 20 gone "$HOLDER"
    assert_eq "$(cat "$SCRATCH/holder.log")" fine "the process with open files"
    kill -0 "$LOOP" 2>/dev/null || {
        cat "$SCRATCH/loop.log"
        fail "the build that ran meanwhile broke"
    }
    kill "$LOOP"
    wait_until 30 gone "$LOOP"
    while pgrep -f "make .*$SCRATCH/loop" >/dev/null; do sleep 0.05; done
}
mkdir "$SCRATCH/loop"
cp "$SCRATCH/make/Makefile" "$SCRATCH/loop/"

blobs() { scorpio_cli cache du --json | jq .blobs; }
moved() { # WHAT REV [BUDGET]
    local before requests bytes ns
    before=$(blobs)
    git_server_reset
    scorpio_cli switch "$MNT" "$2" --json >"$SCRATCH/switch.json"
    ns=$(jq .ns "$SCRATCH/switch.json")
    requests=$(git_server_requests)
    bytes=$(git_server_bytes)
    row "switch: $1" "$(calc "$ns / 1000000" 0)" " ms" "${3:-}" \
        "$(jq '.changed + .added + .removed' "$SCRATCH/switch.json") files, \
$requests requests, $((bytes / 1024)) KiB"
    BLOBS=$(($(blobs) - before))
}
# What git says, and what is in the changed files.
right() { # FROM REV
    assert_eq "$(git -C "$MNT" status --porcelain | head -n3)" "" "git status"
    git -C "$MNT" diff --quiet "$2" || fail "git diff $2"
    git -C "$REPO" diff --raw --no-renames --abbrev=40 "$1" "$2" |
        awk -F'[ \t]' '{ print $4 "\t" $6 }' | sort -k2 >"$SCRATCH/want"
    cut -f2 "$SCRATCH/want" | (cd "$MNT" && git hash-object --no-filters \
        --stdin-paths) | paste - <(cut -f2 "$SCRATCH/want") >"$SCRATCH/got"
    cmp "$SCRATCH/want" "$SCRATCH/got" || fail "the files of $2 are not as they should"
}
exactly() { # FROM REV
    git -C "$REPO" diff --name-only "$1" "$2" | sort |
        comm -12 - <(sort "$SCRATCH/sources") >"$SCRATCH/due"
    for tool in ninja make; do
        build "$tool"
        rebuilt "$tool" | cmp - "$SCRATCH/due" ||
            fail "$tool did not build exactly what changed"
    done
    row "switch: built again by ninja and by make, of $(wc -l <"$SCRATCH/sources")" \
        "$(wc -l <"$SCRATCH/due")" "" "" "exactly the changed ones"
}

alone
from=one
for to in percent ten_thousand thirty; do
    in_use
    moved "$from to $to, in use, metadata fetched" "$to"
    in_use_no_more
    right "$from" "$to"
    exactly "$from" "$to"
    from=$to
done
quietly scorpio_cli switch "$MNT" one
moved "10 000 files, metadata in the store" ten_thousand "<= 200"
row "switch: files fetched for it" "$BLOBS" "" "<= 0"
moved "and back" one "<= 200"
moved "1 %, metadata in the store" percent
moved "30 %, metadata in the store" thirty
exit 0
