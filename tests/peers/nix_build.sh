#!/bin/bash
# timeout: 400
# The real Nix builds with dependencies that were never downloaded, in a chroot
# store and as the real /nix/store, with the sandbox and without; what Nix asks
# and cleans afterwards; eager bytes and time beside
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires root fuse curl cc jq
nix_setup

shell='' data='' weight=''
nix_build_inputs 200 "${NIX_WEIGHT:-30000000}"
# a path that refers to others
mkdir "$SCRATCH/top"
echo "/nix/store/$weight" >"$SCRATCH/top/needs"
top=$(nix_add "$SCRATCH/top")
printf '/nix/store/%s\n%s\n%s\n\n1\n/nix/store/%s\n' "$top" \
    "$(nix_hash_of "$top")" \
    "$(nix-store --dump "$NIX_STORE/$top" | wc -c)" "$weight" |
    nix-store --store "$NIX_ROOT" --load-db
nix_cache "$SCRATCH/cache" none "&write-nar-listing=true" "$shell" "$data" \
    "$weight" "$top"
start_cache "$SCRATCH/cache"
nix_config
start_daemon

root=$SCRATCH/lazy
store=$root/nix/store
at_exit umount -l "$store" "$root/nix/.scorpio/upper"

# -- a chroot store ---------------------------------------------------------------
scorpio_cli nix store "nix+$NIX_URL" "$root"
assert_eq "$(cat "$store/$data/many/n3")" "number 3" "through the overlay"
assert_fails scorpio_cli nix store "nix+$NIX_URL" "$root"
assert_contains "$OUTPUT" "overlay already" "twice"
: >"$NIX_LOG"
started=$(now_ms)
scorpio_cli nix --store "$root" register "$shell" "/nix/store/$data/many" "$top"
nix-store --store "$root" --check-validity "/nix/store/$weight" ||
    fail "what a path refers to is not registered"
sandboxes="true false"
unshare -Um true 2>/dev/null || sandboxes=false # a container that may not
for sandbox in $sandboxes; do
    nix_expression "$sandbox"
    out=$(nix-build --store "$root" --option sandbox "$sandbox" --no-out-link \
        "$SCRATCH/e.nix" 2>"$SCRATCH/build.err") || {
        cat "$SCRATCH/build.err"
        fail "the build, sandbox $sandbox"
    }
    assert_contains "$(cat "$root$out")" "$sandbox built with number 7"
    [ -e "$root/nix/.scorpio/upper/${out##*/}" ] || fail "$out is not ours"
done
lazy_ms=$(($(now_ms) - started))
assert_eq "$(nix_requests "/nar/.*$(sed -n 's/^URL: nar.//p' \
    "$SCRATCH/cache/${weight:0:32}.narinfo")")" 0 "requests for the weight"
lazy_bytes=$(awk '{ n += $4 } END { print n + 0 }' "$NIX_LOG")
lazy_requests=$(wc -l <"$NIX_LOG")
assert_eq "$(find "$root/nix/.scorpio/upper/" -maxdepth 1 -name '*-weight')" "" \
    "copied up"

# -- what Nix asks ------------------------------------------------------------------
assert_eq "$(nix path-info --store "$root" -S "/nix/store/$top" | wc -l)" 1
assert_contains "$(nix-store --store "$root" -q --references "/nix/store/$top")" \
    "$weight" "references"
nix-store --store "$root" -r "/nix/store/$data" >/dev/null 2>&1 ||
    fail "nix-store -r of what is registered"
nix-store --store "$root" --verify --check-contents >"$SCRATCH/verify" 2>&1 || {
    cat "$SCRATCH/verify"
    fail "nix-store --verify --check-contents"
}
# hard links copy the lower layer up, but nothing is wrong afterwards
nix-store --store "$root" --optimise >"$SCRATCH/optimise" 2>&1 || {
    cat "$SCRATCH/optimise"
    fail "nix-store --optimise"
}
for i in "$data" "$shell" "$top"; do
    assert_eq "$(nix-store --dump "$store/$i" | sha256sum | cut -d' ' -f1)" \
        "$(nix_hash_of "$i")" "$i after --optimise"
done
assert_contains "$(scorpio_cli info "$root/nix/.scorpio/lower/$weight/blob")" \
    "signed by test-1" "info"

# -- realise-lazy keeps; garbage collection, and gc-clean ----------------------------
# the derivations made above refer to everything: they go first
assert_eq "$(scorpio_cli nix --store "$root" realise-lazy "$data")" \
    "/nix/store/$data" "realise-lazy prints"
nix-store --store "$root" --gc >"$SCRATCH/gc.out" 2>&1 || {
    cat "$SCRATCH/gc.out"
    fail "nix-store --gc"
}
[ -e "$store/$data/many" ] || fail "a kept path went"
[ ! -e "$store/$weight" ] || fail "garbage stayed"
[ -e "$root/nix/.scorpio/lower/$weight/blob" ] || fail "the mount lost it"
assert_fails scorpio_cli nix --store "$root" register "$weight"
assert_contains "$OUTPUT" "gc-clean" "it says what to do"
assert_contains "$(scorpio_cli nix --store "$root" gc-clean)" "can be seen again"
[ -e "$store/$weight/blob" ] || fail "gc-clean did not bring it back"
scorpio_cli nix --store "$root" register "$weight" "$shell"
assert_fails scorpio_cli nix --store "$root" register \
    00000000000000000000000000000000-gone

# -- a name that the overlay took for missing -----------------------------------------
printf late >"$SCRATCH/late"
late=$(nix_add "$SCRATCH/late")
[ ! -e "$store/$late" ] || fail "it is there already"
nix_cache "$SCRATCH/cache" none "$late"
scorpio_cli nix --store "$root" register "$late"
assert_eq "$(cat "$store/$late")" late "a path that came later"

# -- as the real /nix/store, in a mount namespace ---------------------------------------
for sandbox in $sandboxes; do
    nix_expression "real $sandbox"
    out=$(scorpio_cli nix run "$root" -- nix-build --option sandbox "$sandbox" \
        --no-out-link "$SCRATCH/e.nix" 2>"$SCRATCH/build.err") || {
        cat "$SCRATCH/build.err"
        fail "the build in /nix/store, sandbox $sandbox"
    }
    assert_contains "$(cat "$root$out")" "real $sandbox built with number 7"
done
assert_fails scorpio_cli nix run "$root" -- false
scorpio_cli nix umount "$root"
! mountpoint -q "$store" || fail "the overlay stayed"
[ -e "$root$out" ] || fail "what was built went with the mount"
# one command for all of it
scorpio_cli nix store "nix+$NIX_URL" "$root" -- cat "/nix/store/$late" \
    >"$SCRATCH/one"
assert_eq "$(cat "$SCRATCH/one")" late
! mountpoint -q "$store" || fail "it was not taken down"

# -- the same eagerly ---------------------------------------------------------------------
: >"$NIX_LOG"
started=$(now_ms)
nix copy --from "$NIX_URL" --to "$SCRATCH/eager" --no-check-sigs \
    "/nix/store/$shell" "/nix/store/$data" "/nix/store/$top" \
    >"$SCRATCH/eager.out" 2>&1 || {
    cat "$SCRATCH/eager.out"
    fail "nix copy"
}
nix_expression true
nix-build --store "$SCRATCH/eager" --no-out-link "$SCRATCH/e.nix" \
    >/dev/null 2>&1 || fail "the eager build"
note "eager: $(($(now_ms) - started)) ms, $(wc -l <"$NIX_LOG") requests," \
    "$(awk '{ n += $4 } END { print n + 0 }' "$NIX_LOG") bytes"
note "lazy (two builds): $lazy_ms ms, $lazy_requests requests, $lazy_bytes bytes"
[ "$((lazy_bytes * 5))" -lt "${NIX_WEIGHT:-30000000}" ] || fail "not lazy"
