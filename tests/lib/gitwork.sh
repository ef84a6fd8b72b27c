# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
#
# gitwork.sh - for tests of stock git in workspaces; after functions.sh. $W is
# the workspace, $C a plain clone that gets the same.

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
        cd "$1"
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
        cd "$1"
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
