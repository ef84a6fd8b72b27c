#!/bin/bash
# timeout: 240
# A directory of 100 000 entries: complete, without duplicates, quick to search
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git

flat_repo "$SCRATCH/repo.git" 100000
start_daemon
mount_source "$SCRATCH/repo.git" "$SCRATCH/m"
assert_eq "$(cat "$SCRATCH/m/dir/f077777")" "file 77777"
find "$SCRATCH/m/dir" -type f -printf '%f %s\n' | sort >"$SCRATCH/got"
awk 'BEGIN { for (i = 0; i < 100000; i++)
    printf "f%06d %d\n", i, length("file " i) + 1 }' >"$SCRATCH/want"
cmp "$SCRATCH/want" "$SCRATCH/got" || fail "the listing differs"
# reading while listing, and an entry that is not there
for i in 000000 050000 099999; do
    assert_eq "$(cat "$SCRATCH/m/dir/f$i")" "file $((10#$i))"
done
[ ! -e "$SCRATCH/m/dir/f100000" ] || fail "one entry too many"
# a small buffer: many calls to go on from the middle
python3 - "$SCRATCH/m/dir" <<'END'
import os, sys
names = []
with os.scandir(sys.argv[1]) as it:
    for e in it:
        names.append(e.name)
        if len(names) % 20000 == 0:
            os.stat(os.path.join(sys.argv[1], e.name))
assert len(names) == len(set(names)) == 100000, (len(names), len(set(names)))
END
