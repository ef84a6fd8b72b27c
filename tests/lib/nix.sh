# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by those who source this
#
# nix.sh - stores and binary caches made by the real Nix, below $SCRATCH.

nix_setup() {
    requires nix nix-store python3
    export HOME=$SCRATCH/home NIX_CONFIG="experimental-features = nix-command
sandbox = false
build-users-group =
substituters ="
    mkdir -p "$HOME"
    NIX_ROOT=$SCRATCH/nixroot # a chroot store
    NIX_STORE=$NIX_ROOT/nix/store
    nix-store --generate-binary-cache-key test-1 "$SCRATCH/sk" "$SCRATCH/pk"
    NIX_KEY=$(cat "$SCRATCH/pk")
}

nix_add() { # PATH - into the store; prints the base name
    local p
    p=$(nix-store --store "$NIX_ROOT" --add "$1") || fail "nix-store --add $1"
    printf '%s\n' "${p##*/}"
}

# nix_cache DIR COMPRESSION [PARAMS] BASE... - PARAMS begins with '&'
nix_cache() {
    local dir=$1 params="compression=$2" p paths=()
    shift 2
    case ${1:-} in "&"*) params+=$1 && shift ;; esac
    for p; do paths+=("/nix/store/$p"); done
    nix copy --store "$NIX_ROOT" --to \
        "file://$dir?$params&secret-key=$SCRATCH/sk" "${paths[@]}" \
        >"$SCRATCH/copy.out" 2>&1 || {
        cat "$SCRATCH/copy.out"
        fail "nix copy to $dir ($params)"
    }
}

nix_config() { # [LINES] - a configuration that trusts our key
    write_config
    printf '[nix]\ntrusted_public_keys = "%s"\nnegative_ttl = 0\n%s\n' \
        "$NIX_KEY" "${1:-}" >>"$DAEMON_CONFIG"
}

# start_cache DIR - the counting server; NIX_URL, NIX_LOG, NIX_FAULTS, NIX_PID
start_cache() {
    local name=cache$RANDOM
    NIX_LOG=$SCRATCH/$name.requests
    NIX_FAULTS=$SCRATCH/$name.faults
    : >"$NIX_LOG"
    echo '[]' >"$NIX_FAULTS"
    start "$name" python3 "$TESTLIB/nix_cache.py" "$1" "$SCRATCH/$name.port" \
        "$NIX_LOG" "$NIX_FAULTS"
    NIX_PID=$PID
    wait_until 20 test -s "$SCRATCH/$name.port"
    NIX_URL=http://127.0.0.1:$(cat "$SCRATCH/$name.port")
}

nix_faults() { # JSON
    printf '%s' "$1" >"$NIX_FAULTS.new"
    mv "$NIX_FAULTS.new" "$NIX_FAULTS"
}

nix_requests() { # REGEX - how many requests match "METHOD PATH STATUS BYTES RANGE"
    grep -cE "$1" "$NIX_LOG" || true
}

nix_hash_of() { # BASE - sha256 of the archive, as Nix knows it
    nix-store --dump "$NIX_STORE/$1" | sha256sum | cut -d' ' -f1
}

# forget - an empty store, a fresh daemon
nix_forget() {
    stop_daemon
    rm -rf "$DAEMON_STORE"
    start_daemon
}

# nix_tree DIR - everything an archive can hold
nix_tree() {
    local i
    mkdir -p "$1/bin" "$1/empty" "$1/sub/deep/er" "$1/sub/void"
    printf hello >"$1/file"
    : >"$1/nothing"
    printf '#!/bin/sh\necho ran "$1"\n' >"$1/bin/run"
    chmod 755 "$1/bin/run"
    head -c 700001 /dev/urandom >"$1/sub/large"
    head -c 65536 /dev/zero >"$1/sub/zeros"
    ln -s ../file "$1/sub/link"
    ln -s /no/where "$1/dangling"
    ln -s "$(printf 'x%.0s' $(seq 300))" "$1/sub/longlink"
    for i in $(seq "${2:-300}"); do echo "$i" >"$1/sub/deep/n$i"; done
    printf leaf >"$1/sub/deep/er/leaf"
    printf odd >"$1/sub/a b 'c' \"d\" \\e"
    printf odd >"$1/sub/$(printf 'new\nline')"
    printf odd >"$1/sub/übung"
    printf x >"$1/sub/$(printf 'n%.0s' $(seq 255))"
}
