#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance checks hold on two native directories: they ask for nothing
# a local file system does not do. And they find a broken one.
# timeout: 300
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
need_good_twin
requires git python3
[ -x "$POSIX_OPS" ] || fail "make tools"

seed_repo "$SCRATCH/repo"
plain_tree "$SCRATCH/repo" "$SCRATCH/a"
plain_tree "$SCRATCH/repo" "$SCRATCH/b"
mkdir "$SCRATCH"/{c,d}
run_posix_ops -s lower "$SCRATCH/a" "$SCRATCH/b" 'lower_*'
run_posix_ops -x 'list_large' "$SCRATCH/c" "$SCRATCH/d" '[!l]*' 'l[!o]*'
assert_eq "$(ls "$SCRATCH/c")" "" "left behind"

# a tree that is not the prepared one is noticed
plain_tree "$SCRATCH/repo" "$SCRATCH/e"
plain_tree "$SCRATCH/repo" "$SCRATCH/f"
printf x | dd of="$SCRATCH/e/lower/lower_read/f65537" bs=1 seek=65000 \
    conv=notrunc status=none
assert_fails "$POSIX_OPS" -s lower "$SCRATCH/e" "$SCRATCH/f" lower_read
assert_contains "$OUTPUT" "not ok lower_read: f65537"
assert_contains "$OUTPUT" "wrong byte at 65000"
