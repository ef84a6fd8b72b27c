#!/bin/bash
# timeout: 300
# A monorepo behind a Mono server, mounted: contents, modes and links as in Git,
# imports, revisions, main moving on, requests counted, and a server in trouble
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires fuse git python3 curl

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
mono_tree "$SCRATCH/want1"
start_mono --no-range
write_config
start_daemon
source=mono+$MONO_URL

# everything, on a first look
mount_source "$source" "$SCRATCH/m1"
assert_same_tree "$SCRATCH/m1" "$SCRATCH/want1"
assert_mtimes "$SCRATCH/m1" "$COMMIT_TIME"
mono_blameless

# what does not exist
assert_fails cat "$SCRATCH/m1/project/none"
assert_contains "$OUTPUT" 'No such file'
for rev in nobranch refs/heads/cl/XYZ 1111111111111111111111111111111111111111; do
    assert_fails scorpio_cli mount "$source" "$SCRATCH/no" --rev "$rev"
    assert_contains "$OUTPUT" 'no revision'
done
assert_fails scorpio_cli mount "$source" "$SCRATCH/no" --subdir project/none
mono_blameless

# main moves on: v1 and its commit stay as they were, seen before or not
first=$(git -C "$SCRATCH/repo" rev-parse main)
echo more >"$SCRATCH/repo/project/deep/n1"
git -C "$SCRATCH/repo" mv project/deep/er/x.sh project/deep/er/y.sh
chmod 755 "$SCRATCH/repo/project/deep/n2"
ln -s n3 "$SCRATCH/repo/project/deep/l3"
chmod 644 "$SCRATCH/repo/run"
echo 1700000002 >"$SCRATCH/repo/third-party/foo/.gitkeep"
echo again >>"$SCRATCH/foo/src/in/a.c"
git_commit "$SCRATCH/foo" again 1700000300
git_commit "$SCRATCH/repo" two 1700000300
mono_tree "$SCRATCH/want2"
scorpio_cli umount "$SCRATCH/m1"
stop_daemon
rm -r "$DAEMON_STORE"
start_daemon
mount_source "$source" "$SCRATCH/m2"
assert_same_tree "$SCRATCH/m2" "$SCRATCH/want2"
mount_source "$source" "$SCRATCH/m3" --rev "$first"
# what the server itself can only show of today: imports
rm -r "$SCRATCH/want1/third-party/foo" "$SCRATCH/want1/third-party/rust/bar"
cp -a "$SCRATCH/want2/third-party/foo" "$SCRATCH/want1/third-party/"
cp -a "$SCRATCH/want2/third-party/rust/bar" "$SCRATCH/want1/third-party/rust/"
# the mode of a file in the root is not to be had for an old commit, unless it
# is the same on main
chmod 644 "$SCRATCH/want1/run"
assert_same_tree "$SCRATCH/m3" "$SCRATCH/want1"
mount_source "$source" "$SCRATCH/m4" --rev v1 --subdir project
assert_same_tree "$SCRATCH/m4" "$SCRATCH/want1/project"

# a workspace goes on with its commit after a restart
mkdir "$SCRATCH/w"
scorpio_cli mount "$source" "$SCRATCH/w" --rev "$first" --workspace w
scorpio_cli umount "$SCRATCH/w"
for m in m2 m3 m4; do scorpio_cli umount "$SCRATCH/$m"; done
stop_daemon
mv "$DAEMON_STORE/workspaces" "$SCRATCH/workspaces"
rm -r "$DAEMON_STORE"
mkdir "$DAEMON_STORE"
mv "$SCRATCH/workspaces" "$DAEMON_STORE/workspaces"
start_daemon
mount_source "$source" "$SCRATCH/w" --workspace w
assert_same_tree "$SCRATCH/w/project" "$SCRATCH/want1/project"
mono_blameless
# shellcheck disable=SC2043
for m in w; do scorpio_cli umount "$SCRATCH/$m"; done
stop_daemon
stop "$MONO_PID" || true

# a server that says no, or nothing
start_mono --token s3cret
rm -r "$DAEMON_STORE"
start_daemon
assert_fails scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/no"
assert_contains "$OUTPUT" 'token'
stop "$MONO_PID" || true
before=$(now_ms)
assert_fails scorpio_cli mount "mono+$MONO_URL" "$SCRATCH/no"
assert_contains "$OUTPUT" 'refused'
assert_le $(($(now_ms) - before)) $((5000 * SLOW)) "ms to say that nobody is there"
stop_daemon
note "all as in Git; refusals in words"
