#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1200
# Many workspaces of one source at once (WS_MANY, 25; tests/proof/ws_many.sh:
# 200): each has its own changes, all share one store, memory stays small, a
# killed daemon brings them all back.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git python3

many=${WS_MANY:-25}
git_repo "$SCRATCH/repo"
python3 - "$SCRATCH/repo" <<'END_PY'
import os, random, sys
random.seed(1)
for d in range(8):
    os.makedirs('%s/d%d' % (sys.argv[1], d))
    for f in range(50):
        with open('%s/d%d/f%d' % (sys.argv[1], d, f), 'wb') as out:
            out.write(random.randbytes(4000))
END_PY
git_commit "$SCRATCH/repo" files
start_daemon
api() { # METHOD PATH [BODY]
    curl -fsS --noproxy '*' -m 60 -X "$1" \
        ${3:+-H 'Content-Type: application/json' -d "$3"} \
        "$DAEMON_URL/api/v1$2"
}
rss() { # own memory, KiB
    awk '/^RssAnon|^RssShmem/ { s += $2 } END { print s }' \
        "/proc/$(daemon_process)/status"
}
waits() {
    metric scorpio_fuse_waits_total
}
store_kib() {
    find "$DAEMON_STORE" -name '*.mdb' -printf '%k\n' | awk '{ s += $1 }
        END { print s }'
}
mount_one() { # NUMBER
    api POST /mounts '{"source":"'"$SCRATCH/repo"'","dir":"'"$SCRATCH/m$1"'",
        "read_only":false,"workspace":"w'"$1"'"}' >/dev/null
}

mount_one 1
cat "$SCRATCH"/m1/d*/* >"$SCRATCH/all"
begin_rss=$(rss)
begin_store=$(store_kib)
begin=$(now_ms)
for ((i = 2; i <= many; i++)); do mount_one "$i"; done
took=$(($(now_ms) - begin))
mounted_rss=$(rss)
note "$((many - 1)) workspaces in $took ms, $((took / (many - 1))) ms each;" \
    "own memory $begin_rss -> $mounted_rss KiB," \
    "$(((mounted_rss - begin_rss) / (many - 1))) KiB each"

# every byte in every one of them, without asking the source once more
begin_waits=$(waits)
begin=$(now_ms)
for ((i = 2; i <= many; i++)); do
    cat "$SCRATCH/m$i"/d*/* | cmp - "$SCRATCH/all" || fail "content of $i"
done
assert_eq "$(waits)" "$begin_waits" "waits for the source by the others"
note "all files of all read in $(($(now_ms) - begin)) ms;" \
    "store $begin_store -> $(store_kib) KiB, own memory $(rss) KiB"
assert_le "$(store_kib)" $((begin_store * 12 / 10 + 1024)) "KiB of the store"
case $SCORPIO_BUILD in
*/asan | */tsan) ;; # their own memory hides ours
*) assert_le $(((mounted_rss - begin_rss) / (many - 1))) 200 \
    "KiB of memory for one workspace" ;;
esac

# each has its own changes
for ((i = 1; i <= many; i++)); do
    echo "$i" >"$SCRATCH/m$i/d0/f0"
    mkdir "$SCRATCH/m$i/own$i"
    rm "$SCRATCH/m$i/d1/f$((i % 50))"
done
left=$(printf "%049d" 0 | tr 0 x)
check_own() {
    for ((i = 1; i <= many; i++)); do
        assert_eq "$(cat "$SCRATCH/m$i/d0/f0")" "$i" "workspace $i"
        assert_eq "$(cd "$SCRATCH/m$i" && echo own*)" "own$i"
        assert_eq "$(find "$SCRATCH/m$i/d1" -type f -printf x)" "$left"
        [ ! -e "$SCRATCH/m$i/d1/f$((i % 50))" ] || fail "a file is back"
    done
}
check_own

# all of them again after kill -9
kill_daemon
begin=$(now_ms)
start_daemon
back() {
    [ "$(mount_count)" -eq "$many" ] && mount_answers "$SCRATCH/m$many"
}
mount_count() {
    api GET /mounts | python3 -c 'import json, sys
v = json.load(sys.stdin)
print(len(v if isinstance(v, list) else v["mounts"]))'
}
wait_until 120 back
note "all back $(($(now_ms) - begin)) ms after kill -9"
check_own
for ((i = 1; i <= many; i++)); do
    within 60 scorpio_cli -q umount "$SCRATCH/m$i" || fail "umount $i"
done
