#!/bin/bash
# Programs use the mount as any directory: run from it, map it, read it from
# many processes, copy it, build from it
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git tar

tricky_repo "$SCRATCH/repo"
cp /bin/true "$SCRATCH/repo/bin/true"
seq 1 3000000 >"$SCRATCH/repo/mapped"
printf 'all: out\nout: $(S)/src/main.c\n\tcp $< out\n' >"$SCRATCH/repo/Makefile"
git_commit "$SCRATCH/repo" programs 1600002000
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m"

"$m/bin/true" || fail "a program in the mount does not run"
assert_eq "$("$m/bin/tool")" "ran $m/bin/tool"
assert_eq "$("$m/dirlink/tool")" "ran $m/dirlink/tool"
[ ! -x "$m/src/main.c" ] || fail "a plain file is executable"
bench=$SCORPIO_BUILD/tools/bench_fs
if [ -x "$bench" ]; then
    assert_eq "$("$bench" mmap "$m/mapped" | cut -d' ' -f2-)" \
        "$("$bench" mmap "$SCRATCH/repo/mapped" | cut -d' ' -f2-)" "mapped file"
    # small random reads, not one before another
    assert_eq "$("$bench" random "$m/large" 500 | cut -d' ' -f2-)" \
        "$("$bench" random "$SCRATCH/repo/large" 500 | cut -d' ' -f2-)"
fi

# many readers of the same cold files see the same bytes
mount_source "$SCRATCH/repo" "$SCRATCH/m2" --rev main
want=$(cd "$SCRATCH/repo" && cat large mapped chunk+1 | sha1sum)
readers=()
for i in 1 2 3 4 5 6 7 8; do
    (cd "$SCRATCH/m2" && cat large mapped chunk+1 | sha1sum) >"$SCRATCH/sum$i" &
    readers+=($!)
done
wait "${readers[@]}"
for i in 1 2 3 4 5 6 7 8; do
    assert_eq "$(cat "$SCRATCH/sum$i")" "$want" "reader $i"
done

mkdir "$SCRATCH/copy" "$SCRATCH/out"
cp -a "$m/." "$SCRATCH/copy"
assert_same_tree "$SCRATCH/copy" "$m"
tar -C "$m" -cf - . | tar -tf - | wc -l >"$SCRATCH/tarred"
assert_eq "$(cat "$SCRATCH/tarred")" "$(find "$m" -printf x | wc -c)" "entries in a tar"
# make sees the commit's time: nothing is rebuilt
(cd "$SCRATCH/out" && make -s -f "$m/Makefile" S="$m" &&
    make -q -f "$m/Makefile" S="$m") || fail "make would build again"

# busy: refused, said so, and still usable; lazily it goes
exec 7<"$m/large"
assert_fails within 20 scorpio_cli umount "$m"
assert_contains "$OUTPUT" "in use" "error text of a busy umount"
assert_contains "$OUTPUT" "(pid $$)" "who keeps it busy"
head -c 10 <&7 >/dev/null || fail "the refused umount broke the mount"
exec 7<&-
scorpio_cli umount "$m"
is_mounted "$m" && fail "still mounted"
exit 0
