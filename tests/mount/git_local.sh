#!/bin/bash
# stock git in a workspace of a repository of this machine: everything a day
# brings, compared with a plain clone that gets the same
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git

start_daemon
gitwork_seed "$SCRATCH/src"
git clone -q --bare "$SCRATCH/src" "$SCRATCH/origin.git"
W=$SCRATCH/w
C=$SCRATCH/c
gitwork_mount "$SCRATCH/origin.git" "$W"
git clone -q "$SCRATCH/origin.git" "$C"

note "first status: clean, no file and no directory looked at"
first_status_is_free "$W"
assert_eq "$(git -C "$W" branch -vv)" "$(git -C "$C" branch -vv)" branches
assert_eq "$(git -C "$W" rev-parse --abbrev-ref '@{u}')" origin/main upstream
[ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck finds something"

note "edits of every kind"
both 'echo more >>a.txt'
both 'mkdir -p new/deep && echo 1 >new/deep/f && echo 2 >new/g'
both 'rm dir/one.c'
both 'mv dir/two.c dir/2.c'
both 'chmod +x a.txt'
both 'ln -sf nowhere link'
both 'echo ignored >dir/x.o; echo kept >dir/y.c'
both 'mv lib lib2'
both 'mkdir lib && echo x >lib/again'
both 'git add -A && git commit -qm "edits"'
both 'git mv lib2 lib3; git status --short | wc -l'
both 'git commit -qam moved'

note "a directory that comes back under an old name has no old secrets"
both 'mkdir -p u/v && echo 1 >u/v/w'
both 'mv u u2'
both 'mkdir -p u/v'
both 'rm -r u2; echo 1 >u/v/z; rm u/v/z'
both 'rmdir u/v u'

note "branches, stash, rebase, a conflict"
both 'git checkout -q -b side HEAD~2 && echo side >>README && git commit -qam side'
both 'git switch -q main'
both 'echo dirty >>README && git stash -q'
both 'git stash pop -q'
both 'git restore README'
both 'echo main >>README && git commit -qam main'
both 'git merge side; echo both >README; git add README; git commit -qm merged'
both 'git checkout -q -b r HEAD~1 && echo r >>a.txt && git commit -qam r'
both 'git rebase -q side || { echo solved >README; git add README; GIT_EDITOR=true git rebase --continue; }'
both 'git checkout -q main'
both 'git reset -q --hard HEAD~1'
both 'git clean -qfdx'
both 'git checkout -q HEAD~1 && git checkout -q -'
both 'git cherry-pick r || { git cherry-pick --abort; }'
both 'git log -p | sha1sum'
both 'git blame README | sha1sum'
both 'git diff HEAD~2 --stat'
both 'git grep -n int | sha1sum'
both 'git rm -q --cached a.txt'
both 'git reset -q'
both 'git submodule status'
both 'git tag t1 && git describe --tags'
both 'git gc -q'
both 'git sparse-checkout list || true'

note "a work tree beside"
git -C "$W" worktree add -q "$SCRATCH/wt" -b beside
echo 1 >>"$SCRATCH/wt/README"
assert_eq "$(git -C "$SCRATCH/wt" status --short)" " M README" "other work tree"
git -C "$SCRATCH/wt" commit -qam beside
assert_eq "$(git -C "$SCRATCH/wt" status --short)" "" "after its commit"
assert_eq "$(git -C "$W" log -1 --format=%s beside)" beside "its commit"
git -C "$W" worktree remove --force "$SCRATCH/wt"
git -C "$W" branch -q -D beside
same_state end

note "push, and a fetch by another clone"
git -C "$W" push -q origin main:pushed
git -C "$C" fetch -q
assert_eq "$(git -C "$C" rev-parse origin/pushed)" \
    "$(git -C "$W" rev-parse main)" pushed
git -C "$C" checkout -q -b next origin/pushed
echo elsewhere >>"$C/README"
git -C "$C" commit -qam elsewhere
git -C "$C" push -q origin HEAD:main --force
git -C "$W" pull -q --rebase
assert_eq "$(git -C "$W" log -1 --format=%s)" elsewhere pulled
assert_eq "$(git -C "$W" status --short)" "" "after the pull"

note "unmounted and mounted again: everything goes on"
echo staged >>"$W/a.txt"
git -C "$W" add a.txt
echo open >>"$W/README"
before=$(git -C "$W" status --short)
within 60 scorpio_cli umount "$W"
gitwork_mount "$SCRATCH/origin.git" "$W"
assert_eq "$(git -C "$W" status --short)" "$before" "status after a remount"
assert_eq "$(git -C "$W" log -1 --format=%s)" elsewhere "log after a remount"
before=$(git -C "$W" status --short)
stop_daemon KILL
unmount_lazily "$W"
start_daemon
wait_until 20 is_mounted "$W"
wait_git "$W"
echo after >"$W/after"
assert_eq "$(git -C "$W" status --short)" "$before
?? after" "status after kill -9"

note "nothing is kept of a workspace in which nothing was done"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
dir=$(dirname "$(git -C "$SCRATCH/w2" rev-parse --git-dir)")
git -C "$SCRATCH/w2" status >/dev/null
within 60 scorpio_cli umount "$SCRATCH/w2"
[ ! -e "$dir" ] || fail "$dir is left"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
git -C "$SCRATCH/w2" commit -q --allow-empty -m precious
within 60 scorpio_cli umount "$SCRATCH/w2"
gitwork_mount "$SCRATCH/origin.git" "$SCRATCH/w2"
assert_eq "$(git -C "$SCRATCH/w2" log -1 --format=%s)" precious "a commit"

note "read-only views and directories of a repository have no .git"
mount_source "$SCRATCH/origin.git" "$SCRATCH/ro"
[ ! -e "$SCRATCH/ro/.git" ] || fail "a .git in a view"
mount_source "$SCRATCH/origin.git" "$SCRATCH/sub" --rw --subdir dir
assert_contains "$(git_state "$SCRATCH/sub")" "whole repositories" state
