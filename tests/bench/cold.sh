#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The store has everything, the kernel nothing. Two sorts: "remounted" (names
# and contents forgotten by the kernel, the file that holds them still in the
# page cache: both for ext4's image and for the store) and "dropped" (that file
# taken out of the page cache too; the daemon restarted for it).
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

bench_tree
image=$FIXTURES/bench-ext4-$BENCH_TREE.img
EXT4=$SCRATCH/ext4
if [ ! -e "$image" ]; then
    ext4_image "$image.new" 4096 "$EXT4"
    cp -a "$TREE" "$EXT4/tree"
    # 1 GiB that compresses somewhat, as large files do
    python3 - "$EXT4/large" <<'END'
import random, sys
rng = random.Random(3)
block = rng.randbytes(1 << 15)
with open(sys.argv[1], "wb") as f:
    for i in range(16384):
        f.write(i.to_bytes(8, "big") + block[8:] + bytes([i & 255]) * (1 << 15))
END
    umount "$EXT4"
    mv "$image.new" "$image"
fi
mkdir -p "$EXT4"
mount -o loop,noatime,ro "$image" "$EXT4"
start_daemon
show "$REPO"
"$BENCH_FS" list "$MNT" >"$SCRATCH/list.scorpio"
"$BENCH_FS" list "$EXT4/tree" >"$SCRATCH/list.ext4"
"$BENCH_FS" read "$SCRATCH/list.scorpio" | cut -d' ' -f3- >"$SCRATCH/sum1"
"$BENCH_FS" read "$SCRATCH/list.ext4" | cut -d' ' -f3- >"$SCRATCH/sum2"
cmp "$SCRATCH/sum1" "$SCRATCH/sum2" || fail "the trees differ"
entries=$("$BENCH_FS" walk "$MNT" | cut -d' ' -f2)
files=$(wc -l <"$SCRATCH/list.scorpio")

remount_ext4() {
    umount "$EXT4"
    [ "${dropping:-}" ] && drop "$image"
    mount -o loop,noatime,ro "$image" "$EXT4"
    return 0
}
remount_scorpio() {
    hide
    if [ "${dropping:-}" ]; then
        local f
        stop_daemon
        find "$DAEMON_STORE" -type f -size +64k | while read -r f; do
            drop "$f"
        done
        start_daemon
    fi
    show "$SOURCE"
}
SOURCE=$REPO
# pass VERB ARGS... - the seconds of one pass
pass() { SPENT=$("$BENCH_FS" "$@" | cut -d' ' -f1); }
L=$SCRATCH/list
walk_ext4() { remount_ext4; pass walk "$EXT4/tree"; }
walk_scorpio() { remount_scorpio; pass walk "$MNT"; }
read_ext4() { remount_ext4; pass read "$L.ext4"; }
read_scorpio() { remount_scorpio; pass read "$L.scorpio"; }
read2_ext4() { remount_ext4; pass read "$L.ext4" 2; }
read2_scorpio() { remount_scorpio; pass read "$L.scorpio" 2; }

requests0=$(metric scorpio_fuse_requests_total)
rounds "$ROUNDS" walk_ext4 walk_scorpio
ratio "remounted: full walk with lstat / ext4" walk_scorpio walk_ext4 "<= 1.50"
row "remounted: entries walked per second" \
    "$(calc "$entries / $(median walk_scorpio)" 0)" "/s" ">= 60000"
row "requests per entry walked" "$(calc "($(metric scorpio_fuse_requests_total) \
    - $requests0) / $ROUNDS / $entries" 3)"
reads=$(metric 'scorpio_fuse_requests_total{op="read"}')
rounds "$ROUNDS" read_ext4 read_scorpio
ratio "remounted: full read / ext4" read_scorpio read_ext4 "<= 1.30"
row "READs per file in a first pass" "$(calc "($(metric \
    'scorpio_fuse_requests_total{op="read"}') - $reads) / $ROUNDS / $files" 3)" \
    "" "<= 1.05"
rounds 3 read2_ext4 read2_scorpio
ratio "remounted: full read by two processes / ext4" read2_scorpio read2_ext4
dropping=1
rounds 3 walk_ext4 walk_scorpio
ratio "dropped: full walk with lstat / ext4" walk_scorpio walk_ext4 "<= 1.50"
rounds 3 read_ext4 read_scorpio
ratio "dropped: full read / ext4" read_scorpio read_ext4 "<= 1.30"
dropping=

# one large file
large=$FIXTURES/bench-large.git
if [ ! -e "$large" ]; then
    git init -q --bare -b main "$large.new"
    {
        printf 'commit refs/heads/main\ncommitter T <t@example.org> 1700000000 +0000\n'
        printf 'data 1\nx\nM 100644 inline large\ndata %s\n' "$(stat -c %s "$EXT4/large")"
        cat "$EXT4/large"
    } | git -C "$large.new" -c core.bigFileThreshold=1m fast-import --quiet
    mv "$large.new" "$large"
fi
SOURCE=$large
remount_scorpio
seq_ext4() { remount_ext4; pass seq "$EXT4/large"; }
seq_scorpio() { remount_scorpio; pass seq "$MNT/large"; }
rand_ext4() { remount_ext4; pass random "$EXT4/large" 2000; }
rand_scorpio() { remount_scorpio; pass random "$MNT/large" 2000; }
warm_ext4() { pass seq "$EXT4/large"; }
warm_scorpio() { pass seq "$MNT/large"; }
seq_scorpio # brings it into the store
rounds 3 seq_ext4 seq_scorpio
ratio "1 GiB file, remounted: sequential / ext4" seq_scorpio seq_ext4 "<= 1.50"
rounds 3 warm_ext4 warm_scorpio
ratio "1 GiB file, warm: sequential / ext4" warm_scorpio warm_ext4 "<= 3.20"
rounds 3 rand_ext4 rand_scorpio
row "1 GiB file, remounted: random 4 KiB" \
    "$(calc "$(median rand_scorpio) * 1000000 / 2000" 1)" " us" "" \
    "ext4 $(calc "$(median rand_ext4) * 1000000 / 2000" 1) us"
SOURCE=$REPO
remount_scorpio
trip=$("$BENCH_FS" lstat "$SCRATCH/list.scorpio" | awk '{ print $1 / $2 * 1e6 }')
row "one request's time (cold lstat of each file)" "$(calc "$trip" 1)" " us"
umount "$EXT4"
