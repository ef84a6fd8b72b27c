#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Change lists over a Mono server: the tree is that of their head (new, modified,
# deleted, moved, modes, links), set and taken away in a mount in use, at the
# root and in a subdirectory, without a request for what does not differ
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires fuse git python3 curl

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
R=$SCRATCH/repo
P=$R/project
base=$(git -C "$R" rev-parse main)

# one change list with everything in it, 300 files
git -C "$R" checkout -q -b work
echo changed >"$P/large"
mkdir -p "$P/new/deeper" "$P/deep/more"
for i in $(seq 250); do echo "new $i" >"$P/new/deeper/n$i"; done
for i in $(seq 10 40); do echo "changed $i" >"$P/deep/n$i"; done
rm "$P/deep/n1" "$P/deep/n2"
mv "$P/deep/er/x.sh" "$P/deep/more/y.sh" # with its mode; er vanishes
mv "$P/deep/n3" "$P/deep/more/n3"
git -C "$R" mv project/dangling project/moved-link
git_commit "$R" work 1700000100
head=$(git -C "$R" rev-parse work)
# another: only modes and links, which the list of files does not show
chmod 755 "$P/deep/n5"
ln -s n5 "$P/deep/link5"
git_commit "$R" modes 1700000200
modes=$(git -C "$R" rev-parse work)
# a file where a directory was, and the other way round
rm -r "$P/deep/er" "$P/deep/more"
echo file >"$P/deep/more"
rm "$P/large"
mkdir "$P/large"
echo in >"$P/large/in"
git_commit "$R" kinds 1700000300
kinds=$(git -C "$R" rev-parse work)
git -C "$R" checkout -q main

mono_tree "$SCRATCH/want.base"
mono_tree "$SCRATCH/want.head" "$head"
mono_tree "$SCRATCH/want.kinds" "$kinds"
mono_tree "$SCRATCH/want.modes" "$modes"
start_mono --no-range
write_config
start_daemon
source=mono+$MONO_URL
mono_cl ROOT "$base" "$head" /
mono_cl SUB "$base" "$head" /project
mono_cl ABS "$base" "$head" /project '"absolute":true,"prefix":"sha1:"'
mono_cl EMPTY "$base" "$base" /
mono_cl OUTSIDE "$base" "$head" /project '"files":[
    {"path":"../../x","sha":"'"$base"'","action":"deleted"}]'

mount_source "$source" "$SCRATCH/m1" --rev main@ROOT
assert_same_tree "$SCRATCH/m1" "$SCRATCH/want.head"
mount_source "$source" "$SCRATCH/m2" --rev "$base@SUB:/project"
assert_same_tree "$SCRATCH/m2" "$SCRATCH/want.head"
mount_source "$source" "$SCRATCH/m3" --rev v1@ABS --subdir project
assert_same_tree "$SCRATCH/m3" "$SCRATCH/want.head/project"
mount_source "$source" "$SCRATCH/m4" --rev @EMPTY
assert_same_tree "$SCRATCH/m4" "$SCRATCH/want.base"
mono_blameless
for rev in main@NONE 'main@a/b' 'main@x y' none@ROOT; do
    assert_fails scorpio_cli mount "$source" "$SCRATCH/no" --rev "$rev"
done
assert_fails scorpio_cli mount "$source" "$SCRATCH/no" --rev main@NONE
assert_contains "$OUTPUT" 'change list NONE'

# live, while somebody reads and with changes of one's own
reader() {
    while [ ! -e "$SCRATCH/stop" ]; do
        cat "$SCRATCH/m3/deep/n50" "$SCRATCH/m3/deep/n20" || return 1
        ls "$SCRATCH/m3/deep" || return 1
    done
}
scorpio_cli umount "$SCRATCH/m3"
mount_source "$source" "$SCRATCH/m3" --rev "$base" --subdir project --rw
ls -lR "$SCRATCH/m3" >/dev/null
start reader reader
READER=$PID
echo mine >"$SCRATCH/m3/mine"
mono_reset
for _ in 1 2 3; do
    scorpio_cli -q switch "$SCRATCH/m3" "$base@SUB:/project"
    assert_eq "$(cat "$SCRATCH/m3/deep/n20")" "changed 20"
    [ ! -e "$SCRATCH/m3/deep/n1" ] || fail "n1 is still there"
    scorpio_cli -q switch "$SCRATCH/m3" "$base"
    assert_eq "$(cat "$SCRATCH/m3/deep/n20")" "20"
    [ ! -e "$SCRATCH/m3/new" ] || fail "new is still there"
done
# the list itself, the commit, and the few directories it touches
assert_le "$(mono_stat total)" 40 "requests for six switches"
scorpio_cli -q switch "$SCRATCH/m3" "$base@SUB:/project"
touch "$SCRATCH/stop"
wait_until 20 gone "$READER"
wait "$READER" || fail "a reader saw an error: $(tail -n3 "$SCRATCH/reader.log")"
rm "$SCRATCH/m3/mine"
assert_same_tree "$SCRATCH/m3" "$SCRATCH/want.head/project"
mono_blameless

# kinds that change
mono_cl KINDS "$base" "$kinds" /project
scorpio_cli -q switch "$SCRATCH/m1" main@KINDS:/project
# what this server cannot tell: a new link is a file here
rm "$SCRATCH/want.kinds/project/deep/link5"
printf n5 >"$SCRATCH/want.kinds/project/deep/link5"
chmod 644 "$SCRATCH/want.kinds/project/deep/n5"
assert_same_tree "$SCRATCH/m1" "$SCRATCH/want.kinds"

# after a restart the same is shown
for m in m1 m2 m4; do scorpio_cli umount "$SCRATCH/$m"; done
stop_daemon
start_daemon
wait_until 20 is_mounted "$SCRATCH/m3"
assert_same_tree "$SCRATCH/m3" "$SCRATCH/want.head/project"
scorpio_cli umount "$SCRATCH/m3"
stop_daemon
stop "$MONO_PID" || true

# a server that tells modes
start_mono --extras
mono_cl MODES "$base" "$modes" /project
start_daemon
mount_source "mono+$MONO_URL" "$SCRATCH/m5" --rev main@MODES:/project
assert_same_tree "$SCRATCH/m5" "$SCRATCH/want.modes"
mono_blameless
# the list cannot be had, or is nonsense
mono_fault '{"match":"files-list","kind":"status","status":500,"count":-1}'
assert_fails scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/no" --rev main@MODES
assert_contains "$OUTPUT" 'change list MODES'
mono_reset
mono_fault '{"match":"files-list","kind":"wrong","count":-1}'
assert_fails scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/no" --rev main@MODES
scorpio_cli umount "$SCRATCH/m5"
