#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# How many requests a workspace costs: none in a warm pass, also where files
# were changed; one write(2) is one request
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git python3

files=3000
git init -q --bare -b main "$SCRATCH/repo.git"
"$SCORPIO_SRC/tests/tools/gen_repo.py" $files |
    git -C "$SCRATCH/repo.git" fast-import --quiet
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo.git" "$m" --rw
bench=$SCORPIO_BUILD/tools/bench_fs
[ -x "$bench" ] || skip "$bench is not built"

requests() { metric scorpio_fuse_requests_total; }

"$bench" walk "$m" >"$SCRATCH/walk"
"$bench" list "$m" >"$SCRATCH/list"
"$bench" read "$SCRATCH/list" >"$SCRATCH/read"
# the kernel marks the access time of what was read: one GETATTR each, once
before=$(requests)
"$bench" walk "$m" >"$SCRATCH/walk"
note "walk after the first read: $(($(requests) - before)) requests"
assert_le $(($(requests) - before)) $((files * 12 / 10 + 200)) \
    "requests of the walk after the first read"

mkdir "$m/made"
for i in $(seq 300); do echo "$i" >"$m/made/$i"; done
head -n 50 "$SCRATCH/list" | while read -r f; do echo x >>"$f"; done
"$bench" list "$m" >"$SCRATCH/list"
"$bench" walk "$m" >"$SCRATCH/walk"
"$bench" read "$SCRATCH/list" >"$SCRATCH/read"
"$bench" walk "$m" >"$SCRATCH/walk"
least=1000000
for _ in 1 2 3; do
    before=$(requests)
    "$bench" walk "$m" >"$SCRATCH/walk"
    "$bench" read "$SCRATCH/list" >"$SCRATCH/read"
    made=$(($(requests) - before))
    note "warm walk and read: $made requests"
    [ $made -ge $least ] || least=$made
    [ $least -gt 12 ] || break
done
assert_le "$least" 12 "requests of a warm pass over a changed tree"

exec 7>"$m/made/written"
before=$(requests)
for _ in $(seq 100); do echo line >&7; done
exec 7>&-
made=$(($(requests) - before))
note "100 writes: $made requests"
assert_le $made 110 "requests of 100 writes"
