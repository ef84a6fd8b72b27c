#!/bin/bash
# timeout: 300
# Reading in the middle of large store paths: what is transferred of archives
# that are uncompressed, xz in blocks and zstd in frames; with a signed list of
# pieces from our own cache (each byte checked), over two of them, and without
# (verify = "lazy"); what was changed on the way is refused.
# NIX_LARGE: bytes of each of the two files
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires fuse curl xz zstd
nix_setup
nix_writer
large=${NIX_LARGE:-12000000}
mid=$((large / 2 / 65536 * 65536))
tool1='' tool2=''
mkdir -p "$SCRATCH/big/sub"
head -c "$large" /dev/urandom >"$SCRATCH/big/a"
head -c "$large" /dev/urandom >"$SCRATCH/big/sub/b"
echo small >"$SCRATCH/big/sub/small"
ln -s ../a "$SCRATCH/big/sub/z"
big=$(nix_add "$SCRATCH/big")
h=${big:0:32}
nix_cache "$SCRATCH/cache" none "&write-nar-listing=true" "$big"
info=$SCRATCH/cache/$h.narinfo
sed -i /^CA:/d "$info" # the signature counts
nar=$(sed -n 's/^URL: //p' "$info")
m=$SCRATCH/m

middle() { # FILE - 64 KiB out of the middle are right
    cmp <(dd if="$m/$big/$1" bs=65536 skip=$((mid / 65536)) count=1 status=none) \
        <(dd if="$SCRATCH/big/$1" bs=65536 skip=$((mid / 65536)) count=1 \
            status=none) || fail "the middle of $1"
}
nar_bytes() { # transferred of archives by the counting server
    awk '$2 ~ /\/nar\// { n += $4 } END { print n + 0 }' "$NIX_LOG"
}
fresh() { # an empty store
    scorpio_cli umount "$m" 2>/dev/null || true
    : >"$NIX_LOG"
    nix_forget
}

# -- by default nothing is shown before it was checked: all of it comes -------------
start_cache "$SCRATCH/cache"
nix_config
start_daemon
mount_source "nix+$NIX_URL" "$m"
middle sub/b
assert_le $((2 * large)) "$(nar_bytes)" "checked as a whole"
assert_eq "$(nix_requests pieces)" 0 "lists of pieces asked of who has none"
fresh

# -- verify = "lazy": parts, in each form that has parts ------------------------------
as() { # COMPRESSION FILE - the cache has the archive like that
    mkdir -p "$SCRATCH/as/nar"
    cp "$SCRATCH/cache/$h.ls" "$SCRATCH/cache/nix-cache-info" "$SCRATCH/as/"
    ln -f "$2" "$SCRATCH/as/nar/it"
    sed "s,^URL: .*,URL: nar/it,; s,^Compression: .*,Compression: $1,; /^FileHash/d;
        s,^FileSize: .*,FileSize: $(stat -c %s "$2")," "$info" >"$SCRATCH/as/$h.narinfo"
}
python3 "$TESTLIB/nix_seekable.py" "$SCRATCH/cache/$nar" "$SCRATCH/it.zst" 500000
xz -0 -T2 --block-size=1MiB -c "$SCRATCH/cache/$nar" >"$SCRATCH/it.xz"
zstd -q -1 -c "$SCRATCH/cache/$nar" >"$SCRATCH/it.one"
stop "$NIX_PID" || true
start_cache "$SCRATCH/as"
stop_daemon
nix_config 'verify = "lazy"'
start_daemon
for form in "none:$SCRATCH/cache/$nar" "xz:$SCRATCH/it.xz" "zstd:$SCRATCH/it.zst"; do
    as "${form%%:*}" "${form#*:}"
    mount_source "nix+$NIX_URL" "$m"
    middle sub/b
    got=$(nar_bytes)
    assert_le "$got" 3500000 "transferred of ${form%%:*}"
    note "${form%%:*}: $got bytes of $(stat -c %s "${form#*:}")," \
        "$(nix_requests .) requests"
    middle a
    assert_eq "$(cat "$m/$big/sub/small")" small
    assert_eq "$(readlink "$m/$big/sub/z")" ../a
    assert_le "$(nar_bytes)" $((large + 2000000)) "two middles"
    # all of it: checked then, and nothing comes twice
    assert_same_tree "$m/$big" "$NIX_STORE/$big"
    assert_le "$(nar_bytes)" $(($(stat -c %s "${form#*:}") + 2500000)) "all of it"
    assert_contains "$(scorpio_cli info "$m/$big/a")" "archive checked" "then"
    fresh
done
# one frame: it has to come whole
as zstd "$SCRATCH/it.one"
mount_source "nix+$NIX_URL" "$m"
middle sub/b
assert_le $((2 * large)) "$(nar_bytes)" "one frame"
assert_same_tree "$m/$big" "$NIX_STORE/$big"
# a cache that does not know Range
fresh
as none "$SCRATCH/cache/$nar"
nix_faults '[{"path": "nar/", "norange": true}]'
mount_source "nix+$NIX_URL" "$m"
assert_same_tree "$m/$big" "$NIX_STORE/$big"
# blocks and frames that are damaged
for form in "xz:$SCRATCH/it.xz" "zstd:$SCRATCH/it.zst"; do
    nix_faults "[{\"path\": \"nar/\", \"flip\": $((large * 3 / 2))}]"
    fresh
    as "${form%%:*}" "${form#*:}"
    mount_source "nix+$NIX_URL" "$m"
    # zstd has no checks of its own here: what all of it hashes to tells
    assert_fails cmp "$m/$big/sub/b" "$SCRATCH/big/sub/b"
done
nix_faults '[]'
scorpio_cli umount "$m"
stop_daemon
rm -rf "$DAEMON_STORE"

# -- our cache has signed lists: each part is checked -----------------------------------
role() { # DIR [LINES] - a daemon with the role in DIR; sets CACHE
    write_config "$1"
    nix_role "$1/kept" 'write_tokens = "main:w-main"' 'negative_ttl = 0' "${@:2}"
}
role "$SCRATCH/one" "sign_with = \"$SCRATCH/our.sk\""
one=$CACHE one_pid=$DAEMON_PID
nix copy --store "$NIX_ROOT" --to "$one?compression=none&secret-key=$SCRATCH/sk" \
    "/nix/store/$big" >"$SCRATCH/copy.out" 2>&1 || { cat "$SCRATCH/copy.out"; fail "nix copy"; }
role "$SCRATCH/two" "upstreams = \"$one\""
two=$CACHE
proven() { # URL [LINES] - a fresh mount that believes both keys
    scorpio_cli umount "$m" 2>/dev/null || true
    [ -z "${reader:-}" ] || stop "$reader" || true
    rm -rf "$SCRATCH/reader/store"
    write_config "$SCRATCH/reader"
    printf '[nix]\ntrusted_public_keys = "%s"\n%s\n' \
        "${keys:-$NIX_KEY $(cat "$SCRATCH/our.pk")}" "${2:-}" >>"$DAEMON_CONFIG"
    start_daemon
    reader=$DAEMON_PID
    mount_source "nix+$1" "$m"
}
for url in "$one" "$two"; do
    proven "$url"
    started=$(now_ms)
    middle sub/b
    note "64 KiB of $((2 * large)): $(metric scorpio_backend_bytes_total) bytes," \
        "$(metric scorpio_backend_requests_total) requests, $(($(now_ms) - started)) ms"
    assert_le "$(metric scorpio_backend_bytes_total)" 2500000 "from $url"
    assert_contains "$(scorpio_cli info "$m/$big/sub/b")" "each checked" "info"
    assert_eq "$(cat "$m/$big/sub/small")" small
done
# the second cache has not brought the archive for that
assert_eq "$(find "$SCRATCH/two/kept/main/nar" -name '*.nar' | wc -l)" 0 "archives"
assert_same_tree "$m/$big" "$NIX_STORE/$big"
# who does not believe our key checks all of it
keys=$NIX_KEY
proven "$one"
middle sub/b
assert_le $((2 * large)) "$(metric scorpio_backend_bytes_total)" "without the key"
unset keys
# changed on the disk of the cache: that part is refused, others are right
python3 - "$SCRATCH"/one/kept/main/nar/*.nar $((large * 3 / 2)) <<'EOF2'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([b[0] ^ 255]))
EOF2
proven "$one"
middle a
assert_fails dd if="$m/$big/sub/b" bs=65536 skip=$((mid / 65536)) count=2 \
    of="$SCRATCH/part" status=none
assert_contains "$OUTPUT" "Input/output error" "a changed part"
[ ! -s "$SCRATCH/part" ] || cmp -n "$(stat -c %s "$SCRATCH/part")" -i "0:$mid" \
    "$SCRATCH/part" "$SCRATCH/big/sub/b" || fail "a wrong byte"
# a list that was changed is not believed
python3 - "$SCRATCH"/one/kept/main/nar/.*.pieces <<'EOF2'
import sys
with open(sys.argv[1], "r+b") as f:
    f.write(b"x")
EOF2
proven "$one"
assert_fails cat "$m/$big/a"
# without a connection what was read is there
stop "$one_pid" || true
proven "$two"

# -- what is brought ahead ---------------------------------------------------------------
stop "$reader" || true
for i in 1 2; do # the same name twice, as after a rebuild
    rm -rf "$SCRATCH/tool"
    mkdir -p "$SCRATCH/tool/bin" "$SCRATCH/tool/share"
    head -c 3000000 /dev/urandom >"$SCRATCH/tool/bin/run"
    head -c 3000000 /dev/urandom >"$SCRATCH/tool/share/data"
    head -c 400000 /dev/urandom >"$SCRATCH/tool/share/used"
    declare "tool$i=$(nix_add "$SCRATCH/tool")"
done
mkdir -p "$SCRATCH/libs/lib"
head -c 2000000 /dev/urandom >"$SCRATCH/libs/lib/libx.so.1"
libs=$(nix_add "$SCRATCH/libs")
rm -rf "$SCRATCH/cache"
nix_cache "$SCRATCH/cache" none "&write-nar-listing=true" "$tool1" "$tool2" "$libs"
for i in "$tool1" "$tool2" "$libs"; do sed -i /^CA:/d "$SCRATCH/cache/${i:0:32}.narinfo"; done
# the second refers to the library
sed -i "s,^References:.*,References: $libs,; /^Sig:/d" "$SCRATCH/cache/${tool2:0:32}.narinfo"
start_cache "$SCRATCH/cache"
nix_config 'verify = "lazy"
require_signatures = false'
start_daemon
mount_source "nix+$NIX_URL" "$m"
cat "$m/$tool1/share/used" >/dev/null
head -c 10 "$m/$tool1/bin/run" >/dev/null
: >"$NIX_LOG"
head -c 10 "$m/$tool2/bin/run" >/dev/null
ahead() { [ "$(nix_requests "${libs:0:32}")" -eq 2 ] && [ "$(nix_requests /nar/)" -ge 3 ]; }
wait_until 20 ahead # what it refers to, and the head of its library
before=$(nix_requests .)
head -c 10 "$m/$libs/lib/libx.so.1" >/dev/null
cat "$m/$tool2/share/used" >/dev/null
assert_eq "$(nix_requests .)" "$before" "requests for what was brought ahead"
assert_le "$(nar_bytes)" 2500000 "and no more than that"
note "in parts, each checked"
