# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034
#
# lfs.sh - repositories with Git LFS files behind lfs_server.py, for tests;
# after functions.sh.

. "$TESTLIB/gitwork.sh"
requires fuse git git-lfs python3 curl jq

# start_lfs_server ROOT OBJECTS [OPTIONS...] - sets LFS_URL, LFS_PID, LFS_PORT
start_lfs_server() {
    LFS_ROOT=$1
    LFS_OBJECTS=$2
    shift 2
    LFS_PORT=${LFS_PORT:-$(free_port)}
    LFS_URL=http://127.0.0.1:$LFS_PORT
    start lfsserver python3 -B "$TESTLIB/lfs_server.py" --port "$LFS_PORT" \
        "$@" "$LFS_ROOT" "$LFS_OBJECTS"
    LFS_PID=$PID
    wait_until 10 lfs_control lfs
}

lfs_control() { # lfs | lfs-reset {} | lfs-fault JSON
    curl -fsS --noproxy '*' -m 10 ${2:+-X POST -d "$2"} "$LFS_URL/-/$1"
}
lfs_stat() { lfs_control lfs | jq -r ".$1"; }
lfs_fault() { lfs_control lfs-fault "$1" >/dev/null; }
lfs_reset() { lfs_control lfs-reset '{}' >/dev/null; }

# No request so far was wrong in any way.
lfs_obedient() {
    local said
    said=$(lfs_control lfs | jq -r '.violations[]')
    [ -z "$said" ] || fail "the LFS server was asked wrongly: $said"
}

oid_of() { sha256sum "$1" | cut -c1-64; }

# bytes FILE SIZE [SEED] - content that is no text and does not compress
bytes() {
    python3 -c 'import random, sys
open(sys.argv[1], "wb").write(random.Random(sys.argv[3]).randbytes(int(sys.argv[2])))' \
        "$1" "$2" "${3:-$1}"
}

# lfs_big DIR MIB COUNT - big.bin, and small files in many/
lfs_big() {
    python3 - "$@" <<'END'
import os, random, sys
top, mib, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(1)
with open(top + "/big.bin", "wb") as f:
    for _ in range(mib):
        f.write(r.randbytes(1 << 20))
for i in range(count):
    d = "%s/many/%02d" % (top, i // 500)
    os.makedirs(d, exist_ok=True)
    with open("%s/%d.bin" % (d, i), "w") as f:
        f.write("small %d\n" % i)
END
}

# lfs_seed DIR - a repository with LFS files made by stock git lfs; to be
# pushed with lfs_publish.
lfs_seed() {
    git_repo "$1"
    git -C "$1" lfs install --local >/dev/null
    (
        cd "$1" || exit 1
        git lfs track '*.bin' '/assets/**' >/dev/null
        chmod 644 .gitattributes
        mkdir -p assets/deep/er src plain
        bytes a.bin 100000 a
        bytes src/b.bin 3000000 b
        bytes assets/deep/er/texture.png 70000 c
        : >assets/nothing
        echo 'int x;' >src/x.c
        seq 300 >plain/numbers
        cp a.bin src/same.bin
        cp a.bin plain/'odd name+#%.bin'
        echo '#!/bin/sh' >assets/run.sh
        chmod +x assets/run.sh
    )
    git_commit "$1" "with LFS files"
}

# lfs_world [FUNCTION] - a server, and $SRC, seeded (and what the function adds),
# which is published as origin
lfs_world() {
    mkdir "$SCRATCH/www"
    start_lfs_server "$SCRATCH/www" "$SCRATCH/objects"
    SRC=$SCRATCH/src
    lfs_seed "$SRC"
    [ $# = 0 ] || "$@"
    lfs_publish "$SRC" origin
}

# lfs_publish SRC NAME - push all of it, the objects through the LFS server
lfs_publish() {
    git init -q --bare -b main "$LFS_ROOT/$2.git"
    git -C "$LFS_ROOT/$2.git" config http.receivepack true
    git -C "$LFS_ROOT/$2.git" config uploadpack.allowFilter true
    git -C "$LFS_ROOT/$2.git" config uploadpack.allowAnySHA1InWant true
    git -C "$1" remote add "$2" "$LFS_URL/$2.git"
    git -C "$1" push -q "$2" --all
}
