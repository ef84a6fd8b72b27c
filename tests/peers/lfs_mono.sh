#!/bin/bash
# Git LFS files of a monorepo behind a Mono server: sizes and contents, with
# upstream's address that names no route and its links to 0.0.0.0
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/mono.sh"
requires fuse

lfs_seed "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
start_mono
LFS_PORT=$(free_port)
start_lfs_server "$SCRATCH" "$SCRATCH/objects" --strict-mono \
    --host "0.0.0.0:$LFS_PORT"
find "$SCRATCH/repo/.git/lfs/objects" -type f -exec cp -t "$SCRATCH/objects" {} +
write_config
echo "lfs_url = \"$LFS_URL/lfs\"" >>"$DAEMON_CONFIG"
start_daemon
mount_source "mono+$MONO_URL" "$SCRATCH/m"

note "sizes without a download"
describe_tree "$SCRATCH/repo" >"$SCRATCH/wanted"
describe_tree "$SCRATCH/m" >"$SCRATCH/got"
diff -u "$SCRATCH/wanted" "$SCRATCH/got" || fail "the tree looks different"
assert_eq "$(lfs_stat downloads)" 0 "downloads for sizes"

note "contents"
assert_same_tree "$SCRATCH/m" "$SCRATCH/repo"
assert_eq "$(getfattr --only-values -n user.scorpio.oid "$SCRATCH/m/a.bin" \
    2>/dev/null)" "$(git -C "$SCRATCH/repo" rev-parse HEAD:a.bin)" "its blob"
assert_eq "$(getfattr --only-values -n user.scorpio.oid "$SCRATCH/m/src" \
    2>/dev/null)" "$(git -C "$SCRATCH/repo" rev-parse HEAD:src)" "its tree"
assert_eq "$(scorpio_cli info "$SCRATCH/m/src" --json | jq -r .id)" \
    "$(git -C "$SCRATCH/repo" rev-parse HEAD:src)" "its tree, by info"
lfs_obedient
mono_blameless
