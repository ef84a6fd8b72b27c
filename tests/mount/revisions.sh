#!/bin/bash
# Every way to name a revision works, and a wrong name is said so at once
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git lighttpd

tricky_repo "$SCRATCH/repo"
publish "$SCRATCH/repo" repo.git
start_git_server "$SCRATCH/www"
start_daemon

repo=$SCRATCH/repo
main=$(git -C "$repo" rev-parse main)
v1=$(git -C "$repo" rev-parse v1)
other=$(git -C "$repo" rev-parse other)
dir=$SCRATCH/m

shows() { # SOURCE REV COMMIT
    mount_source "$1" "$dir" --rev "$2"
    assert_eq "$(getfattr --only-values -n user.scorpio.rev "$dir" 2>/dev/null)" \
        "$3" "$1 at $2"
    assert_eq "$(cat "$dir/src/main.c")" "$(git -C "$repo" show "$3:src/main.c")"
    scorpio_cli umount "$dir"
}

requires getfattr
for source in "$repo" "$GIT_URL/repo.git"; do
    shows "$source" main "$main"
    shows "$source" HEAD "$main"
    shows "$source" v1 "$v1"
    shows "$source" v2 "$main"
    shows "$source" other "$other"
    shows "$source" refs/heads/other "$other"
    shows "$source" refs/tags/v1 "$v1"
    shows "$source" "$v1" "$v1"
done
for source in "$repo" "$GIT_URL/repo.git"; do
    shows "$source" "main~1" "$v1"
done
# what only a local repository can answer
shows "$repo" "${v1:0:10}" "$v1"

# a folder of the repository as the root
mount_source "$GIT_URL/repo.git" "$dir" --subdir src/deep
assert_eq "$(cat "$dir/a/b/c/d/e/f/file")" deepest
assert_eq "$(ls "$dir")" a
scorpio_cli umount "$dir"

# wrong names
for source in "$repo" "$GIT_URL/repo.git"; do
    for rev in nosuch "${v1:0:39}0" 0000000000000000000000000000000000000000 \
        'a b' '../x' '-x'; do
        assert_fails within 20 scorpio_cli mount "$source" "$dir" "--rev=$rev"
        is_mounted "$dir" && fail "mounted in spite of revision $rev"
        case $rev in
        nosuch) assert_contains "$OUTPUT" nosuch "error text" ;;
        esac
    done
    assert_fails within 20 scorpio_cli mount "$source" "$dir" --subdir no/such
    assert_fails within 20 scorpio_cli mount "$source" "$dir" --subdir src/main.c
    assert_fails within 20 scorpio_cli mount "$source" "$dir" --subdir ../x
done
