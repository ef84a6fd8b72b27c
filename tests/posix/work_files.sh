#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everyday tools in a workspace give what they give on the disk: tar, cp -a,
# mv, find, sed -i, patch, rm -r, with times, links and attributes
# shellcheck disable=SC2016 # both() expands
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
posix_tools
requires tar patch python3
small_mount

# an archive with everything tar keeps
src=$SCRATCH/src
seed_files "$src"
ln "$src/f65537" "$src/second"
ln "$src/f65537" "$src/d/third"
mkfifo "$src/fifo"
truncate -s 10M "$src/sparse"
printf end | dd of="$src/sparse" bs=1 seek=5000000 conv=notrunc status=none
chmod 2750 "$src/d"
chmod 600 "$src/one"
command -v setfattr >/dev/null && setfattr -n user.kept -v yes "$src/hello"
find "$src" -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +
tar -C "$src" --xattrs -S -cf "$SCRATCH/a.tar" .

both() { # CMD - in the mount and in its twin
    local d
    for d in "$M" "$TWIN"; do
        (cd "$d" && eval "$1") || fail "in $d: $1"
    done
    "$FSRAND" --compare "$M/x" "$TWIN/x" || fail "after: $1"
}
both 'mkdir x && tar --xattrs --numeric-owner -xpf "$SCRATCH/a.tar" -C x'
[ "$(stat -c %b "$M/x/sparse")" -lt 2000 ] || fail "tar -S wrote all zeros"
both 'cp -a x y && mv y x/copy'
both 'cp -r src docs Makefile x/ && mv x/docs/deep x/moved'
both 'cp --sparse=always x/sparse x/sparse2 && cp --reflink=auto x/big x/big2'
both 'mv x/wide x/wide2 && mv x/copy/wide x/wide'
both 'find x/moved -type f -exec sed -i s/1/one/g {} +'
both 'find x -name "w00*" -delete'
both 'printf "%s\n" "--- x/hello" "+++ x/hello" "@@ -1 +1,2 @@" " hello" "+world" |
    patch -s -p0'
both 'install -m 700 -D x/script x/new/dir/script && x/new/dir/script; [ $? = 7 ]'
both 'ln -sfn moved x/current && ln -f x/hello x/hello2'
both 'dd if=x/big of=x/part bs=64k skip=3 count=7 seek=2 conv=notrunc status=none'
both 'truncate -s 100 x/big2 && tee -a x/big2 <x/hello >/dev/null'
both 'sort -o x/sorted x/current/er/text9 && split -l 100 x/sorted x/piece.'
both 'rm -r x/copy x/wide2 x/odd'
# packed again, both archives are the same, byte by byte
for d in "$M" "$TWIN"; do
    (cd "$d/x" && find . -type f -newermt 2001-02-04 -exec touch -d @1000000 {} + &&
        find . -type d -exec touch -d @1000000 {} + &&
        find . -type l -exec touch -h -d @1000000 {} + &&
        find . -print0 | LC_ALL=C sort -z | tar --numeric-owner -cf - \
            --null --no-recursion -T - | sha256sum) >>"$SCRATCH/sums"
done
assert_eq "$(sort -u "$SCRATCH/sums" | wc -l)" 1 "sums of the archives"
rw_remount "$REPO" "$M"
"$FSRAND" --compare "$M/x" "$TWIN/x" || fail "after a new mount"
rm -r "$M/x"
[ ! -e "$M/x" ] || fail "rm -r left something"
