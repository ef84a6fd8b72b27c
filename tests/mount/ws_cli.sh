#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# status, diff, reset, trace --changes and workspace of the command line, in a
# real workspace; changes stay over a restart of the daemon
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl python3

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo"/{d/e,whole/sub,moved}
for f in a b mode d/x d/e/y whole/1 whole/sub/2 moved/f gone; do
    printf 'one\ntwo\n%s\n' "$f" >"$SCRATCH/repo/$f"
done
ln -s a "$SCRATCH/repo/link"
printf 'x\0y' >"$SCRATCH/repo/binary"
printf 'odd\n' >"$SCRATCH/repo/"$'\xff\xfe'
git_commit "$SCRATCH/repo" one
start_daemon
M=$SCRATCH/m
scorpio_cli -q mount "$SCRATCH/repo" "$M" --rw --workspace work
status() { scorpio_cli status "$M" 2>/dev/null; }
assert_eq "$(status)" "" "a fresh workspace"
assert_contains "$(scorpio_cli status "$M" 2>&1)" "no changes"

# -- follows what happens, while it happens
start follow "$SCORPIO" -c "$DAEMON_CONFIG" trace --changes "$M" --count 3
FOLLOW=$PID
following() { grep -q following "$SCRATCH/follow.log"; }
wait_until 10 following

# -- one of each
echo three >>"$M/a"
echo new >"$M/new"
mkdir "$M/fresh"
echo in >"$M/fresh/in"
rm "$M/gone"
chmod 755 "$M/mode"
mv "$M/b" "$M/b2"
mv "$M/moved" "$M/away"
rm "$M/link"
echo file >"$M/link"
rm -r "$M/whole"
printf 'x\0z' >"$M/binary"
echo more >>"$M/"$'\xff\xfe'
echo deep >>"$M/d/e/y"
cat >"$SCRATCH/want" <<'END'
M    a
R    moved -> away/
R    b -> b2
M    binary
M    d/e/y
A    fresh/
A    fresh/in
D    gone
T    link
mode mode
A    new
D    whole
M    \xff\xfe
END
status >"$SCRATCH/got"
diff -u "$SCRATCH/want" "$SCRATCH/got" || fail "status"
assert_eq "$(cd "$M/d" && scorpio_cli status .)" "M    d/e/y" "of a part"
wait_until 10 gone "$FOLLOW"
assert_contains "$(cat "$SCRATCH/follow.log")" "modify     a"
assert_contains "$(cat "$SCRATCH/follow.log")" "create     new"

# -- JSON is JSON, names that are no UTF-8 included
scorpio_cli --json status "$M" | python3 -c '
import json, sys
v = json.load(sys.stdin)
kinds = {c["path"]: c["kind"] for c in v["changes"]}
assert v["count"] == 13 == len(kinds), v
assert kinds["\\xff\\xfe"] == "modified" and kinds["away"] == "renamed", kinds
assert [c for c in v["changes"] if c["path"] == "b2"][0]["from"] == "b"
assert kinds["link"] == "type" and kinds["mode"] == "mode"'
for args in "status $M" "diff $M" "workspace list" "reset $M/nothing-here" list; do
    # shellcheck disable=SC2086
    scorpio_cli --json $args >"$SCRATCH/json" 2>/dev/null || continue
    python3 -m json.tool "$SCRATCH/json" >/dev/null || fail "no JSON: $args"
done

# -- a patch that applies
scorpio_cli diff "$M" >"$SCRATCH/patch"
for part in "diff --git a/a b/a" "+three" "rename from b" "rename to b2" \
    "deleted file mode 100644" "new file mode 100644" "old mode 100644" \
    "new mode 100755" "Binary files"; do
    assert_contains "$(cat "$SCRATCH/patch")" "$part" "the patch"
done
assert_eq "$(scorpio_cli diff "$M" d | grep -c '^diff')" 1 "diff of a part"
for f in a new gone d/e/y; do
    scorpio_cli diff "$M" "$f"
done >"$SCRATCH/parts"
git -C "$SCRATCH/repo" apply "$SCRATCH/parts"
for f in a new d/e/y; do
    cmp "$SCRATCH/repo/$f" "$M/$f"
done
[ ! -e "$SCRATCH/repo/gone" ] || fail "the patch does not delete"
git -C "$SCRATCH/repo" checkout -q -- . && rm "$SCRATCH/repo/new"

# -- a restart keeps them, also one by kill -9
status >"$SCRATCH/before"
scorpio_cli stop >/dev/null
wait_until 20 gone "$DAEMON_PID"
start_daemon
back() { [ "$(tail -n1 "$M/a" 2>/dev/null)" = three ]; }
wait_until 20 back
status | diff -u "$SCRATCH/before" - || fail "status after a restart"
stop_daemon KILL
start_daemon
wait_until 20 back
status | diff -u "$SCRATCH/before" - || fail "status after kill -9"
scorpio_cli --json list | grep -q '"read_only": false' || fail "not writable"

# -- reset: asks, refuses without a terminal
assert_fails scorpio_cli reset "$M" a </dev/null
assert_contains "$OUTPUT" "--yes"
back || fail "reset without asking"
assert_fails scorpio_cli reset "$M" nosuch --yes
for f in a gone new b2 away link mode whole; do
    scorpio_cli -q reset "$M" "$f" --yes || fail "reset $f"
done
cmp "$M/a" "$SCRATCH/repo/a"
[ "$(stat -c %Y "$M/a")" -gt "$(stat -c %Y "$SCRATCH/m/d/x")" ] ||
    fail "what comes back is not newer"
cmp "$M/gone" "$SCRATCH/repo/gone"
[ ! -e "$M/new" ] && [ ! -e "$M/b2" ] && [ ! -e "$M/away" ] || fail "still there"
cmp "$M/b" "$SCRATCH/repo/b"
cmp "$M/moved/f" "$SCRATCH/repo/moved/f"
assert_eq "$(readlink "$M/link")" a
assert_eq "$(stat -c %a "$M/mode")" 644
cmp "$M/whole/sub/2" "$SCRATCH/repo/whole/sub/2"
cat >"$SCRATCH/want" <<'END'
M    binary
M    d/e/y
A    fresh/
A    fresh/in
M    \xff\xfe
END
status | diff -u "$SCRATCH/want" - || fail "status after reset"
exec 7<"$M/binary"
(cd "$M/d/e" && scorpio_cli reset "$M" --yes >"$SCRATCH/said" 2>&1 &&
    cmp y "$SCRATCH/repo/d/e/y")
assert_eq "$(tr '\0' 0 <&7)" x0z "an open file keeps what it saw"
exec 7<&-
assert_contains "$(cat "$SCRATCH/said")" "5 changes discarded"
assert_eq "$(status)" "" "after reset"
assert_same_tree "$M" "$SCRATCH/repo"
find "$M" -maxdepth 1 -printf "%P\n" | sort >"$SCRATCH/names"
find "$SCRATCH/repo" -maxdepth 1 -printf "%P\n" | sort | diff - "$SCRATCH/names" || fail "names"

# -- a new directory in the place of an old one, and inside of a moved one
rm -r "$M/d"
mkdir "$M/d"
echo other >"$M/d/x"
echo add >"$M/d/add"
mv "$M/whole" "$M/w2"
echo changed >>"$M/w2/sub/2"
rm "$M/w2/1"
cat >"$SCRATCH/want" <<'END'
A    d/add
D    d/e
M    d/x
R    whole -> w2/
D    w2/1
M    w2/sub/2
END
status | diff -u "$SCRATCH/want" - || fail "status of directories"
assert_contains "$(scorpio_cli diff "$M" w2/sub/2)" "+changed"
scorpio_cli -q reset "$M" --yes
assert_same_tree "$M" "$SCRATCH/repo"

# -- views have no changes, other places neither
scorpio_cli -q mount "$SCRATCH/repo" "$SCRATCH/view" --ro
for cmd in status diff "reset --yes" "trace --changes"; do
    # shellcheck disable=SC2086
    assert_fails scorpio_cli $cmd "$SCRATCH/view"
    assert_contains "$OUTPUT" "read-only"
    # shellcheck disable=SC2086
    assert_fails scorpio_cli $cmd /
    assert_contains "$OUTPUT" "not in a mount"
done

# -- workspaces on disk
echo keep >"$M/kept"
assert_contains "$(scorpio_cli workspace list)" "$M"
assert_fails scorpio_cli workspace remove work
assert_contains "$OUTPUT" "umount it first"
scorpio_cli -q umount "$M"
assert_contains "$(scorpio_cli workspace list)" "work "
scorpio_cli -q workspace remove work
assert_fails scorpio_cli workspace remove work
assert_fails scorpio_cli workspace remove ../store
scorpio_cli -q mount "$SCRATCH/repo" "$M" --workspace work --uid 12345 --gid 54321
[ ! -e "$M/kept" ] || fail "a removed workspace came back"
assert_eq "$(stat -c %u:%g "$M/a")" 12345:54321
