#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A binary cache 10 ms and 100 Mbit/s away (a relay: see the rows): 64 KiB out of
# the middle of a path of 512 MiB, and a build of which little is needed, lazily
# and by stock Nix.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/nix.sh"
requires curl cc jq
nix_setup
nix_writer
keys="$NIX_KEY $(cat "$SCRATCH/our.pk")"

# what there is: 8 files of 64 MiB; a builder, 20 000 small files, weight
mkdir -p "$SCRATCH/big"
for i in $(seq 8); do
    head -c $((${BENCH_NIX_LARGE:-536870912} / 8)) /dev/urandom >"$SCRATCH/big/blob$i"
done
big=$(nix_add "$SCRATCH/big")
shell='' data='' weight=''
nix_build_inputs 20000 "${BENCH_NIX_WEIGHT:-150000000}" 500

# the cache, and the way to it
write_config "$SCRATCH/server"
nix_role "$SCRATCH/kept" 'write_tokens = "main:w-main"' "sign_with = \"$SCRATCH/our.sk\""
quietly nix copy --store "$NIX_ROOT" \
    --to "$CACHE?compression=none&secret-key=$SCRATCH/sk" \
    "/nix/store/$big" "/nix/store/$shell" "/nix/store/$data" "/nix/store/$weight"
relay=$(free_port)
start relay python3 "$TESTLIB/delay_relay.py" "$relay" "${CACHE##*:}" 10 12500000
wait_until 10 grep -q ready "$SCRATCH/relay.log"
far=http://127.0.0.1:$relay
m=$SCRATCH/m

lazy_mount() { # [LINES] - a fresh daemon and store
    [ -z "${client:-}" ] || stop "$client" || true
    rm -rf "$SCRATCH/client/store"
    write_config "$SCRATCH/client"
    printf '[nix]\ntrusted_public_keys = "%s"\n%s\n' "$keys" "${1:-}" >>"$DAEMON_CONFIG"
    start_daemon
    client=$DAEMON_PID
    mount_source "nix+$far" "$m"
}
took() { row "$1" "$(metric scorpio_backend_bytes_total)" " bytes" "" \
    "$(metric scorpio_backend_requests_total) requests"; }
middle() {
    timed dd if="$m/$big/blob5" of="$SCRATCH/part" bs=65536 status=none count=1 \
        skip=$((${BENCH_NIX_LARGE:-536870912} / 16 / 65536))
    cmp "$SCRATCH/part" <(dd if="$SCRATCH/big/blob5" bs=65536 status=none count=1 \
        skip=$((${BENCH_NIX_LARGE:-536870912} / 16 / 65536))) || fail "the middle"
}
for how in content lazy; do
    lazy_mount "verify = \"$how\""
    middle
    row "64 KiB of 512 MiB, first touch, verify = $how" "$(calc "$SPENT * 1000" 0)" " ms" \
        200 "relay: 10 ms, 100 Mbit/s"
    took "the same, transferred"
    scorpio_cli umount "$m" >/dev/null
done
lazy_mount
timed find "$m/$data" -size +1M
row "find over 20 000 files, cold" "$(calc "$SPENT * 1000" 0)" " ms"
took "the same, transferred"
scorpio_cli umount "$m" >/dev/null
timed quietly nix copy --from "$far" --to "$SCRATCH/eager" --no-check-sigs "/nix/store/$big"
row "64 KiB of 512 MiB by stock Nix" "$(calc "$SPENT * 1000" 0)" " ms" "" "the whole path"
rm -rf "$SCRATCH/eager"

# -- a build ---------------------------------------------------------------------------
nix_expression bench
root=$SCRATCH/lazy
at_exit umount -l "$root/nix/store" "$root/nix/.scorpio/upper"
build() { quietly nix-build --store "$1" --no-out-link "$SCRATCH/e.nix"; }
lazily() {
    local begin now
    begin=$(now_ms)
    quietly scorpio_cli nix store "nix+$far" "$root"
    now=$(now_ms)
    STEPS="store $((now - begin)),"
    begin=$now
    quietly scorpio_cli nix --store "$root" register "$shell" "$data" "$weight"
    now=$(now_ms)
    STEPS+=" register $((now - begin)),"
    begin=$now
    build "$root"
    STEPS+=" nix-build $(($(now_ms) - begin)) ms"
}
lazy_mount
scorpio_cli umount "$m" >/dev/null
timed lazily
lazy=$SPENT
bytes=$(metric scorpio_backend_bytes_total)
row "a build, lazily" "$(calc "$lazy * 1000" 0)" " ms" "" \
    "$bytes bytes, $(metric scorpio_backend_requests_total) requests; $STEPS"
eagerly() {
    quietly nix copy --from "$far" --to "$SCRATCH/eager" --no-check-sigs \
        "/nix/store/$shell" "/nix/store/$data" "/nix/store/$weight"
    build "$SCRATCH/eager"
}
timed eagerly
all=0
for x in shell data weight; do
    p=${!x}
    nar=$(sed -n 's/^URL: //p' "$SCRATCH/kept/main/${p:0:32}.narinfo")
    all=$((all + $(stat -c %s "$SCRATCH/kept/main/$nar")))
done
row "the same eagerly" "$(calc "$SPENT * 1000" 0)" " ms" "" "$all bytes of archives"
row "eagerly / lazily, time" "$(calc "$SPENT / $lazy" 1)" "" ">6.5"
row "eagerly / lazily, bytes" "$(calc "$all / $bytes" 1)" "" ">42"
for what in "--verify --check-contents" --gc; do
    # shellcheck disable=SC2086
    timed quietly nix-store --store "$root" $what
    row "nix-store $what right afterwards" "$(calc "$SPENT * 1000" 0)" " ms"
done
