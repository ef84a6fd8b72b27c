#!/bin/bash
# stock git that moves to another commit takes the workspace along: what git
# wrote is private no more, inode numbers and times stay, and a later `scorpio
# switch` sees no conflict; private changes stay private; nothing that programs
# see changes by it, also after kill -9
# shellcheck disable=SC2154 # git_dir: gitwork_pair
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git lighttpd python3

gitwork_seed "$SCRATCH/src"
(
    cd "$SCRATCH/src"
    git checkout -q -b feature HEAD~1
    mkdir -p fresh/deep/er
    for i in $(seq 40); do echo "$i" >"fresh/f$i"; done
    echo new >fresh/deep/er/f
    ln -s nowhere fresh/link
    echo feature >>lib/l.c
    git rm -q -r dir foo
    echo 'now a file' >foo
    git mv docs/.gitignore lib/.gitignore
    chmod +x a.txt
    git add -A
    git commit -qm feature
    git checkout -q main
)
gitwork_serve
start_daemon
FEATURE=$(git -C "$SCRATCH/src" rev-parse feature)
MAIN=$(git -C "$SCRATCH/src" rev-parse main)

shown() { getfattr --only-values -n user.scorpio.rev "$W"; }
shows() { [ "$(shown)" = "$1" ]; }
# All that programs could tell of the files.
look() {
    (cd "$W" && find . -name .git -prune -o -printf '%p %i %s %m %l %T@\n' |
        sort && find . -name .git -prune -o -type f -print0 | sort -z |
        xargs -0 sha256sum)
}
lacks() { # TEXT PART
    case $1 in
    *"$2"*) fail "$2 is in: $1" ;;
    esac
}
no_changes() { # WHAT
    assert_eq "$(changes 2>/dev/null | grep '^[AMDRTm]' || true)" "" "$1"
}
changes() { scorpio_cli status "$W"; }
upper_files() { find "$state/upper" -type f | wc -l; }

day() { # SOURCE
    gitwork_pair "$1"
    state=$(dirname "$git_dir")

    note "git switch: the workspace shows what git shows"
    git -C "$W" switch -q feature
    git -C "$C" switch -q feature
    before=$(look)
    exec 7<"$W/fresh/f1"
    wait_until 60 shows "$FEATURE"
    lacks "$(changes)" "fresh"
    no_changes "no private change"
    assert_eq "$(look)" "$before" "what programs see"
    assert_eq "$(cat <&7)" 1 "a file that was open"
    exec 7<&-
    wait_until 30 eval '[ "$(upper_files)" -le 1 ]' # .git
    same_state "git switch"

    note "and back, by either"
    git -C "$W" switch -q main
    git -C "$C" switch -q main
    wait_until 60 shows "$MAIN"
    same_state "and back"
    scorpio_cli switch "$W" feature >/dev/null
    git -C "$C" switch -q feature
    same_state "by scorpio switch"
    git -C "$W" reset -q --hard "$MAIN"
    git -C "$C" reset -q --hard "$MAIN"
    # no time to notice
    scorpio_cli switch "$W" "$FEATURE" >/dev/null
    git -C "$C" switch -q --detach "$FEATURE"
    assert_eq "$(shown)" "$FEATURE"
    same_state "reset --hard, then scorpio switch"
    git -C "$W" switch -q -C main "$MAIN"
    git -C "$C" switch -q -C main "$MAIN"
    same_state "main again"

    for d in "$W" "$C"; do # the reset moved it
        git -C "$d" branch -q -f feature "$FEATURE"
    done

    note "private changes are carried along, and stay"
    for d in "$W" "$C"; do
        echo mine >>"$d/lib/deep/er/numbers"
        rm "$d/dir/one.c"
        echo own >"$d/own"
        git -C "$d" stash -q -u
        git -C "$d" switch -q feature
        git -C "$d" stash pop -q 2>/dev/null || true
        git -C "$d" reset -q
    done
    wait_until 60 shows "$FEATURE"
    same_state "with changes"
    out=$(changes)
    assert_contains "$out" "lib/deep/er/numbers" "a change"
    assert_contains "$out" "own" "a change"
    lacks "$out" "lib/l.c"
    for d in "$W" "$C"; do
        git -C "$d" reset -q --hard
        git -C "$d" clean -qfd
    done
    no_changes "all gone"

    note "files written again as they were are no change, and no conflict"
    cp "$W/lib/l.c" "$SCRATCH/l.c"
    echo other >"$W/lib/l.c"
    cat "$SCRATCH/l.c" >"$W/lib/l.c"
    scorpio_cli switch "$W" main >/dev/null
    git -C "$C" switch -q -C main "$MAIN"
    git -C "$C" clean -qfd
    same_state "no false conflict"
    echo other >"$W/lib/l.c"
    assert_fails scorpio_cli switch "$W" feature
    assert_contains "$OUTPUT" "lib/l.c" "a true conflict"
    git -C "$W" checkout -q lib/l.c

    note "commits of one's own are none of the source: changes stay"
    git -C "$W" switch -q -c own
    echo more >>"$W/a.txt"
    git -C "$W" commit -qam own
    assert_contains "$(changes)" "a.txt" "committed here only"
    assert_eq "$(git -C "$W" status --porcelain)" "" "for git it is clean"
    git -C "$W" switch -q main
    no_changes "back on main"

    note "written to while it is compared"
    git -C "$W" switch -q feature
    for i in $(seq 30); do
        echo "$i" >"$W/fresh/f1"
        echo 1 >"$W/fresh/f1"
        scorpio_cli status "$W" >/dev/null &
        echo 1 >"$W/fresh/f2"
        echo "late $i" >"$W/fresh/f2"
        wait $!
        assert_eq "$(cat "$W/fresh/f1" "$W/fresh/f2")" "1
late $i" "round $i"
    done
    git -C "$W" reset -q --hard

    note "killed: the same files at the next mount"
    for i in 1 2 3 4; do
        to=$FEATURE
        ((i % 2)) && to=$MAIN
        git -C "$W" checkout -q "$to"
        before=$(look | sed 's/ [0-9.]*$//')
        sleep "0.$((RANDOM % 5))"
        stop_daemon KILL
        unmount_lazily "$W"
        start_daemon
        poll_until 20 is_mounted "$W" || fail "the mount did not come back"
        wait_git "$W"
        assert_eq "$(look | sed 's/ [0-9.]*$//')" "$before" "after a kill"
        assert_eq "$(git -C "$W" rev-parse HEAD)" "$to" "HEAD after a kill"
        git -C "$C" checkout -q "$to"
        same_state "a kill"
        changes >/dev/null
        assert_eq "$(shown)" "$to" "it follows later, then"
    done
    within 60 scorpio_cli umount "$W" >/dev/null
    scorpio_cli workspace remove "$(basename "$state")" >/dev/null 2>&1 ||
        true
}

note "== a repository of this machine"
day "$SCRATCH/www/origin.git"
note "== a repository on a server"
day "$GIT_URL/origin.git"
