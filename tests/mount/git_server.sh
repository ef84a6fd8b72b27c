#!/bin/bash
# stock git in a workspace of a repository on a server: a day's work as in a
# plain clone, without fetching the files nobody looks at
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git lighttpd

gitwork_seed "$SCRATCH/src"
gitwork_serve
start_daemon
W=$SCRATCH/w
C=$SCRATCH/c
gitwork_mount "$GIT_URL/origin.git" "$W"
git clone -q "$GIT_URL/origin.git" "$C"

asked() { # how often the server was asked for objects
    grep -c 'POST .*git-upload-pack' "$GIT_ACCESS_LOG" || true
}
blobs() { # how many files have their content in the store
    scorpio_cli cache du --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["blobs"])'
}

note "first status: clean, no file but .gitignore was fetched"
first_status_is_free "$W"
assert_eq "$(blobs)" 2 "files fetched (.gitignore)"

note "the history arrives"
git_dir=$(git -C "$W" rev-parse --git-dir)
wait_until 30 test ! -e "$git_dir/shallow"
branches() { [ "$(git -C "$W" branch -a)" = "$(git -C "$C" branch -a)" ]; }
wait_until 30 branches
quiet_log() { # lighttpd writes its log a moment later
    local n
    n=$(asked)
    sleep 1.2
    [ "$(asked)" = "$n" ]
}
wait_until 30 quiet_log
assert_eq "$(git -C "$W" log --format=%H)" "$(git -C "$C" log --format=%H)" log

note "to commit, git fetches no file, though none is here"
echo 'int new;' >"$W/lib/deep/new.c"
git -C "$W" add -A
git -C "$W" commit -qm new
git -C "$W" status >/dev/null
git -C "$W" stash list
assert_eq "$(blobs)" 2 "files fetched after a commit"
git -C "$W" reset -q --hard HEAD~1
same_state "a commit taken back"

a_day
note "fsck"
[ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck finds something"

note "a work tree beside: git fetches what it checks out there"
work_tree_beside

note "push, a fetch by another clone, and back"
push_and_pull

note "mounted again; and a second workspace of the same source"
within 60 scorpio_cli umount "$W"
gitwork_mount "$GIT_URL/origin.git" "$W"
assert_eq "$(git -C "$W" log -1 --format=%s)" elsewhere "after a remount"
assert_eq "$(git -C "$W" status --short)" "" "status after a remount"
gitwork_mount "$GIT_URL/origin.git" "$SCRATCH/w2"
first_status_is_free "$SCRATCH/w2"
assert_eq "$(git -C "$SCRATCH/w2" log -1 --format=%s)" elsewhere "new workspace"
git -C "$SCRATCH/w2" log -p >"$SCRATCH/log.w2"
git -C "$C" log -p HEAD >"$SCRATCH/log.c"
cmp "$SCRATCH/log.c" "$SCRATCH/log.w2" || fail "log -p differs"
dir=$(dirname "$(git -C "$SCRATCH/w2" rev-parse --git-dir)")
within 60 scorpio_cli umount "$SCRATCH/w2"
[ ! -e "$dir" ] || fail "$dir is left although nothing was done in it"

note "killed: the views of objects come back with the workspace"
stop_daemon KILL
unmount_lazily "$W"
start_daemon
wait_until 20 is_mounted "$W"
wait_git "$W"
echo again >>"$W/README"
git -C "$W" commit -qam again
[ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck after kill -9"
