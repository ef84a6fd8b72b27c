#!/bin/bash
# the files of a revision as git sees them when the server has to be asked: of
# every size around the borders of blocks and chunks, byte by byte
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git lighttpd python3

mkdir "$SCRATCH/www"
git_repo "$SCRATCH/src"
(
    cd "$SCRATCH/src" || exit 1
    # "blob SIZE" NUL stands before the content
    for n in 0 1 9 100 65523 65524 65525 65526 65535 65536 65537 131058 \
        131059 131060 131061 131072 200000 5000000; do
        head -c "$n" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv "$n" \
            -nosalt 2>/dev/null >"f$n" || head -c "$n" /dev/urandom >"f$n"
    done
    ln -s f1 link
    mkdir many
# shellcheck disable=SC2086
    for i in $(seq 600); do echo "$i" >many/$i; done
)
git_commit "$SCRATCH/src" sizes
git clone -q --bare "$SCRATCH/src" "$SCRATCH/www/origin.git"
start_git_server "$SCRATCH/www"
start_daemon
W=$SCRATCH/w
gitwork_mount "$GIT_URL/origin.git" "$W"
view=$(tail -n1 "$(git -C "$W" rev-parse --git-dir)/objects/info/alternates")

note "every object is listed, none was fetched, and nothing else is there"
listed=$(cd "$view" && find . -type f | tr -d ./ | LC_ALL=C sort)
wanted=$(git -C "$SCRATCH/src" ls-tree -r HEAD | awk '{ print $3 }' |
    LC_ALL=C sort -u)
assert_eq "$listed" "$wanted" "names"
assert_fails cat "$view/00/00000000000000000000000000000000000000"
assert_fails touch "$view/00/x"

note "and reads as git wants it"
git -C "$SCRATCH/src" ls-tree -r HEAD | awk '{ print $3 }' >"$SCRATCH/ids"
for r in "$W" "$SCRATCH/src"; do
    git -C "$r" cat-file --batch --buffer <"$SCRATCH/ids" | sha1sum
done | uniq | wc -l | grep -qx 1 || fail "git reads other bytes"
python3 - "$view" <<'END'
# with sizes that stat gives, in pieces of any length, and by zlib's check
import hashlib, os, random, sys, zlib
top = sys.argv[1]
for d in os.listdir(top):
    for name in os.listdir(f"{top}/{d}"):
        path = f"{top}/{d}/{name}"
        with open(path, "rb") as f:
            whole = f.read()
        assert len(whole) == os.stat(path).st_size, path
        plain = zlib.decompress(whole)
        assert hashlib.sha1(plain).hexdigest() == d + name, path
        fd = os.open(path, os.O_RDONLY)
        for _ in range(5):
            a = random.randrange(len(whole) + 1)
            n = random.randrange(70000)
            assert os.pread(fd, n, a) == whole[a:a + n], path
        os.close(fd)
END
git -C "$W" fsck --no-dangling

note "gone with the workspace"
within 60 scorpio_cli umount "$W"
[ ! -e "$view" ] || fail "$view is left"

note "a server that is away is an error of git's, not a wrong answer"
gitwork_mount "$GIT_URL/origin.git" "$W" --workspace again
scorpio_cli cache gc --target 1 >/dev/null || true
echo more >"$W/many/new"
git -C "$W" add -A
git -C "$W" commit -qm more
