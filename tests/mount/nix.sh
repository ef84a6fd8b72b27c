#!/bin/bash
# timeout: 300
# Store paths of binary caches made by the real Nix, with listings and without:
# shown as Nix has them, hashes included; names that are not there; the root
# lists what was looked up; nothing is asked twice. NIX_COMPRESSIONS and
# NIX_FILES (small files of the tree): the rest is in tests/proof/nix.sh
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires fuse curl
nix_setup

nix_tree "$SCRATCH/tree" "${NIX_FILES:-300}"
printf one >"$SCRATCH/single"
printf '#!/bin/sh\necho yes\n' >"$SCRATCH/program"
chmod 755 "$SCRATCH/program"
ln -s target-of-link "$SCRATCH/slink"
mkdir "$SCRATCH/void"
all=()
for i in tree single program slink void; do
    all+=("$(nix_add "$SCRATCH/$i")")
done
tree=${all[0]}
nix_config
start_daemon
m=$SCRATCH/m

same() { # WHAT - every path as Nix has it
    local p
    for p in "${all[@]}"; do
        assert_eq "$(nix-store --dump "$m/$p" | sha256sum | cut -d' ' -f1)" \
            "$(nix_hash_of "$p")" "$1: hash of $p"
    done
    assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
    assert_mtimes "$m" 1
    assert_eq "$(find "$m" -mindepth 1 \( ! -user 0 -o ! -group 0 \) | wc -l)" 0 \
        "entries of other owners"
    assert_eq "$("$m/${all[2]}")" yes "a program that is a store path"
    assert_eq "$("$m/$tree/bin/run" it)" "ran it" "a program in one"
}

read -ra compressions <<<"${NIX_COMPRESSIONS:-xz zstd}"
for c in "${compressions[@]}"; do
    for params in "&x=1" "&write-nar-listing=true"; do
        rm -rf "$SCRATCH/cache"
        nix_cache "$SCRATCH/cache" "$c" "$params" "${all[@]}"
        mount_source "nix+file://$SCRATCH/cache" "$m"
        same "$c $params"
        scorpio_cli umount "$m"
        nix_forget
    done
done

# over HTTP: what is not there, what is listed, what is asked
start_cache "$SCRATCH/cache"
mount_source "nix+$NIX_URL" "$m"
assert_eq "$(ls "$m")" "" "the root, before anything was looked at"
for name in lock .links trash "${tree:0:32}" "${tree}x" x; do
    assert_fails stat "$m/$name"
    assert_contains "$OUTPUT" "No such file" "$name"
done
assert_eq "$(nix_requests "${tree:0:32}")" 2 "requests for one hash" # narinfo, ls
gone=00000000000000000000000000000000-gone
assert_fails stat "$m/$gone"
assert_contains "$OUTPUT" "No such file" "a path nobody has"
assert_eq "$(nix_requests "GET /${gone:0:32}.narinfo 404")" 1 "asked for it"
find "$m/$tree" -size +600k >/dev/null
assert_eq "$(nix_requests /nar/)" 0 "archives for a look at names and sizes"
assert_eq "$(ls "$m")" "$tree" "the root, after a look"
stat "$m/${all[1]}" >/dev/null
seen() { [ "$(find "$m" -mindepth 1 -maxdepth 1 | wc -l)" -eq 2 ]; }
wait_until 10 seen
assert_eq "$(stat -c %i "$m/$tree/..")" "$(stat -c %i "$m")" "the way up"
for i in 1 2 3 4 5 6 7 8; do
    cat "$m/$tree/sub/deep/n$i" "$m/$tree/sub/large" >/dev/null &
    readers[i]=$!
done
for i in "${readers[@]}"; do wait "$i"; done
same "over HTTP"
assert_eq "$(nix_requests "GET /nar/.* 20")" "${#all[@]}" "archives, each once"
assert_eq "$(grep '^GET /nar/' "$NIX_LOG" | sort | uniq -d | wc -l)" 0 "twice"
before=$(wc -l <"$NIX_LOG")
same "again"
assert_eq "$(wc -l <"$NIX_LOG")" "$before" "requests of a second pass"

# one store path as a source of its own; what a path is not
scorpio_cli umount "$m"
mount_source "nix+$NIX_URL" "$m" --rev "/nix/store/$tree"
assert_same_tree "$m" "$NIX_STORE/$tree"
scorpio_cli umount "$m"
mount_source "nix+$NIX_URL" "$m" --subdir "$tree/sub"
assert_same_tree "$m" "$NIX_STORE/$tree/sub"
scorpio_cli umount "$m"
assert_fails scorpio_cli mount "nix+$NIX_URL" "$m" --rev "${tree}x"
assert_fails scorpio_cli mount "nix+$NIX_URL" "$m" --rev "${all[1]}"
assert_contains "$OUTPUT" "not a directory"
assert_fails scorpio_cli mount "nix+$NIX_URL" "$m" --workspace w
assert_contains "$OUTPUT" "read-only"

# what was read stays readable without the cache, over a restart
mount_source "nix+$NIX_URL" "$m"
scorpio_cli umount "$m"
stop_daemon
stop "$NIX_PID" KILL || true
start_daemon
mount_source "nix+$NIX_URL" "$m"
same "without the cache"
assert_fails stat "$m/$gone"
assert_contains "$OUTPUT" "Input/output error" "never a false ENOENT"
note "as Nix has them, in: ${compressions[*]}"
