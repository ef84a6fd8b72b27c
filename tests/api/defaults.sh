#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mount of git is a workspace unless it is asked to be a view; its changes
# outlive umount, which says so and how to go on; without changes nothing stays
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl python3

git_repo "$SCRATCH/repo"
echo one >"$SCRATCH/repo/a"
git_commit "$SCRATCH/repo" one
git -C "$SCRATCH/repo" tag v1
echo two >"$SCRATCH/repo/a"
git_commit "$SCRATCH/repo" two
mkdir "$SCRATCH/plain"
echo plain >"$SCRATCH/plain/p"
start_daemon
M=$SCRATCH/m
workspaces() { scorpio_cli --json workspace list | python3 -c 'import json, sys
print(len(json.load(sys.stdin)["workspaces"]))'; }

# -- git: writable; without changes nothing is kept, and any revision is fine
out=$(scorpio_cli mount "$SCRATCH/repo" "$M")
assert_contains "$out" "writable"
assert_contains "$(scorpio_cli list)" "m-"
out=$(scorpio_cli umount "$M")
assert_eq "$out" "$M is unmounted"
assert_eq "$(workspaces)" 0 "workspaces without changes"

# -- what was changed stays, and is found again by the same two arguments
scorpio_cli -q mount "$SCRATCH/repo" "$M"
echo mine >"$M/new"
echo mine >>"$M/a"
out=$(scorpio_cli umount "$M")
assert_contains "$out" "2 changes stay in workspace m-"
assert_contains "$out" "to go on:        scorpio mount $SCRATCH/repo $M"
name=$(sed -n 's/.*scorpio workspace remove //p' <<<"$out")
assert_eq "$(workspaces)" 1
out=$(scorpio_cli mount "git+$SCRATCH/repo" "$M") # said otherwise
assert_contains "$out" "goes on with the changes of workspace $name"
assert_eq "$(cat "$M/new")" mine
scorpio_cli -q umount "$M"

# -- another revision is refused while there are changes, and says what to do
assert_fails scorpio_cli mount "$SCRATCH/repo" "$M" --rev v1
assert_contains "$OUTPUT" "$name"
assert_contains "$OUTPUT" "switch"
scorpio_cli -q mount "$SCRATCH/repo" "$M" --rev v1 --ro # a view has no such care
assert_eq "$(cat "$M/a")" one
assert_fails touch "$M/x"
assert_contains "$OUTPUT" "Read-only"
assert_eq "$(scorpio_cli umount "$M")" "$M is unmounted" "of a view"
scorpio_cli -q workspace remove "$name"
scorpio_cli -q mount "$SCRATCH/repo" "$M" --rev v1
assert_eq "$(cat "$M/a")" one
[ ! -e "$M/new" ] || fail "removed changes came back"

# -- an unchanged one, left by a daemon that was killed, does not stand in the way
stop_daemon KILL
unmount_lazily "$M"
start_daemon --no-restore
assert_eq "$(workspaces)" 1
scorpio_cli -q mount "$SCRATCH/repo" "$M" --rev main
assert_eq "$(cat "$M/a")" two
scorpio_cli -q umount "$M"
assert_eq "$(workspaces)" 0

# -- a named one stays, with or without changes
scorpio_cli -q mount "$SCRATCH/repo" "$M" --workspace work
out=$(scorpio_cli umount "$M")
assert_contains "$out" "stay in workspace work"
assert_contains "$out" "--workspace work"
scorpio_cli -q workspace remove work

# -- other sources are views, unless asked
out=$(scorpio_cli mount "dir+$SCRATCH/plain" "$SCRATCH/d")
assert_contains "$out" "read-only"
scorpio_cli -q umount "$SCRATCH/d"
scorpio_cli -q mount "dir+$SCRATCH/plain" "$SCRATCH/d" --rw
echo mine >"$SCRATCH/d/q"
assert_eq "$(ls "$SCRATCH/plain")" p "the directory itself"
scorpio_cli -q reset "$SCRATCH/d" --yes
scorpio_cli -q umount "$SCRATCH/d"

# -- the same through the API and the configuration
code=$(curl -sS --noproxy '*' -o "$SCRATCH/answer" -w '%{http_code}' -H \
    'Content-Type: application/json' "$DAEMON_URL/api/v1/mounts" \
    -d '{"source":"'"$SCRATCH/repo"'","dir":"'"$M"'"}')
assert_eq "$code" 201
grep -q '"read_only": *false' "$SCRATCH/answer" || fail "not writable by the API"
scorpio_cli stop >/dev/null
wait_until 20 gone "$DAEMON_PID"
printf '[[mount]]\nsource = "%s"\ndir = "%s"\n' "$SCRATCH/repo" "$SCRATCH/c1" \
    "$SCRATCH/repo" "$SCRATCH/c2" >>"$DAEMON_CONFIG"
echo 'ro = true' >>"$DAEMON_CONFIG"
start_daemon --no-restore
wait_until 20 is_mounted "$SCRATCH/c1"
wait_until 20 is_mounted "$SCRATCH/c2"
echo mine >"$SCRATCH/c1/new"
assert_fails touch "$SCRATCH/c2/new"
scorpio_cli stop >/dev/null
wait_until 20 gone "$DAEMON_PID"
start_daemon
back() { [ "$(cat "$SCRATCH/c1/new" 2>/dev/null)" = mine ]; }
wait_until 20 back
