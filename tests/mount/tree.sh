#!/bin/bash
# A mount shows exactly what a checkout does: names, modes, links, contents,
# and the commit's time; by every way a repository can be reached.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git lighttpd

tricky_repo "$SCRATCH/repo"
publish "$SCRATCH/repo" repo.git
checkout "$SCRATCH/repo/.git" main "$SCRATCH/want"
checkout "$SCRATCH/repo/.git" v1 "$SCRATCH/want1"
start_git_server "$SCRATCH/www"
start_daemon

n=0
for source in "$SCRATCH/repo" "$SCRATCH/www/repo.git" \
    "git+file://$SCRATCH/www/repo.git" "$GIT_URL/repo.git" \
    "git+$GIT_URL/repo.git"; do
    n=$((n + 1))
    mount_source "$source" "$SCRATCH/m$n"
    assert_same_tree "$SCRATCH/m$n" "$SCRATCH/want"
    assert_mtimes "$SCRATCH/m$n" 1600001000
    scorpio_cli umount "$SCRATCH/m$n"
    is_mounted "$SCRATCH/m$n" && fail "$source: still mounted after umount"
done

# older revision beside the newer one, on one store
mount_source "$GIT_URL/repo.git" "$SCRATCH/new"
mount_source "$GIT_URL/repo.git" "$SCRATCH/old" --rev v1
assert_same_tree "$SCRATCH/old" "$SCRATCH/want1"
assert_same_tree "$SCRATCH/new" "$SCRATCH/want"
assert_mtimes "$SCRATCH/old" 1600000000

# nothing can be changed
for f in "$SCRATCH/new/empty" "$SCRATCH/new/fresh"; do
    (echo x >"$f") 2>/dev/null && fail "could write $f"
done
rm -f "$SCRATCH/new/empty" 2>/dev/null && fail "could remove a file"
mkdir "$SCRATCH/new/d" 2>/dev/null && fail "could make a directory"

# attributes that scripts rely on
cd "$SCRATCH/new"
assert_eq "$(stat -c %b large)" $((($(stat -c %s large) + 511) / 512)) blocks
assert_eq "$(stat -c %u:%g large)" "$(id -u):$(id -g)" owner
assert_eq "$(stat -f -c %T .)" fuseblk "" 2>/dev/null ||
    assert_eq "$(stat -f -c %T .)" fuse "filesystem type"
[ "$(find . -printf '%i\n' | sort | uniq -d | wc -l)" -eq 0 ] ||
    fail "two entries share an inode number"
assert_eq "$(readlink src/link)" main.c
assert_eq "$(readlink longlink | wc -c)" 1001
[ ! -e nosuch ] && [ ! -L nosuch ] || fail "a file that nobody made"
first=$(find . -printf '%i %P\n' | sort | sha1sum)
cd "$SCRATCH"
scorpio_cli umount "$SCRATCH/new"
mount_source "$GIT_URL/repo.git" "$SCRATCH/new"
second=$(cd "$SCRATCH/new" && find . -printf '%i %P\n' | sort | sha1sum)
assert_eq "$second" "$first" "inode numbers after mounting again"
