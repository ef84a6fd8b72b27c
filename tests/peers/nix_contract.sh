#!/bin/bash
# timeout: 200
# The contract suite against a Nix binary cache: the whole cache, and single
# store paths, over HTTP and from a directory
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"
nix_setup

nix_tree "$SCRATCH/tree" 50
tree=$(nix_add "$SCRATCH/tree")
nix_cache "$SCRATCH/cache" zstd "&write-nar-listing=true" "$tree"
start_cache "$SCRATCH/cache"

contract() { # args of the program
    timeout 120 "$check" --scratch "$SCRATCH/scratch" \
        --config "trusted_public_keys=$NIX_KEY" "$@" >"$SCRATCH/out" 2>&1 || {
        cat "$SCRATCH/out"
        fail "the contract: $*"
    }
    tail -n1 "$SCRATCH/out"
}

contract "nix+$NIX_URL"
contract "nix+$NIX_URL" --rev "$tree"
contract "nix+file://$SCRATCH/cache" --rev "/nix/store/$tree"
