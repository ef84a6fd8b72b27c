#!/bin/bash
# stock git-lfs in a workspace, beside ours: add makes pointers, push uploads,
# another clone gets them; locks of one are seen by the other
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"

lfs_world
lfs_reset
start_daemon
W=$SCRATCH/w
gitwork_mount "$LFS_URL/origin.git" "$W"

note "add makes pointers, push uploads"
bytes "$W/new.bin" 200000 new
bytes "$W/a.bin" 120000 changed
git -C "$W" add -A
assert_contains "$(git -C "$W" show :new.bin)" "oid sha256:$(oid_of "$W/new.bin")"
git -C "$W" commit -qm "from the workspace"
assert_eq "$(git -C "$W" status --porcelain)" "" "status after the commit"
git -C "$W" push -q origin HEAD:main
assert_eq "$(lfs_stat uploads)" 2 "uploads by git push"

note "another clone, and a new mount, have them"
git clone -q "$LFS_URL/origin.git" "$SCRATCH/c" \
    -c filter.lfs.process="git-lfs filter-process" -c filter.lfs.required=true \
    -c filter.lfs.smudge="git-lfs smudge -- %f"
cmp "$SCRATCH/c/new.bin" "$W/new.bin"
cmp "$SCRATCH/c/a.bin" "$W/a.bin"
mount_source "$LFS_URL/origin.git" "$SCRATCH/m"
cmp "$SCRATCH/m/new.bin" "$W/new.bin"
assert_same_tree "$SCRATCH/m" "$SCRATCH/c"

note "locks"
scorpio_cli lfs lock "$W/a.bin"
assert_contains "$(git -C "$W" lfs locks)" a.bin "git lfs locks"
assert_fails scorpio_cli lfs lock "$W/a.bin"
assert_contains "$OUTPUT" "locked already, by tester"
for i in 1 2 3 4; do
    git -C "$W" lfs lock "plain/odd name+#%.bin" >/dev/null 2>&1 || true
    echo x >"$W/l$i.bin"
    scorpio_cli lfs lock "$W/l$i.bin" >/dev/null
done
assert_eq "$(scorpio_cli lfs locks "$W" --json | jq length)" 6 "locks, paged"
assert_contains "$(scorpio_cli lfs locks "$W")" "plain/odd name+#%.bin"
scorpio_cli lfs unlock "$W/plain/odd name+#%.bin"
git -C "$W" lfs unlock l1.bin --force >/dev/null
assert_eq "$(scorpio_cli lfs locks "$W" --json | jq length)" 4 "locks after"
assert_fails scorpio_cli lfs unlock "$W/l1.bin"
assert_contains "$OUTPUT" "it is not locked"
assert_fails scorpio_cli lfs lock "$W"
assert_fails scorpio_cli lfs frob "$W"
lfs_obedient
