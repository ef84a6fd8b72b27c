#!/bin/bash
# timeout: 240
# How many requests reach the daemon: none in a warm pass, no LOOKUP in a walk,
# one READ a file. Counts do not suffer from a busy machine.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git python3

files=5000
git init -q --bare -b main "$SCRATCH/repo.git"
"$SCORPIO_SRC/tests/tools/gen_repo.py" $files |
    git -C "$SCRATCH/repo.git" fast-import --quiet
start_daemon
mount_source "$SCRATCH/repo.git" "$SCRATCH/m"
bench=$SCORPIO_BUILD/tools/bench_fs
[ -x "$bench" ] || skip "$bench is not built"

requests() { # [op]
    metric "scorpio_fuse_requests_total${1:+{op=\"$1\"\}}"
}

opens=$(requests)
"$bench" walk "$SCRATCH/m" >"$SCRATCH/walk1"
dirs=$(find "$SCRATCH/m" -type d | wc -l)
regular=$(find "$SCRATCH/m" -type f | wc -l)
assert_eq "$(find "$SCRATCH/m" ! -type d | wc -l)" $files
note "walk: $(($(requests) - opens)) requests for $dirs directories," \
    "$(requests lookup) lookups"
assert_le "$(requests lookup)" $((files / 100)) "LOOKUPs of a cold walk"
assert_le "$(requests readdirplus)" "$(awk "BEGIN { print $dirs * 2.2 }")" \
    "READDIRPLUS of a cold walk"

"$bench" list "$SCRATCH/m" >"$SCRATCH/list"
"$bench" read "$SCRATCH/list" >"$SCRATCH/read1"
note "read: $(requests read) READs for $regular files"
assert_le "$(requests read)" "$(awk "BEGIN { print $regular * 1.05 }")" \
    "READs of files in the first pass"

# second pass: from the kernel alone (three tries: a machine short of memory
# makes the kernel forget some)
least=1000000
for _ in 1 2 3; do
    before=$(requests)
    "$bench" walk "$SCRATCH/m" >"$SCRATCH/walk2"
    "$bench" read "$SCRATCH/list" >"$SCRATCH/read2"
    made=$(($(requests) - before))
    note "second walk and read: $made requests"
    [ $made -ge $least ] || least=$made
    [ $least -gt 12 ] || break
done
assert_le $least 12 "requests of a warm pass"
assert_eq "$(cut -d' ' -f2- "$SCRATCH/walk2")" "$(cut -d' ' -f2- "$SCRATCH/walk1")"
assert_eq "$(cut -d' ' -f2- "$SCRATCH/read2")" "$(cut -d' ' -f2- "$SCRATCH/read1")"

# names that are not there are remembered too
ls "$SCRATCH/m/nosuch" 2>/dev/null || true
before=$(requests)
for _ in 1 2 3 4 5; do ls "$SCRATCH/m/nosuch" 2>/dev/null || true; done
assert_le $(($(requests) - before)) 1 "requests for a name known to be absent"
