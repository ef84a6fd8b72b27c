#!/bin/bash
# A Mono server of 2025 that has LFS objects in parts only: content is
# right, what is wrong or missing in a part is an error and no content
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/mono.sh"

SRC=$SCRATCH/repo
lfs_seed "$SRC"
mono_import "$SCRATCH/foo"
start_mono
LFS_PORT=$(free_port)
start_lfs_server "$SCRATCH" "$SCRATCH/objects" --strict-mono --chunks 65536 \
    --host "0.0.0.0:$LFS_PORT"
find "$SRC/.git/lfs/objects" -type f -exec cp -t "$SCRATCH/objects" {} +
write_config
echo "lfs_url = \"$LFS_URL/lfs\"" >>"$DAEMON_CONFIG"
start_daemon
M=$SCRATCH/m
mount_source "mono+$MONO_URL" "$M"
for f in a.bin src/b.bin assets/deep/er/texture.png assets/nothing; do
    cmp "$SRC/$f" "$M/$f" || fail "$f differs"
done
[ "$(lfs_stat downloads)" -ge 49 ] || fail "not in parts: $(lfs_stat downloads)"

note "a part that is wrong, or is not there"
scorpio_cli umount "$M"
stop_daemon
rm -rf "$DAEMON_STORE"
start_daemon
mount_source "mono+$MONO_URL" "$M"
part=$(tail -c +65537 "$SRC/a.bin" | sha256sum | cut -c1-64)
for fault in '"kind": "wrong"' '"kind": "short"' '"kind": "status", "code": 404'; do
    lfs_fault "{$fault, \"oid\": \"$part\", \"times\": -1}"
    cat "$M/a.bin" >"$SCRATCH/got" 2>"$SCRATCH/err" && fail "$fault was read"
    assert_eq "$(stat -c %s "$SCRATCH/got")" 0 "bytes that were shown"
    grep -q 'Input/output' "$SCRATCH/err" || fail "$(cat "$SCRATCH/err")"
    lfs_reset
done
wait_until 30 cmp "$SRC/a.bin" "$M/a.bin"
