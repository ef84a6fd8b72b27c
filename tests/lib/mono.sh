# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by those who source this
#
# mono.sh - a monorepo, repositories to import into it, and the strict stand-in
# for a Mono server. After functions.sh.

# mono_repo DIR - branch main, tag v1; names that want encoding, executables,
# symbolic links; the placeholders of /third-party/foo and /third-party/rust/bar
mono_repo() {
    local odd='odd +#%&=?'\''"é dir'
    git_repo "$1"
    mkdir -p "$1/project/deep/er" "$1/$odd/ x " "$1/third-party/foo" \
        "$1/third-party/rust/bar" "$1/third-party/own/dir"
    printf '#!/bin/sh\n' >"$1/run"
    chmod 755 "$1/run"
    : >"$1/nothing"
    head -c 300000 /dev/urandom >"$1/project/large"
    printf 'odd\n' >"$1/$odd/ x /a+b #1%41.c"
    printf 'space\n' >"$1/$odd/日本"
    ln -s nothing "$1/link"
    ln -s /no/where "$1/project/dangling"
    for i in $(seq 60); do echo "$i" >"$1/project/deep/n$i"; done
    printf '#!/bin/sh\n' >"$1/project/deep/er/x.sh"
    chmod 755 "$1/project/deep/er/x.sh"
    echo 1700000000 >"$1/third-party/foo/.gitkeep"
    echo 1700000001 >"$1/third-party/rust/bar/.gitkeep"
    echo own >"$1/third-party/own/dir/file"
    git_commit "$1" one
    git -C "$1" tag v1
}

# mono_import DIR - a repository to be imported
mono_import() {
    git_repo "$1"
    mkdir -p "$1/src/in"
    echo "of $1" >"$1/src/in/a.c"
    printf '#!/bin/sh\n' >"$1/x.sh"
    chmod 755 "$1/x.sh"
    ln -s x.sh "$1/l"
    git_commit "$1" imported
}

# start_mono [ARGS...] - the stand-in over $SCRATCH/repo, with $SCRATCH/foo
# imported twice. Sets MONO_URL, MONO_PID.
start_mono() {
    MONO_STARTS=$((${MONO_STARTS:-0} + 1))
    local log=$SCRATCH/mono$MONO_STARTS.log
    start "mono$MONO_STARTS" python3 "$TESTLIB/mono_standin.py" "$SCRATCH/repo" \
        --import "/third-party/foo=$SCRATCH/foo" \
        --import "/third-party/rust/bar=$SCRATCH/foo" "$@"
    MONO_PID=$PID
    wait_until 20 grep -q '^[0-9][0-9]*$' "$log"
    MONO_URL=http://127.0.0.1:$(head -n1 "$log")
}

mono_control() { # PATH [BODY]
    curl -fsS --noproxy '*' -m 10 ${2+-d "$2"} "$MONO_URL/_/$1"
}

# what mono_control stats says, by a jq-less path: total, most, or a request
mono_stat() { # KEY
    mono_control stats | python3 -c 'import json, sys
s = json.load(sys.stdin)
print(s.get(sys.argv[1], s["requests"].get(sys.argv[1], 0)))' "$1"
}

mono_reset() { mono_control reset '' >/dev/null; }

# mono_fault JSON - see mono_standin.py
mono_fault() { mono_control fault "$1" >/dev/null; }

# mono_cl LINK BASE HEAD [PATH] [MORE JSON MEMBERS] - a change list
mono_cl() {
    mono_control cl "{\"link\":\"$1\",\"base\":\"$2\",\"head\":\"$3\",
        \"path\":\"${4:-/}\"${5:+,$5}}" >/dev/null
}

# the stand-in has nothing to complain about
mono_blameless() {
    local got
    got=$(mono_stat errors)
    assert_eq "$got" '[]' "what the server complains about"
}

# mono_tree DIR [REV] - what a mount of it has to look like
mono_tree() {
    local at
    unpack "$SCRATCH/repo" "${2:-main}" "$1"
    for at in third-party/foo third-party/rust/bar; do
        rm -r "${1:?}/$at"
        unpack "$SCRATCH/foo" main "$1/$at"
    done
}

unpack() { # REPO REV DIR
    mkdir -p "$3"
    git -c tar.umask=022 -C "$1" archive "$2" | tar -xp -C "$3"
}
