#!/bin/bash
# timeout: 300
# The contract suite against every built-in backend and the example plugin
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"

# a directory of everything there is
make_dir() { # DIR
    mkdir -p "$1/sub/deep/er" "$1/empty"
    printf 'content\n' >"$1/file"
    printf '#!/bin/sh\n' >"$1/run"
    chmod 755 "$1/run"
    : >"$1/nothing"
    head -c 300000 /dev/urandom >"$1/sub/large"
    printf 'leaf\n' >"$1/sub/deep/er/leaf"
    printf 'odd\n' >"$1/sub/$(printf 'new\nline \377 x')"
    ln -s file "$1/link"
    ln -s /no/where "$1/sub/dangling"
    mkfifo "$1/pipe"
    for i in $(seq 300); do echo "$i" >"$1/sub/deep/n$i"; done
}

# the same with a history
make_repo() { # DIR
    make_dir "$1"
    rm "$1/pipe"
    git -C "$1" init -q -b main
    git -C "$1" add -A
    git -C "$1" commit -q -m one
    echo changed >"$1/file"
    git -C "$1" commit -q -a -m two
    git -C "$1" tag v1 HEAD^
    git -C "$1" repack -a -d -q
}

ok=0
contract() { # args of the program
    local out=$SCRATCH/out.$((++ok))
    if ! timeout 120 "$check" --scratch "$SCRATCH/scratch" "$@" >"$out" 2>&1; then
        cat "$out"
        fail "the contract: $*"
    fi
    tail -n1 "$out"
}

make_dir "$SCRATCH/dir"
contract mem+demo
contract mem+demo --rev v2
contract 'mem+many?files=3000&dirs=10'
contract 'mem+demo?sizes=unknown'
contract 'mem+many?files=50&remote=1&delay_ms=5'
contract "dir+$SCRATCH/dir"
contract "$SCRATCH/dir"
contract "$SCORPIO_BUILD/plugins/hello.so" hello+world
if command -v git >/dev/null; then
    make_repo "$SCRATCH/repo"
    git clone -q --bare "$SCRATCH/repo" "$SCRATCH/bare.git"
    contract "$SCRATCH/repo"
    contract "$SCRATCH/repo" --rev v1
    contract "$SCRATCH/bare.git" --rev main:sub
fi
note "$ok sources keep to the contract"
