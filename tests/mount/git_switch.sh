#!/bin/bash
# git follows `scorpio switch`: HEAD, index and branches are those of the new
# revision, private changes stay changes; refused where work would be lost;
# mended after a crash in the middle
# shellcheck disable=SC2154 # git_dir: gitwork_pair
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git lighttpd python3

gitwork_seed "$SCRATCH/src"
(
    cd "$SCRATCH/src"
    git checkout -q -b feature HEAD~1
    mkdir -p fresh/deep
    echo new >fresh/deep/f
    echo new >fresh/deep/g
    echo feature >>lib/l.c
    git rm -q dir/one.c
    git mv docs/.gitignore lib/.gitignore
    git add -A
    git commit -qm feature
    git tag v1
    git checkout -q main
)
gitwork_serve
start_daemon
FEATURE=$(git -C "$SCRATCH/src" rev-parse feature)
MAIN=$(git -C "$SCRATCH/src" rev-parse main)

sw() { scorpio_cli switch "$@"; }
# The state of the workspace is that of a clone at the same revision.
like_clone() { # WHAT
    same_state "$1"
    assert_eq "$(git -C "$W" rev-parse HEAD)" \
        "$(git -C "$C" rev-parse HEAD)" "HEAD: $1"
    assert_eq "$(git -C "$W" status -sb | head -n1)" \
        "$(git -C "$C" status -sb | head -n1)" "branch: $1"
}

day() { # SOURCE
    gitwork_pair "$1"

    note "to a branch that is made, and back"
    out=$(sw "$W" feature)
    assert_contains "$out" "on branch feature" "what switch says"
    git -C "$C" switch -q feature
    first_status_is_free "$W"
    like_clone "a new branch"
    assert_eq "$(git -C "$W" rev-parse --abbrev-ref '@{u}')" origin/feature
    sw "$W" main >/dev/null
    git -C "$C" switch -q main
    like_clone "back on main"
    # git knows where it was
    assert_eq "$(git -C "$W" rev-parse --abbrev-ref '@{-1}')" feature "@{-1}"

    note "a commit and a tag detach"
    assert_contains "$(sw "$W" "$FEATURE")" "detached" "a commit"
    git -C "$C" checkout -q "$FEATURE"
    like_clone "a commit"
    sw "$W" main >/dev/null
    sw "$W" v1 >/dev/null
    like_clone "a tag"

    note "private changes are carried along"
    for d in "$W" "$C"; do
        echo mine >>"$d/a.txt"
        echo own >"$d/own"
        mkdir "$d/mydir"
        echo own >"$d/mydir/own"
        rm "$d/foo/x"
        chmod +x "$d/empty"
    done
    sw "$W" main >/dev/null
    git -C "$C" switch -q main
    like_clone "with changes"
    scorpio_cli reset "$W" --yes >/dev/null
    git -C "$C" reset -q --hard
    git -C "$C" clean -qfd
    like_clone "clean"

    note "refused, with nothing moved: staged, a merge, a lock, conflicts"
    echo staged >"$W/staged"
    git -C "$W" add staged
    before=$(state_of "$W")
    assert_fails sw "$W" main
    assert_contains "$OUTPUT" "staged entries" "why"
    assert_eq "$(state_of "$W")" "$before" "nothing moved"
    sw "$W" main --force >/dev/null
    assert_eq "$(git -C "$W" status --porcelain)" "?? staged" "forced"
    rm "$W/staged"
    sw "$W" feature >/dev/null
    sw "$W" main >/dev/null
    : >"$git_dir/index.lock"
    assert_fails sw "$W" feature
    assert_contains "$OUTPUT" "at work" "why"
    rm "$git_dir/index.lock"
    : >"$git_dir/MERGE_HEAD"
    assert_fails sw "$W" feature
    assert_contains "$OUTPUT" "merge is under way" "why"
    rm "$git_dir/MERGE_HEAD"
    echo mine >>"$W/lib/l.c"
    before=$(state_of "$W")
    assert_fails sw "$W" feature
    assert_contains "$OUTPUT" "lib/l.c" "the conflict"
    assert_eq "$(state_of "$W")" "$before" "nothing moved"
    scorpio_cli reset "$W" --yes >/dev/null
    [ ! -e "$git_dir/index.lock" ] || fail "index.lock is left"

    note "a branch of that name with commits of its own is left alone"
    git -C "$W" branch -q -f feature main
    assert_contains "$(sw "$W" feature)" "commits of its own" "says so"
    assert_eq "$(git -C "$W" rev-parse HEAD feature)" "$FEATURE
$MAIN" "the branch"
    sw "$W" main >/dev/null
    git -C "$W" branch -q -f feature feature~1
    sw "$W" feature >/dev/null
    assert_eq "$(git -C "$W" symbolic-ref HEAD)" refs/heads/feature attached
    assert_eq "$(git -C "$W" rev-parse feature)" "$FEATURE" "moved forward"
    sw "$W" main >/dev/null
    git -C "$W" branch -q -D feature
    [ -z "$(git -C "$W" fsck --no-dangling 2>&1)" ] || fail "fsck"

    note "killed in the middle: files and git agree at the next mount"
    local i to
    for i in 1 2 3 4 5 6; do
        to=$FEATURE
        ((i % 2)) || to=$MAIN
        sw "$W" "$to" >/dev/null 2>&1 &
        switcher=$!
        sleep "0.0$((RANDOM % 10))"
        stop_daemon KILL
        wait "$switcher" || true
        unmount_lazily "$W"
        start_daemon
        poll_until 20 is_mounted "$W" || fail "the mount did not come back"
        wait_git "$W"
        to=$MAIN
        [ ! -e "$W/fresh" ] || to=$FEATURE
        assert_eq "$(git -C "$W" rev-parse HEAD)" "$to" "HEAD after a kill"
        git -C "$C" checkout -q "$to"
        same_state "a kill"
    done
    # a lock that stays would be left over; one of git at work goes
    wait_until 30 eval 'sw "$W" main >/dev/null 2>&1'
    within 60 scorpio_cli umount "$W"
}

note "== a repository of this machine"
day "$SCRATCH/www/origin.git"
note "== a repository on a server"
day "$GIT_URL/origin.git"

note "a workspace that only switched is nobody's work"
W=$SCRATCH/w2
gitwork_mount "$GIT_URL/origin.git" "$W"
wait_until 30 test ! -e "$(git -C "$W" rev-parse --git-dir)/shallow"
dir=$(dirname "$(git -C "$W" rev-parse --git-dir)")
sw "$W" feature >/dev/null
git -C "$W" status >/dev/null
within 60 scorpio_cli umount "$W"
[ ! -e "$dir" ] || fail "$dir is left"
