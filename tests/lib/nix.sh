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

# nix_role DIR [LINES...] - a daemon with the role nixcache, which keeps what it has in
# DIR; LINES go to [nixcache]. DAEMON_CONFIG is there. Sets CACHE, its address.
nix_role() {
    local port dir=$1
    shift
    port=$(free_port)
    {
        printf '[nixcache]\nenabled = true\nlisten = "127.0.0.1:%s"\n' "$port"
        printf 'directory = "%s"\ntrusted_public_keys = "%s"\n' "$dir" "$NIX_KEY"
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >>"$DAEMON_CONFIG"
    start_daemon
    CACHE=http://127.0.0.1:$port
    poll_until 20 curl -fsS --noproxy '*' -o /dev/null "$CACHE/healthz" ||
        fail "the role nixcache does not answer"
}

# two caches, main and team, each with a token to write
nix_two_caches() { # [LINES...]
    nix_role "$SCRATCH/kept" 'caches = "main team"' 'negative_ttl = 0' \
        'write_tokens = "main:w-main team:w-team"' \
        "sign_with = \"$SCRATCH/our.sk\"" "$@"
}

nix_token() { # TOKEN - what stock Nix shows from now on
    printf 'machine 127.0.0.1 login x password %s\n' "$1" >"$SCRATCH/netrc"
}

# nix_writer - stock Nix has the token of main, and remembers no answer; the key of
# our own caches is our.sk, our.pk
nix_writer() {
    export NIX_CONFIG="$NIX_CONFIG
narinfo-cache-negative-ttl = 0
narinfo-cache-positive-ttl = 0
netrc-file = $SCRATCH/netrc
connect-timeout = 20"
    nix_token w-main
    nix-store --generate-binary-cache-key ours-1 "$SCRATCH/our.sk" "$SCRATCH/our.pk"
}

# nix_pull URL KEYS BASE - by stock Nix into a new store; prints its hash
nix_pull() {
    rm -rf "$SCRATCH/into"
    nix copy --from "$1" --to "$SCRATCH/into" --option trusted-public-keys "$2" \
        "/nix/store/$3" >"$SCRATCH/copy.out" 2>&1 || {
        cat "$SCRATCH/copy.out" >&2
        return 1
    }
    nix-store --dump "$SCRATCH/into/nix/store/$3" | sha256sum | cut -d' ' -f1
}

# nix_build_inputs FILES BYTES [PAD] - store paths for a build: a builder without
# libraries, FILES small files (PAD: with so many bytes more) of which it reads one,
# and BYTES that are only referred to. Sets shell, data, weight.
nix_build_inputs() {
    local i
    mkdir -p "$SCRATCH/shell/bin" "$SCRATCH/data/many" "$SCRATCH/weight"
    cat >"$SCRATCH/b.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
	char path[4096], text[256];
	FILE *in, *out;

	snprintf(path, sizeof(path), "%s/many/n7", getenv("data"));
	in = fopen(path, "r");
	out = fopen(getenv("out"), "w");
	if (!in || !out || !fgets(text, sizeof(text), in))
		return 1;
	fprintf(out, "%s built with %s of %s\n", getenv("word"), text,
		getenv("weight"));
	return fclose(out) ? 1 : 0;
}
END
    cc -O1 -static -o "$SCRATCH/shell/bin/sh" "$SCRATCH/b.c" || skip "no static libc"
    for i in $(seq "$1"); do
        {
            echo "number $i"
            [ -z "${3:-}" ] || printf '%0*d\n' "$3" "$i"
        } >"$SCRATCH/data/many/n$i"
    done
    head -c "$2" /dev/urandom >"$SCRATCH/weight/blob"
    shell=$(nix_add "$SCRATCH/shell")
    data=$(nix_add "$SCRATCH/data")
    weight=$(nix_add "$SCRATCH/weight")
}

# nix_expression WORD - a build of them, in $SCRATCH/e.nix
nix_expression() {
    cat >"$SCRATCH/e.nix" <<END
derivation {
  name = "made"; system = builtins.currentSystem; word = "$1";
  builder = builtins.storePath "/nix/store/$shell" + "/bin/sh";
  data = builtins.storePath "/nix/store/$data";
  weight = builtins.storePath "/nix/store/$weight";
}
END
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
