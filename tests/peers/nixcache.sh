#!/bin/bash
# timeout: 300
# The role nixcache with the real `nix copy` both ways: uploads in several
# compressions, pulled-through paths, tokens, named caches, signatures, ranges,
# what is refused, memory, and our own mount behind it
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires fuse curl jq xz
nix_setup
nix_writer
curl() { command curl -sS --noproxy '*' -m 60 "$@"; }
status() { curl -o "$SCRATCH/body" -w '%{http_code}' "$@"; }

nix_tree "$SCRATCH/tree" 60
tree=$(nix_add "$SCRATCH/tree")
printf one >"$SCRATCH/single"
single=$(nix_add "$SCRATCH/single")
mkdir "$SCRATCH/small"
small=()
for i in $(seq "${NIX_SMALL:-40}"); do
    echo "$i" >"$SCRATCH/small/s$i"
    small+=("/nix/store/$(nix_add "$SCRATCH/small/s$i")")
done
head -c "${NIX_LARGE:-30000000}" /dev/urandom >"$SCRATCH/large"
large=$(nix_add "$SCRATCH/large")

role() { # [LINES] - a daemon with the role; sets CACHE
    nix_config "whole_below = 0"
    nix_two_caches "$@"
}
role 'read_tokens = "team:r-team"'

push() { # URL BASE... - to a cache
    local url=$1 paths=() p
    shift
    for p; do paths+=("/nix/store/${p#/nix/store/}"); done
    nix copy --store "$NIX_ROOT" --to "$url" "${paths[@]}" >"$SCRATCH/copy.out" 2>&1
}

# -- uploads ----------------------------------------------------------------------
for c in ${NIX_COMPRESSIONS:-none xz zstd}; do
    rm -rf "$SCRATCH"/kept/main/*.narinfo "$SCRATCH"/kept/main/nar/*
    push "$CACHE?compression=$c&write-nar-listing=true" "$tree" "$single" || {
        cat "$SCRATCH/copy.out"
        fail "nix copy --to, $c"
    }
    assert_eq "$(nix_pull "$CACHE" "$(cat "$SCRATCH/our.pk")" "$tree")" \
        "$(nix_hash_of "$tree")" "$c there and back"
done
assert_contains "$(curl "$CACHE/${tree:0:32}.narinfo")" "Sig: ours-1:" "ours"
assert_contains "$(curl "$CACHE/nix-cache-info")" "StoreDir: /nix/store"
# the listing is made here, with places
assert_eq "$(curl "$CACHE/${tree:0:32}.ls" | jq .root.entries.file.size)" 5
assert_eq "$(curl "$CACHE/${tree:0:32}.ls" | jq '.root.entries.file.narOffset > 0')" true
push "$CACHE" "${small[@]}" || fail "many small paths"
assert_eq "$(find "$SCRATCH/kept/main" -name '*.narinfo' | wc -l)" \
    $((${#small[@]} + 2)) "descriptions"
push "$CACHE?compression=none" "$large" || fail "a large path"
assert_eq "$(nix_pull "$CACHE" "$(cat "$SCRATCH/our.pk")" "$large")" \
    "$(nix_hash_of "$large")" "a large path there and back"
rss=$(awk '/VmHWM/ { print $2 }' "/proc/$(daemon_process)/status")
note "most memory: $rss KiB, largest path ${NIX_LARGE:-30000000} bytes"
[ "$SLOW" != 1 ] || assert_le "$rss" 100000 "most memory, KiB"

# ranges
nar=$(curl "$CACHE/${large:0:32}.narinfo" | sed -n 's/^URL: //p')
size=$(stat -c %s "$SCRATCH/kept/main/$nar")
curl -r 5000000-5000999 "$CACHE/$nar" >"$SCRATCH/part"
cmp "$SCRATCH/part" <(dd if="$SCRATCH/kept/main/$nar" bs=1000 skip=5000 count=1 \
    status=none) || fail "a range"
assert_eq "$(status -r "$size-" "$CACHE/$nar")" 416 "beyond the end"
assert_eq "$(curl -r -10 "$CACHE/$nar" | wc -c)" 10 "the last ten"
assert_eq "$(curl -I "$CACHE/$nar" | tr -d '\r' | sed -n 's/^Content-Length: //p')" \
    "$size" "HEAD"

# -- what is refused ------------------------------------------------------------------
w=(-u x:w-main)
assert_eq "$(status -T "$SCRATCH/single" "$CACHE/nar/x.nar")" 401 "without a token"
assert_eq "$(status -u x:wrong -T "$SCRATCH/single" "$CACHE/nar/x.nar")" 401
assert_eq "$(status -u x:w-team -T "$SCRATCH/single" "$CACHE/nar/x.nar")" 401 \
    "another cache's token"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/single" "$CACHE/nar/x.nar")" 400 \
    "no archive"
nix-store --dump "$SCRATCH/single" >"$SCRATCH/good.nar"
bad=$(printf '0%.0s' $(seq 52)).nar
assert_eq "$(status "${w[@]}" -T "$SCRATCH/good.nar" "$CACHE/nar/$bad")" 400 \
    "a name that is another hash"
head -c 100 "$SCRATCH/good.nar" >"$SCRATCH/cut.nar"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/cut.nar" "$CACHE/nar/cut.nar")" 400 cut
head -c 100 /dev/zero | xz >"$SCRATCH/zero.xz"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/zero.xz" "$CACHE/nar/z.nar.xz")" 400
assert_eq "$(status "${w[@]}" -T "$SCRATCH/good.nar" "$CACHE/nar/.hidden.nar")" 400
assert_eq "$(status "${w[@]}" --path-as-is -T "$SCRATCH/good.nar" \
    "$CACHE/nar/..%2fx.nar")" 400 "a way out"
curl "$CACHE/${single:0:32}.narinfo" >"$SCRATCH/info"
sed 's/^NarSize: .*/NarSize: 128/' "$SCRATCH/info" >"$SCRATCH/lie"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/lie" "$CACHE/${single:0:32}.narinfo")" \
    400 "another NarSize"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/info" "$CACHE/${tree:0:32}.narinfo")" \
    400 "a description of another path"
sed 's/^References: .*/References: 00000000000000000000000000000000-x/' \
    "$SCRATCH/info" >"$SCRATCH/lie"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/lie" "$CACHE/${single:0:32}.narinfo")" \
    400 "a reference that is not here"
cmp "$SCRATCH/info" <(curl "$CACHE/${single:0:32}.narinfo") || fail "it changed"
printf 'a log' >"$SCRATCH/log"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/log" "$CACHE/log/x.drv")" 201 "a log"
assert_eq "$(curl "$CACHE/log/x.drv")" "a log"
assert_eq "$(status "${w[@]}" -T "$SCRATCH/log" \
    "$CACHE/realisations/sha256:00!out.doi")" 201 "a realisation"
assert_eq "$(status "$CACHE/00000000000000000000000000000000.narinfo")" 404

# a second cache, with a token to read as well
assert_eq "$(status "$CACHE/team/nix-cache-info")" 401 "a closed cache"
assert_eq "$(status -u x:r-team "$CACHE/team/nix-cache-info")" 200
nix_token w-team
push "$CACHE/team" "$single" || { cat "$SCRATCH/copy.out"; fail "to a named cache"; }
assert_eq "$(nix_pull "$CACHE/team" "$(cat "$SCRATCH/our.pk")" "$single")" \
    "$(nix_hash_of "$single")" "from a named cache"
assert_eq "$(status "$CACHE/nobody/nix-cache-info")" 404

# -- interrupted, and taken up again --------------------------------------------------------
relay=$(free_port)
slow() { # a link that can break
    start "relay$((++links))" python3 "$TESTLIB/delay_relay.py" "$relay" \
        "${CACHE##*:}" 1 $((${NIX_LARGE:-30000000} / 3))
    LINK=$PID
    wait_until 20 grep -q ready "$SCRATCH/relay$links.log"
}
links=0
halfway() { grep -q "^$((${NIX_LARGE:-30000000} >> 21)) MiB" "$SCRATCH/relay$links.log"; }
slow
nix copy --store "$NIX_ROOT" --to "http://127.0.0.1:$relay/team?compression=none" \
    "/nix/store/$large" >"$SCRATCH/copy.out" 2>&1 &
copy=$!
wait_until 60 halfway
stop "$copy" KILL || true
stop "$LINK" KILL || true
assert_eq "$(find "$SCRATCH/kept/team" -name "${large:0:32}*" -o -path '*/nar/*' \
    -size +1000k | wc -l)" 0 "what an upload that broke off leaves"
slow
push "http://127.0.0.1:$relay/team?compression=none" "$large" || {
    cat "$SCRATCH/copy.out"
    fail "the second try"
}
stop "$LINK" KILL || true
slow
rm -rf "$SCRATCH/into"
nix copy --from "http://127.0.0.1:$relay/team" --to "$SCRATCH/into" --option \
    trusted-public-keys "$(cat "$SCRATCH/our.pk")" "/nix/store/$large" \
    >"$SCRATCH/copy.out" 2>&1 &
copy=$!
wait_until 60 halfway
stop "$LINK" KILL || true
slow
wait "$copy" || { cat "$SCRATCH/copy.out"; fail "a download over a broken link"; }
assert_eq "$(nix-store --dump "$SCRATCH/into/nix/store/$large" | sha256sum | cut -d' ' -f1)" \
    "$(nix_hash_of "$large")" "a download that was taken up again"
stop "$LINK" || true

# -- pulled through, and a mount behind it stays lazy -------------------------------------
stop_daemon
nix_cache "$SCRATCH/up" xz "&write-nar-listing=true" "$tree"
nix_cache "$SCRATCH/up" none "&write-nar-listing=true" "$large"
nix_cache "$SCRATCH/up" none "$single"
start_cache "$SCRATCH/up"
rm -rf "$SCRATCH/kept"
role "upstreams = \"$NIX_URL\""
m=$SCRATCH/m
mount_source "nix+$CACHE" "$m"
find "$m/$large" "$m/$tree" -size +600k >/dev/null
assert_eq "$(nix_requests /nar/)" 0 "archives for a look, through two"
assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
assert_eq "$(nix_requests "GET /nar/")" 1 "archives, for one tree"
for i in 1 2 3 4; do
    pull_file=$(curl "$CACHE/${large:0:32}.narinfo" | sed -n 's/^URL: //p')
    curl -o "$SCRATCH/along$i" "$CACHE/$pull_file" &
    readers[i]=$!
done
for i in "${readers[@]}"; do wait "$i"; done
for i in 2 3 4; do cmp "$SCRATCH/along1" "$SCRATCH/along$i"; done
assert_eq "$(nix_requests "GET /nar/")" 2 "an archive, once for four"
assert_eq "$(nix_pull "$CACHE" "$NIX_KEY" "$large")" "$(nix_hash_of "$large")" \
    "with the upstream's signature"
# a range with a condition wants all of it, also of what is not here
pull_file=$(curl "$CACHE/${single:0:32}.narinfo" | sed -n 's/^URL: //p')
[ ! -e "$SCRATCH/kept/main/$pull_file" ] || fail "$pull_file is here already"
curl -H 'If-Range: "x"' -r 40-2000 "$CACHE/$pull_file" >"$SCRATCH/whole"
cmp "$SCRATCH/whole" "$SCRATCH/good.nar" || fail "a range with a condition"
# with all others gone
stop "$NIX_PID" KILL || true
assert_eq "$(nix_pull "$CACHE" "$NIX_KEY" "$tree")" "$(nix_hash_of "$tree")" "offline"
code=$(status "$CACHE/00000000000000000000000000000000.narinfo")
[ "$code" -ge 500 ] || fail "$code for what could not be asked"
note "there and back, in: ${NIX_COMPRESSIONS:-none xz zstd}"
