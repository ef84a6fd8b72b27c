#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# A change list of 1000 mixed changes (moved, modes, removed, links), set and
# taken away live under builds that go on: the tree is right each time
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"
requires fuse git make python3 curl jq

R=$SCRATCH/repo
mono_repo "$R"
mono_import "$SCRATCH/foo"
mkdir "$R/keep"
# a build that reads what no list touches, and writes its output beside it
# shellcheck disable=SC2016 # make's variables
printf '%s\n' 'all: $(addprefix out/,$(notdir $(wildcard ../keep/*)))' \
    'out/%: ../keep/%' $'\t@mkdir -p out && cat $< src/keep >$@' \
    >"$R/project/Makefile"
# files BEFORE|AFTER - 900 files, or what the list makes of them
files() {
    python3 - "$R" "$1" <<'END'
import os, sys
src, after = sys.argv[1] + "/project/src/", sys.argv[2] == "AFTER"
for i in range(100):
    open("%s/keep/k%d" % (sys.argv[1], i), "w").write("keep %d\n" % i)
def put(path, text):
    os.makedirs(os.path.dirname(src + path), exist_ok=True)
    open(src + path, "w").write(text)
put("keep", "kept\n")
for i in range(900):
    put("d%d/f%d" % (i % 30, i), "line %d\n" % i)
for i in range(1000 if after else 0):
    name = "d%d/f%d" % (i % 30, i)
    if i < 200:
        put(name, "changed %d\n" % i)
    elif i < 400:
        os.makedirs(src + "moved/m%d" % (i % 7), exist_ok=True)
        os.rename(src + name, src + "moved/m%d/g%d" % (i % 7, i))
    elif i < 550:
        os.unlink(src + name)
    elif i < 700:
        os.chmod(src + name, 0o755)
    elif i < 750:
        os.unlink(src + name)
        os.symlink("target%d" % i, src + name)
    else:
        put("new/n%d/f%d" % (i % 9, i), "new %d\n" % i)
END
}
files BEFORE
git_commit "$R" base
base=$(git -C "$R" rev-parse main)
git -C "$R" checkout -q -b work
files AFTER
git_commit "$R" work 1700000100
n=$(git -C "$R" diff --name-status -M "$base" work | wc -l)
[ "$n" -ge 1000 ] || fail "only $n changes"
git -C "$R" checkout -q main
mono_tree "$SCRATCH/want.base"
mono_tree "$SCRATCH/want.head" work

start_mono --extras
write_config
antares_point
mono_cl BIG "$base" work /
start_daemon
m=$(curl -fsS -X POST -H 'Content-Type: application/json' -d '{"path":"/","job_id":"b"}' \
    "$DAEMON_URL/antares/mounts")
id=$(jq -r .mount_id <<<"$m") dir=$(jq -r .mountpoint <<<"$m")
cl() { # METHOD [BODY]
    curl -fsS -X "$1" -H 'Content-Type: application/json' ${2+-d "$2"} \
        "$DAEMON_URL/antares/mounts/$id/cl" | jq -r .state
}
builds() {
    while [ ! -e "$SCRATCH/stop" ]; do
        make -s -C "$dir/project" -j2 || return 1
        rm -r "$dir/project/out" || return 1
    done
}
start builds builds
BUILDS=$PID
wait_until 60 test -e "$dir/project/out"
for round in 1 2 3; do
    t=$(now_ms)
    assert_eq "$(cl POST '{"cl":"BIG"}')" Ready
    note "set in $(($(now_ms) - t)) ms: $n changes"
    assert_same_tree "$dir/project/src" "$SCRATCH/want.head/project/src"
    t=$(now_ms)
    assert_eq "$(cl DELETE)" Ready
    note "taken away in $(($(now_ms) - t)) ms"
    assert_same_tree "$dir/project/src" "$SCRATCH/want.base/project/src"
    kill -0 "$BUILDS" || fail "a build failed in round $round"
done
touch "$SCRATCH/stop"
wait_until 60 gone "$BUILDS"
wait "$BUILDS" || fail "a build failed: $(tail -n3 "$SCRATCH/builds.log")"
assert_same_tree "$dir" "$SCRATCH/want.base"
mono_blameless
