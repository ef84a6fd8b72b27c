# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
#
# gitwork.sh - for tests of stock git in workspaces; after functions.sh. $W is
# the workspace, $C a plain clone that gets the same.

git_dir= # of $W
export HOME=$SCRATCH/home
mkdir -p "$HOME"
cat >"$HOME/.gitconfig" <<END
[user]
	name = Tester
	email = tester@example.org
[advice]
	detachedHead = false
[init]
	defaultBranch = main
[merge]
	conflictStyle = merge
END

# A repository with some of everything.
gitwork_seed() { # DIR
    git_repo "$1"
    (
        cd "$1" || exit 1
        mkdir -p dir/sub lib/deep/er docs 'odd name'
        echo 'a file' >a.txt
        echo readme >README
        printf '*.o\n/build/\n' >.gitignore
        printf '*.tmp\n' >docs/.gitignore
        for i in one two three; do echo "int $i;" >dir/$i.c; done
        seq 200 >lib/deep/er/numbers
        echo 'int l;' >lib/l.c
        : >empty
        echo '#!/bin/sh' >run.sh
        chmod +x run.sh
        ln -s a.txt link
        echo odd >'odd name/with space'
        echo utf8 >'odd name/ä'
        echo foo-bar >foo-bar
        mkdir foo
        echo foo >foo/x
        git add -A
        git update-index --add --cacheinfo \
            160000,1234567890123456789012345678901234567890,sub
    )
    GIT_AUTHOR_DATE="1600000000 +0000" GIT_COMMITTER_DATE="1600000000 +0000" \
        git -C "$1" commit -q -m first
    mkdir -p "$1/sub"
    echo more >>"$1/README"
    GIT_AUTHOR_DATE="1600001000 +0000" GIT_COMMITTER_DATE="1600001000 +0000" \
        git -C "$1" commit -q -a -m second
}

# $SCRATCH/src by a server, as $GIT_URL/origin.git
gitwork_serve() {
    mkdir "$SCRATCH/www"
    git clone -q --bare "$SCRATCH/src" "$SCRATCH/www/origin.git"
    git -C "$SCRATCH/www/origin.git" config http.receivepack true
    start_git_server "$SCRATCH/www"
}

git_state() { # DIR
    local id
    id=$(python3 -c 'import sys, urllib.parse
print(urllib.parse.quote(sys.argv[1], safe=""))' "$1")
    curl -fsS --noproxy '*' -m 130 "$DAEMON_URL/api/v1/mounts/$id/git?wait_s=120"
}

wait_git() { # DIR
    local state
    state=$(git_state "$1")
    case $state in
    *'"ready"'*) ;;
    *) fail "git in $1: $state" ;;
    esac
}

gitwork_mount() { # SOURCE DIR [ARGS...]
    mount_source "$@" --rw
    wait_git "$2"
}

# $W and $C of one source; $git_dir of $W, with its history
gitwork_pair() { # SOURCE
    W=$SCRATCH/w
    C=$SCRATCH/c
    gitwork_mount "$1" "$W"
    rm -rf "$C"
    git clone -q "$1" "$C"
    git_dir=$(git -C "$W" rev-parse --git-dir)
    wait_until 60 test ! -e "$git_dir/shallow"
}

# The first status says clean without looking at a file or directory.
first_status_is_free() { # DIR
    local perf=$SCRATCH/perf
    rm -f "$perf"
    assert_eq "$(GIT_TRACE2_PERF=$perf git -C "$1" status --porcelain)" "" \
        "first status"
    grep -q 'opendir:0$' "$perf" || fail "status opened directories"
    grep -q 'apply_count:0$' "$perf" || fail "the monitor told of something"
    ! grep -q 'invalidation:[1-9]' "$perf" ||
        fail "git threw away its knowledge of untracked files"
}

state_of() { # DIR - what git says of it in every way
    (
        cd "$1" || exit 1
        git status --porcelain --untracked-files=normal
        echo ---
        git -c core.fsmonitor=false -c core.untrackedCache=false \
            status --porcelain --ignored -uall
        echo --- staged
        git diff --cached --raw --no-renames
        echo --- files
        git ls-files -s
        echo --- stash
        git stash list --format=%gs
    )
}

same_state() { # WHAT
    state_of "$W" >"$SCRATCH/state.w" 2>&1
    state_of "$C" >"$SCRATCH/state.c" 2>&1
    diff -u "$SCRATCH/state.c" "$SCRATCH/state.w" >"$SCRATCH/state.diff" || {
        head -n 40 "$SCRATCH/state.diff"
        fail "the workspace and the plain clone differ after: $1"
    }
    # and with the monitor: the same as when git looks itself
    assert_eq "$(git -C "$W" status --porcelain)" \
        "$(git -C "$W" -c core.fsmonitor=false -c core.untrackedCache=false \
            status --porcelain)" "status with and without the monitor after: $1"
}

COUNT=0
# both SCRIPT - run it in both; output, exit code and state must be the same
both() {
    local a=0 b=0
    COUNT=$((COUNT + 1))
    export GIT_AUTHOR_DATE="$((1700000000 + COUNT)) +0000"
    export GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
    (cd "$C" && bash -c "$1") >"$SCRATCH/out.c" 2>&1 || a=$?
    (cd "$W" && bash -c "$1") >"$SCRATCH/out.w" 2>&1 || b=$?
    [ $a = $b ] || {
        cat "$SCRATCH/out.w"
        fail "in the clone it ends with $a, in the workspace with $b: $1"
    }
    diff -u "$SCRATCH/out.c" "$SCRATCH/out.w" ||
        fail "other output in the workspace: $1"
    same_state "$1"
}

# What a day brings, in $W and $C.
a_day() {
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
    both 'git rebase -q side || { echo solved >README; git add README
        GIT_EDITOR=true git rebase --continue; }'
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
    both 'git revert --no-edit HEAD'
    both 'f=$(mktemp) && git format-patch --stdout -2 >$f && git reset -q --hard HEAD~2
        git am -q $f; rm $f'
    both 'git diff -R HEAD~1 | git apply --index && git commit -qm reverted'
    both 'git bisect start HEAD HEAD~3 >/dev/null
        git bisect run sh -c "! grep -q main README" | tail -n 1
        git bisect reset -q'
    both 'git restore --source=HEAD~2 --staged --worktree . && git reset -q --hard'
    both 'git switch -q -c topic && echo t >topic && git add topic &&
        git commit -qm topic && git switch -q main && git merge -q --no-ff -m t topic &&
        git branch -qd topic'
    both 'git archive HEAD | tar -t | sort | sha1sum'
    both 'git gc -q'
    both 'git sparse-checkout list || true'
}

# main of $W pushed, fetched by $C; what $C adds comes back by a rebase.
push_and_pull() {
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
}

# another work tree of $W's repository
work_tree_beside() {
    git -C "$W" worktree add -q "$SCRATCH/wt" -b beside
    echo 1 >>"$SCRATCH/wt/README"
    assert_eq "$(git -C "$SCRATCH/wt" status --short)" " M README" \
        "other work tree"
    git -C "$SCRATCH/wt" commit -qam beside
    assert_eq "$(git -C "$SCRATCH/wt" status --short)" "" "after its commit"
    assert_eq "$(git -C "$W" log -1 --format=%s beside)" beside "its commit"
    git -C "$W" worktree remove --force "$SCRATCH/wt"
    git -C "$W" branch -q -D beside
    same_state "a work tree beside"
}
