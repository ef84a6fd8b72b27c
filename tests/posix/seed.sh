#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The seed repository is what the lower checks expect. `seed.sh DIR` makes it
# in DIR and leaves it there (empty or absent DIR).
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires git python3
[ -x "$POSIX_OPS" ] || fail "make tools"

if [ $# -gt 0 ]; then
    seed_repo "$1"
    note "seed repository: $1"
    exit 0
fi
seed_repo "$SCRATCH/repo"
plain_tree "$SCRATCH/repo" "$SCRATCH/plain"
cd "$SCRATCH/plain"
assert_eq "$(stat -c %s tree/{empty,one,f4095,f65535,f65536,f65537,big} |
    xargs)" "0 1 4095 65535 65536 65537 3145728"
assert_eq "$(find tree/wide -type f | wc -l)" 2000
assert_eq "$(stat -c %a tree/script)" 755
assert_eq "$(readlink tree/link)" f4095
assert_eq "$(stat -c %Y tree/d/e)" "$COMMIT_TIME"
assert_eq "$(find lower -mindepth 1 -maxdepth 1 -type d | wc -l)" \
    "$("$POSIX_OPS" -l | wc -l)"
assert_eq "$(git -C "$SCRATCH/repo" rev-list --count HEAD)" 1
