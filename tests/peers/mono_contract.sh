#!/bin/bash
# timeout: 300
# The contract suite against a Mono server: the strict stand-in as it is, without
# HEAD, with the extra fields of a gateway, with a login
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires git python3 curl
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"

contract() { # args of the program
    local out=$SCRATCH/out
    timeout 200 "$check" --scratch "$SCRATCH/scratch" "$@" "mono+$MONO_URL" \
        >"$out" 2>&1 || {
        cat "$out"
        fail "the contract: $*"
    }
    tail -n1 "$out"
    mono_blameless
    stop "$MONO_PID" || true
}

start_mono
contract
start_mono --no-head
contract --rev v1
start_mono --no-length --no-range --extras
# a Range is not sent to a server that was never asked for a size
contract --case list-walk --case fetch-ids
start_mono --extras
contract
start_mono --token s3cret
contract --config token=s3cret
