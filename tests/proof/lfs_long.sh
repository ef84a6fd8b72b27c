#!/bin/bash
# timeout: 3600
# Git LFS at length: an object of 1 GiB read at random offsets while its transfer
# breaks off, and 10 000 small objects. LFS_GIB and LFS_SMALL make it shorter.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
requires fuse

size=$((${LFS_MIB:-1024} << 20))
count=${LFS_SMALL:-10000}
big=$(mktemp -d -p /var/tmp)
at_exit rm -rf "$big"
mkdir "$SCRATCH/www"
start_lfs_server "$SCRATCH/www" "$big/objects"
SRC=$big/src
lfs_seed "$SRC"
lfs_big "$SRC" "$((size >> 20))" "$count"
git_commit "$SRC" big
lfs_publish "$SRC" origin
rm -rf "$SRC/.git/lfs"
lfs_reset
write_config "$big"
start_daemon
mount_source "$LFS_URL/origin.git" "$SCRATCH/m"

note "the size, without a download"
assert_eq "$(stat -c %s "$SCRATCH/m/big.bin")" "$size" size
assert_eq "$(lfs_stat downloads)" 0 downloads

note "random offsets; the transfer breaks off three times"
lfs_fault "{\"kind\": \"cut\", \"after\": $((size / 5)), \"times\": 3,
    \"oid\": \"$(oid_of "$SRC/big.bin")\"}"
start_ms=$(now_ms)
python3 - "$SCRATCH/m/big.bin" "$SRC/big.bin" <<'END'
import os, random, sys
a, b = (os.open(p, os.O_RDONLY) for p in sys.argv[1:])
size = os.fstat(b).st_size
assert os.fstat(a).st_size == size
r = random.Random(2)
for i in range(2000):
    at, n = r.randrange(size), r.randrange(1, 65536)
    assert os.pread(a, n, at) == os.pread(b, n, at), at
END
note "2000 random reads after $(($(now_ms) - start_ms)) ms"
assert_eq "$(lfs_stat ranges)" 3 "resumed transfers"
assert_eq "$(lfs_stat bytes)" "$size" "bytes sent"
cmp "$SCRATCH/m/big.bin" "$SRC/big.bin"

note "many small ones"
lfs_reset
start_ms=$(now_ms)
diff -r "$SCRATCH/m/many" "$SRC/many"
note "$count small objects in $(($(now_ms) - start_ms)) ms:" \
    "$(lfs_stat batches) batches, $(lfs_stat downloads) downloads"
assert_le "$(lfs_stat most)" 100 "objects in a batch"
assert_le "$(lfs_stat batches)" $((count / 20)) "batches"
lfs_obedient
