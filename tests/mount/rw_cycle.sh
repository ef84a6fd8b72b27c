#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Working in a workspace: edit, create, rename, delete; all of it is there after
# unmount and mount, and after the daemon's end by kill -9
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git

repo=$SCRATCH/repo
m=$SCRATCH/m
git_repo "$repo"
mkdir -p "$repo/src/deep/er" "$repo/docs"
echo one >"$repo/src/a.c"
echo two >"$repo/src/deep/er/b.c"
echo text >"$repo/docs/text"
head -c 3000000 /dev/urandom >"$repo/big"
printf '#!/bin/sh\necho ran\n' >"$repo/run.sh"
chmod +x "$repo/run.sh"
ln -s docs/text "$repo/link"
git_commit "$repo" first
start_daemon

remount() {
    within 60 scorpio_cli umount "$m"
    mount_source "$repo" "$m" --rw
}

# everything that must be the same, without times of directories' reading
picture() { (cd "$m" && find . -mindepth 1 -path ./.git -prune -o \
    -printf '%P %y %m %s %n %l %T@\n' | sort); }

mount_source "$repo" "$m" --rw
rm -f "$m/.git" # nothing here is about git
echo more >>"$m/src/a.c"
mv "$m/src" "$m/lib"        # a whole directory of the revision
mv "$m/docs/text" "$m/lib/" # and one file
rmdir "$m/docs"
rm "$m/link"
ln -s lib/text "$m/link"
chmod 600 "$m/run.sh"
ln "$m/run.sh" "$m/run2"
mkdir -p "$m/new/dir"
echo new >"$m/new/dir/file"
touch -d '2001-02-03 04:05:06.789' "$m/new/dir/file"
truncate -s 100000 "$m/big"
printf x | dd of="$m/big" bs=1 seek=70000 conv=notrunc status=none
head -c 70000 "$repo/big" | cmp - <(head -c 70000 "$m/big")
assert_eq "$(cat "$m/lib/a.c")" "one
more"
assert_eq "$(cat "$m/lib/deep/er/b.c")" two "below a moved directory"
assert_eq "$(cat "$m/link")" text "through a new link"
assert_eq "$(ls "$m")" "$(printf '%s\n' big lib link new run.sh run2)"
assert_fails rmdir "$m/lib"
assert_fails mkdir "$m/new"
before=$(picture)

remount
assert_eq "$(picture)" "$before" "after unmount and mount"
assert_eq "$(stat -c %y "$m/new/dir/file" | cut -c1-23)" \
    "2001-02-03 04:05:06.789"

# kill -9: what was acknowledged is there
for i in $(seq 200); do echo "$i" >"$m/new/$i"; done
rm "$m/new/7"
mv "$m/new/8" "$m/lib/eight"
before=$(picture)
stop "$DAEMON_PID" KILL || true
start_daemon
# names that the kernel remembers are there even on the dead mount
alive() { stat -f "$m" && is_mounted "$m" && test -e "$m/lib/eight"; }
poll_until 20 alive || {
    unmount_lazily "$m"
    mount_source "$repo" "$m" --rw
}
assert_eq "$(picture)" "$before" "after kill -9"
assert_eq "$(cat "$m/new/200")" 200
assert_eq "$(cat "$m/lib/eight")" 8

# a file that is removed while open is readable to its last byte
exec 8<"$m/lib/deep/er/b.c" 9<"$m/new/9"
rm "$m/lib/deep/er/b.c" "$m/new/9"
assert_eq "$(cat <&8)" two "a removed file of the revision"
assert_eq "$(cat <&9)" 9 "a removed new file"
exec 8<&- 9<&-
# and its content file goes with the last who had it open
upper=$(find "$DAEMON_STORE/workspaces" -name upper)
many=$(find "$upper" -type f | wc -l)
echo content >"$m/new/fleeting"
assert_eq "$(find "$upper" -type f | wc -l)" $((many + 1)) "content files"
rm "$m/new/fleeting"
fewer() { [ "$(find "$upper" -type f | wc -l)" -eq "$many" ]; }
poll_until 10 fewer || fail "the content of a removed file stays"

# two workspaces of one source do not see each other
mount_source "$repo" "$SCRATCH/n" --rw
assert_eq "$(cat "$SCRATCH/n/src/a.c")" one
echo other >"$SCRATCH/n/src/a.c"
assert_eq "$(head -n 1 "$m/lib/a.c")" one
