#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As after a reboot: nothing runs, nothing is mounted, another boot. What was
# recorded and what is configured is mounted again: changes, the journal's
# clock, digests, revisions
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git python3 getfattr curl

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d" "$SCRATCH/repo/out"
for f in a b c d/x d/y out/old; do
    echo "this is $f" >"$SCRATCH/repo/$f"
done
git_commit "$SCRATCH/repo" one
one=$(git -C "$SCRATCH/repo" rev-parse HEAD)
write_config
printf '[[mount]]\nsource = "%s"\ndir = "%s"\n' "$SCRATCH/repo" "$SCRATCH/conf" \
    >>"$DAEMON_CONFIG"
start_daemon
w=$SCRATCH/w
mount_source "$SCRATCH/repo" "$w" --workspace work
mount_source "$SCRATCH/repo" "$SCRATCH/view" --ro --subdir d

digest() { getfattr --only-values -n user.sha256 "$1" 2>/dev/null; }
id_of() { # DIR
    curl -fsS --noproxy '*' -m 20 "$DAEMON_URL/api/v1/mounts" | python3 -c '
import json, sys
v = json.load(sys.stdin)
v = v if isinstance(v, list) else v["mounts"]
print([m["id"] for m in v if m["dir"] == sys.argv[1]][0])' "$1"
}
journal() { # CLOCK - paths since then
    curl -fsS --noproxy '*' -m 20 \
        "$DAEMON_URL/api/v1/mounts/$(id_of "$w")/journal?since=$1&timeout=0" |
        python3 -c 'import json, sys
print(*sorted({e["path"] for e in json.load(sys.stdin)["entries"]}))'
}
clock=$(curl -fsS --noproxy '*' "$DAEMON_URL/api/v1/mounts/$(id_of "$w")/journal" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["clock"])')
echo mine >>"$w/a"
rm "$w/b"
mv "$w/d" "$w/moved"
echo new >"$w/moved/new"
setfattr -n user.note -v kept "$w/c"
chmod 700 "$w/c"
ln "$w/a" "$w/hard"
ln -s nowhere "$w/link"
echo configured >"$SCRATCH/conf/new"
sync "$w/a" "$w/moved/new"
cat "$w/moved/x" "$SCRATCH/view/y" >/dev/null
want_x=$(digest "$w/moved/x")
[ "${#want_x}" -eq 64 ] || fail "no digest before: $want_x"
picture() {
    (cd "$w" && find . -path ./.git -prune -o \
        -printf '%P %y %m %s %n %T@ %i %l\n' | sort)
    getfattr --absolute-names -d "$w/c" | grep note
}
picture >"$SCRATCH/before"
scorpio_cli status "$w" >"$SCRATCH/status"
seen=$(journal "$clock")
assert_contains "$seen" moved/new "the journal before"
echo two >"$SCRATCH/repo/a"
git_commit "$SCRATCH/repo" two

# -- the power goes: daemon and keeper at once, the mounts with them
pid=$(daemon_process)
stop "$DAEMON_PID" KILL || true
wait_until 20 gone "$pid"
for dir in "$w" "$SCRATCH/view" "$SCRATCH/conf"; do
    is_mounted "$dir" && unmount_lazily "$dir"
    assert_eq "$(ls -A "$dir")" "" "what is below $dir"
done
sed -i 's/^boot .*/boot 01234567-89ab-cdef-0123-456789abcdef/' "$DAEMON_STORE/lock"

# -- the machine is up again
start_daemon
back() { [ -e "$w/c" ] && [ -e "$SCRATCH/view/y" ] && [ -e "$SCRATCH/conf/new" ]; }
wait_until 30 back
picture | diff -u "$SCRATCH/before" - || fail "the workspace is not as it was"
scorpio_cli status "$w" | diff -u "$SCRATCH/status" - || fail "its status"
assert_eq "$(cat "$SCRATCH/conf/new")" configured
assert_eq "$(cat "$SCRATCH/view/x")" "this is d/x"
assert_eq "$(scorpio_cli --json list | grep -c "$one")" 3 "mounts at their revision"
assert_eq "$(digest "$w/moved/x")" "$want_x" "a digest"
assert_eq "$(digest "$SCRATCH/view/y")" \
    "$(sha256sum <"$SCRATCH/repo/d/y" | cut -d' ' -f1)" "a digest in the view"
got=$(digest "$w/a" || true)
[ -z "$got" ] || assert_eq "$got" "$(sha256sum <"$w/a" | cut -d' ' -f1)" \
    "the digest of a changed file"
# who followed the journal goes on from where he was
assert_eq "$(journal "$clock")" "$seen" "the journal from a clock of before"
touch "$w/after"
assert_contains "$(journal "$clock")" after "the journal goes on"
