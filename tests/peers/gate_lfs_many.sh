#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Stock git-lfs through the gateway at size: a large object pushed and fetched,
# a fetch that broke off goes on where it was, many small objects in batches,
# through a second gateway too; the daemon's memory stays as it is.
# GATE_LFS_MIB (24), GATE_LFS_SMALL (220): tests/proof/gate_lfs_long.sh
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"
. "$TESTLIB/gate.sh"
requires git git-lfs python3 curl

mib=${GATE_LFS_MIB:-24}
count=${GATE_LFS_SMALL:-220}
allow=${GATE_LFS_MEMORY:-65536} # KiB that the daemon's memory may grow
big=$(mktemp -d -p /var/tmp)
at_exit rm -rf "$big"
work=$big/work
git init -q --bare -b main "$big/bare.git"
git_repo "$work"
git -C "$work" lfs install --local >/dev/null
git -C "$work" lfs track '*.bin' >/dev/null
lfs_big "$work" "$mib" "$count"
git_commit "$work" big
oid=$(oid_of "$work/big.bin")

gate_memory() { awk '/^RssAnon/ { print $2 }' "/proc/$(daemon_process)/status"; }
# watch FILE - the most memory of the daemon from now on, in FILE
watch_memory() {
    local file=$1 most=0 now
    while now=$(gate_memory 2>/dev/null) && [ "$now" ]; do
        [ "$now" -le "$most" ] || echo "$((most = now))" >"$file"
        sleep 0.2
    done
}
timed() { # WHAT CMD... - and the memory it took
    local what=$1 from before pid=
    shift
    before=$(gate_memory)
    echo "$before" >"$SCRATCH/most"
    watch_memory "$SCRATCH/most" &
    pid=$!
    from=$(now_ms)
    "$@" >"$SCRATCH/out" 2>&1 || fail "$what: $(tail -n 20 "$SCRATCH/out")"
    note "$what: $(($(now_ms) - from)) ms; memory $before, at most $(cat "$SCRATCH/most") KiB"
    kill $pid
    wait $pid 2>/dev/null || true
    assert_le "$(cat "$SCRATCH/most")" $((before + allow)) "KiB of memory: $what"
}
lfs_at() { # URL DIR ARGS...
    local url=$1 dir=$2
    shift 2
    git -C "$dir" -c lfs.url="$url/.git/info/lfs" lfs "$@"
}
plain_clone() { # DIR
    GIT_LFS_SKIP_SMUDGE=1 git -c filter.lfs.process= -c filter.lfs.smudge= \
        -c filter.lfs.required=false clone -q --no-checkout \
        "$one/.git" "$1"
}

gateway "$SCRATCH/one" "$big/bare.git" 'push_token = "let-me"'
one=$GATE with=${GATE/\/\////me:let-me@}
timed "push of $mib MiB and $count objects" \
    lfs_at "$with" "$work" push "$with/.git" main
git -C "$work" push -q --no-verify "$with/.git" main
assert_eq "$(find "$big/bare.git/lfs/objects" -type f | wc -l)" $((count + 1))
cmp "$big/bare.git/lfs/objects/${oid:0:2}/${oid:2:2}/$oid" "$work/big.bin"

plain_clone "$big/c1"
timed "fetch of all" lfs_at "$one" "$big/c1" fetch
assert_eq "$(find "$big/c1/.git/lfs/objects" -type f | wc -l)" $((count + 1))
cmp "$big/c1/.git/lfs/objects/${oid:0:2}/${oid:2:2}/$oid" "$work/big.bin"

note "a fetch that breaks off on its way goes on where it was"
plain_clone "$big/c2"
port=$(free_port)
start relay python3 -B "$TESTLIB/delay_relay.py" "$port" "${one##*:}" 0 \
    $((mib << 18)) # four seconds for it
relay=$PID
wait_until 20 grep -q ready "$SCRATCH/relay.log"
git -C "$big/c2" -c lfs.url="http://127.0.0.1:$port/.git/info/lfs" \
    -c lfs.transfer.maxretries=1 lfs fetch -I big.bin >"$SCRATCH/broken" 2>&1 &
pid=$!
coming=$big/c2/.git/lfs/incomplete
quarter_there() { find "$coming" -type f -size +$((mib << 8))k | grep -q .; }
wait_until 60 quarter_there
stop "$relay" KILL || true
wait $pid && fail "it was through already"
part=$coming/$oid.part
[ -s "$part" ] || fail "nothing was kept: $(cat "$SCRATCH/broken")"
have=$(stat -c %s "$part")
GIT_TRACE=1 lfs_at "$one" "$big/c2" fetch -I big.bin >"$SCRATCH/out" 2>&1
grep -q "resume download of .* from byte $have" "$SCRATCH/out" ||
    fail "not resumed: $(grep -i xfer "$SCRATCH/out")"
note "resumed at $have of $((mib << 20)) bytes"
cmp "$big/c2/.git/lfs/objects/${oid:0:2}/${oid:2:2}/$oid" "$work/big.bin"
rm -rf "$big/c2" "$big/c1"

note "through a second gateway, which keeps them"
gateway "$SCRATCH/two" "mono+$one" "lfs_directory = \"$big/kept\""
plain_clone "$big/c3"
timed "fetch of all through two" lfs_at "$GATE" "$big/c3" fetch
cmp "$big/c3/.git/lfs/objects/${oid:0:2}/${oid:2:2}/$oid" "$work/big.bin"
assert_eq "$(find "$big/kept" -type f | wc -l)" $((count + 1))
