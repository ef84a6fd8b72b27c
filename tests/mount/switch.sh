#!/bin/bash
# A mount in use moves to another commit: read-only and with private changes
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git python3 make

repo=$SCRATCH/repo
git_repo "$repo"
(
    cd "$repo"
    python3 - <<'PY'
import os
for d in range(60):
    os.makedirs(f"d{d}/sub")
    for i in range(60):
        open(f"d{d}/{'sub/' if i % 3 == 0 else ''}f{i:03}", "w").write(
            f"file {d} {i}\n" * (i + 1))
os.makedirs("gone/deep/er")
open("gone/deep/er/file", "w").write("going\n")
open("file_to_dir", "w").write("a file\n")
os.makedirs("dir_to_file/x")
open("dir_to_file/x/y", "w").write("below\n")
os.symlink("d1/f001", "link")
open("Makefile", "w").write(
    "SRC := $(sort $(wildcard d[0-9]/f*))\nO ?= out\n"
    "all: $(SRC:%=$(O)/%.o)\n"
    "$(O)/%.o: %\n\t@mkdir -p $(@D)\n\t@echo build $<\n\t@cp $< $@\n")
PY
    git add -A && git commit -qm A
    python3 - <<'PY'
import os, shutil
for d in range(0, 60, 2):
    open(f"d{d}/f001", "w").write(f"changed {d}\n" * 7)
open("d3/f000a", "w").write("added, shifts the others\n")
os.remove("d5/f004")
shutil.rmtree("gone")
os.makedirs("new/deep")
open("new/deep/file", "w").write("new\n")
os.remove("file_to_dir"); os.mkdir("file_to_dir")
open("file_to_dir/inside", "w").write("inside\n")
shutil.rmtree("dir_to_file"); open("dir_to_file", "w").write("a file now\n")
os.remove("link"); os.symlink("d2/f001", "link")
os.chmod("d7/f001", 0o755)
PY
    git add -A && git commit -qm B
)
A=$(git -C "$repo" rev-parse HEAD~1) B=$(git -C "$repo" rev-parse HEAD)
git -C "$repo" worktree add -q --detach "$SCRATCH/A" "$A"
git -C "$repo" worktree add -q --detach "$SCRATCH/B" "$B"
rm "$SCRATCH/A/.git" "$SCRATCH/B/.git"

same() { # DIR WANTED
    local out
    out=$(diff -r --no-dereference -x .git "$1" "$2" 2>&1) ||
        fail "differs: $(head -5 <<<"$out")"
    assert_eq "$(cd "$1" && find . -path ./.git -prune -o -type f -perm -100 \
        -print | sort)" "$(cd "$2" && find . -type f -perm -100 | sort)" modes
}

start_daemon
m=$SCRATCH/m
mount_source "$repo" "$m" --rev "$A" --ro
same "$m" "$SCRATCH/A"
out=$(scorpio_cli switch "$m" "$B" --dry-run)
assert_contains "$out" "would switch"
same "$m" "$SCRATCH/A"

note "read-only: everything is as in the other commit, old files stay readable"
stat "$m/new" 2>/dev/null && fail "new is there already"
exec 5<"$m/gone/deep/er/file" 6<"$m/d2/f001" 7<"$m/file_to_dir"
before=$(stat -c %Y "$m/d1/f001")
out=$(scorpio_cli switch "$m" "$B" --json)
note "$out"
same "$m" "$SCRATCH/B"
assert_eq "$(cat <&5)" going "a removed file that is open"
assert_eq "$(cat <&7)" "a file" "a file that became a directory"
cat <&6 >/dev/null || fail "a changed file that was open"
exec 5<&- 6<&- 7<&-
assert_eq "$(stat -c %Y "$m/d1/f001")" "$before" "time of an unchanged file"
[ "$(stat -c %Y "$m/d2/f001")" -gt "$before" ] || fail "time did not move on"

note "bad revisions are refused"
assert_fails scorpio_cli switch "$m" nosuch
same "$m" "$SCRATCH/B"

note "back and forth, with readers and open maps"
cat >"$SCRATCH/reader.py" <<'PY'
import mmap, os, sys
root, a, b = sys.argv[1:]
names = [f"d{d}/f001" for d in range(0, 60, 2)] + ["d3/f002", "d5/f005"]
ok = {n: {open(f"{t}/{n}", "rb").read() for t in (a, b)} for n in names}
held = []
for n in names[:5]:
    f = open(f"{root}/{n}", "rb")
    held.append((n, f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)))
rounds = 0
def right(n, data):
    # old, new, or the beginning of one: the size may be of before
    return any(w.startswith(data.rstrip(b"\0")) for w in ok[n])
while not os.path.exists(root + ".stop"):
    for n in names:
        with open(f"{root}/{n}", "rb") as f:
            # at once: a switch may come between two
            data = os.pread(f.fileno(), 65536, 0)
        assert right(n, data), (n, data[:80])
    for n, f, mm in held:
        data = os.pread(f.fileno(), 8, 0)
        assert any(w.startswith(data) for w in ok[n]), (n, data)
        assert any(w.startswith(mm[:8]) for w in ok[n]), (n, mm[:8])
    for d in ("d3", "new", "gone/deep", "."):
        try:
            os.listdir(f"{root}/{d}")
        except (FileNotFoundError, NotADirectoryError):
            pass
    rounds += 1
print(rounds, "rounds")
PY
python3 "$SCRATCH/reader.py" "$m" "$SCRATCH/A" "$SCRATCH/B" \
    >"$SCRATCH/reader.out" 2>&1 &
reader=$!
for i in $(seq 10); do
    scorpio_cli switch "$m" "$A" >/dev/null
    ((i % 5)) || same "$m" "$SCRATCH/A"
    scorpio_cli switch "$m" "$B" >/dev/null
    ((i % 5)) || same "$m" "$SCRATCH/B"
done
touch "$m.stop"
wait "$reader" || fail "reader: $(tail -3 "$SCRATCH/reader.out")"
note "$(cat "$SCRATCH/reader.out")"
same "$m" "$SCRATCH/B"

note "make rebuilds what changed"
scorpio_cli switch "$m" "$A" >/dev/null
make -s -C "$m" O="$SCRATCH/out" >/dev/null
assert_eq "$(make -s -C "$m" O="$SCRATCH/out" | wc -l)" 0 "nothing to build"
poll_until 3 test "$(date +%s%N)" -gt 0
scorpio_cli switch "$m" "$B" >/dev/null
built=$(make -s -C "$m" O="$SCRATCH/out" | sort)
wanted=$(git -C "$repo" diff --name-only --diff-filter=d "$A" "$B" |
    grep -E '^d[0-9]/f' | sed 's/^/build /' | sort)
assert_eq "$built" "$wanted" "what make built"
scorpio_cli umount "$m"

note "a workspace keeps its changes"
w=$SCRATCH/w
mount_source "$repo" "$w" --rev "$A" --workspace sw
echo mine >"$w/d1/f001"
echo own >"$w/d2/own"
rm "$w/d9/f002"
mv "$w/d11/f004" "$w/d11/renamed"
scorpio_cli switch "$w" "$B" >/dev/null
cp -a "$SCRATCH/B" "$SCRATCH/BW"
change() {
    echo mine >"$1/d1/f001"
    echo own >"$1/d2/own"
    rm "$1/d9/f002"
    mv "$1/d11/f004" "$1/d11/renamed"
}
change "$SCRATCH/BW"
cp -a "$SCRATCH/A" "$SCRATCH/AW"
change "$SCRATCH/AW"
same "$w" "$SCRATCH/BW"
scorpio_cli umount "$w"
mount_source "$repo" "$w" --workspace sw
same "$w" "$SCRATCH/BW"
scorpio_cli switch "$w" "$A" >/dev/null
same "$w" "$SCRATCH/AW"

note "conflicts are refused, with nothing moved"
echo mine too >"$w/d4/f001"
echo mine too >"$SCRATCH/AW/d4/f001"
echo here >"$w/d3/f000a"
echo here >"$SCRATCH/AW/d3/f000a"
assert_fails scorpio_cli switch "$w" "$B"
assert_contains "$OUTPUT" "d4/f001"
assert_contains "$OUTPUT" "d3/f000a"
same "$w" "$SCRATCH/AW"
scorpio_cli switch "$w" "$B" --force >/dev/null
echo mine too >"$SCRATCH/BW/d4/f001"
echo here >"$SCRATCH/BW/d3/f000a"
same "$w" "$SCRATCH/BW"

note "a record of mounts that was not yet written does no harm"
stop_daemon KILL
unmount_lazily "$w"
grep -q "$B" "$SCRATCH"/store/mounts.json
sed -i "s/$B/$A/g" "$SCRATCH"/store/mounts.json
start_daemon
poll_until 60 is_mounted "$w" || fail "the mount did not come back"
same "$w" "$SCRATCH/BW"

note "old or new after kill -9"
for i in $(seq 4); do
    to=$A
    ((i % 2)) || to=$B
    scorpio_cli switch "$w" "$to" --force >/dev/null 2>&1 &
    switcher=$!
    sleep "0.0$((RANDOM % 5))"
    stop_daemon KILL
    wait "$switcher" || true
    unmount_lazily "$w"
    start_daemon
    poll_until 60 is_mounted "$w" || fail "the mount did not come back"
    if [ -e "$w/new" ]; then
        same "$w" "$SCRATCH/BW"
    else
        same "$w" "$SCRATCH/AW"
    fi
done
scorpio_cli umount "$w"
