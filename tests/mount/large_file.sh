#!/bin/bash
# timeout: 300
# A file of 300 MB: any range is right, the whole is right, and the daemon
# does not hold it in memory
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git python3 lighttpd

mib=${LARGE_MIB:-300} # tests/proof/huge_file.sh: several GiB
n=0
git_repo "$SCRATCH/repo"
# partly compressible, every block different
python3 - "$SCRATCH/repo/big" "$mib" <<'END'
import random, sys
rng = random.Random(7)
block = rng.randbytes(32768)
with open(sys.argv[1], "wb") as f:
    for i in range(int(sys.argv[2]) * 16):
        f.write(i.to_bytes(8, "big") + block[8:] + bytes([i & 255]) * 32768)
    f.write(b"the end")
END
git -C "$SCRATCH/repo" config core.bigFileThreshold 1m
git_commit "$SCRATCH/repo" big
publish "$SCRATCH/repo" big.git
start_git_server "$SCRATCH/www"
write_config
if [ "$mib" -gt 300 ]; then
    printf '[fs]\nrequest_timeout = "30m"\n[cache]\nmax_size = "50GiB"\n' \
        >>"$DAEMON_CONFIG"
fi
start_daemon
# what is its own: pages of packs and of the store's file come and go as the
# kernel likes
peak=$SCRATCH/peak
mkfifo "$SCRATCH/never"
daemon=$(daemon_process)
(
    max=0
    while anon=$(awk '/^RssAnon/ { print int($2 / 1024) }' \
        "/proc/$daemon/status" 2>/dev/null) && [ "$anon" ]; do
        [ "$anon" -le "$max" ] || { max=$anon && echo "$max" >"$peak"; }
        read -rt 0.05 <>"$SCRATCH/never" || true
    done
) &
STARTED+=($!)
rss() { cat "$peak"; }

for source in "$GIT_URL/big.git" "$SCRATCH/repo"; do
    m=$SCRATCH/m$((++n))
    mount_source "$source" "$m" --timeout 1800
    assert_eq "$(stat -c %s "$m/big")" $((mib * 1048576 + 7)) size
    assert_eq "$(tail -c 7 "$m/big")" "the end"
    cmp "$m/big" "$SCRATCH/repo/big" || fail "$source: content differs"
    for off in 0 1 65535 65536 65537 131071 10000001 \
        2147483000 4294967000 $((mib * 1048576 - 3)); do
        [ "$off" -lt $((mib * 1048576)) ] || continue
        cmp -n 70000 -i "$off" "$m/big" "$SCRATCH/repo/big" >/dev/null ||
            [ "$off" -gt $((mib * 1048576 - 70000)) ] ||
            fail "$source: range at $off differs"
    done
    note "$source: peak memory of the daemon $(rss) MiB"
done
case $SCORPIO_BUILD in
*/asan | */tsan) exit 0 ;; # their own memory hides ours
esac
assert_le "$(rss)" 150 "MiB of memory for a file of $mib MiB"
