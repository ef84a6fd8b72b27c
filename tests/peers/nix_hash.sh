#!/bin/bash
# timeout: 120
# scorpio nix hash: as the real Nix computes it, of plain directories, of files,
# of read-only mounts (remembered) and of workspaces with changes
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires fuse git jq
nix_setup
write_config
nix_role "$SCRATCH/kept" 'write_tokens = "main:w"'
export SCORPIO_NIX_TOKEN=w

same() { # PATH
    assert_eq "$(scorpio_cli nix hash --base32 "$1" | cut -d' ' -f1)" \
        "sha256:$(nix-hash --type sha256 --base32 "$1")" "the hash of $1"
    assert_eq "$(scorpio_cli nix hash "$1" | cut -d' ' -f1)" \
        "$(nix hash path "$1")" "as SRI"
    assert_eq "$(scorpio_cli --json nix hash "$1" | jq .narSize)" \
        "$(nix-store --dump "$1" | wc -c)" "the size of $1"
}

nix_tree "$SCRATCH/tree" 20
same "$SCRATCH/tree"
same "$SCRATCH/tree/file"
same "$SCRATCH/tree/dangling"
git_repo "$SCRATCH/repo"
cp -a "$SCRATCH/tree/." "$SCRATCH/repo/"
git_commit "$SCRATCH/repo" one
mount_source "$SCRATCH/repo" "$SCRATCH/m" --ro
same "$SCRATCH/m"
same "$SCRATCH/m/sub"
# the second time nothing is read
reads=$(metric 'scorpio_fuse_requests_total{op="read"}')

scorpio_cli nix hash "$SCRATCH/m/sub" >/dev/null
assert_eq "$(metric 'scorpio_fuse_requests_total{op="read"}')" "$reads" "reads"
# as a source path in a cache: Nix takes it from there, and does not walk the mount
path=$(scorpio_cli nix push --name src "$SCRATCH/m/sub" "$CACHE")
assert_eq "$(scorpio_cli nix push --name src "$SCRATCH/m/sub" "$CACHE/")" "$path" "again"
nix copy --from "$CACHE" --to "$SCRATCH/into" "$path" >"$SCRATCH/copy.out" 2>&1 || {
    cat "$SCRATCH/copy.out"
    fail "nix copy of what was pushed"
}
assert_eq "$(nix-hash --type sha256 "$SCRATCH/into$path")" \
    "$(nix-hash --type sha256 "$SCRATCH/m/sub")" "what was pushed"
reads=$(metric 'scorpio_fuse_requests_total{op="read"}')
expr="builtins.path { path = $SCRATCH/m/sub; name = \"src\"; sha256 = \"$(
    scorpio_cli nix hash "$SCRATCH/m/sub" | cut -d' ' -f1)\"; }"
assert_contains "$(nix-instantiate --store "$SCRATCH/into" --eval -E "$expr" 2>&1)" "$path" \
    "builtins.path"
assert_eq "$(metric 'scorpio_fuse_requests_total{op="read"}')" "$reads" "reads of the mount"
SCORPIO_NIX_TOKEN=x assert_fails scorpio_cli nix push "$SCRATCH/m" "$CACHE"
assert_contains "$OUTPUT" "token" "why not"
mount_source "$SCRATCH/repo" "$SCRATCH/w" --rw
same "$SCRATCH/w/sub"
echo changed >"$SCRATCH/w/sub/zeros"
same "$SCRATCH/w/sub"
mkfifo "$SCRATCH/w/sub/pipe"
assert_fails scorpio_cli nix hash "$SCRATCH/w/sub"
assert_contains "$OUTPUT" "neither file" "what Nix cannot hold"
