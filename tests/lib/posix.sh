# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# posix.sh - what the scripts of tests/posix and tests/proof share: the seed
# repository, its plain twin, and a writable mount of it.

POSIX_OPS=$SCORPIO_BUILD/tools/posix_ops
FSRAND=$SCORPIO_BUILD/tools/fsrand
FSX=$SCORPIO_BUILD/tools/fsx

posix_tools() {
    local t
    for t in "$POSIX_OPS" "$FSRAND" "$FSX"; do
        [ -x "$t" ] || fail "$t is not built (make tools)"
    done
}

# seed_files DIR - the prepared tree described in tools/posix_ops/lower.c
seed_files() {
    python3 - "$1" <<'END'
import os, sys
top = os.fsencode(sys.argv[1])
def pattern(n, seed=1):
    return bytes(((i >> 8) * 31 + i * 7 + seed) % 251 for i in range(n))
def put(name, data, mode=0o644):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)
    os.chmod(path, mode)
big = pattern(3 << 20)
put(b'big', big)
for name, size in ((b'empty', 0), (b'one', 1), (b'f4095', 4095),
                   (b'f4096', 4096), (b'f65535', 65535), (b'f65536', 65536),
                   (b'f65537', 65537)):
    put(name, big[:size])
put(b'hello', b'hello\n')
put(b'script', b'#!/bin/sh\nexit 7\n', 0o755)
put(b'd/a', b'a\n')
put(b'd/b', b'b\n')
put(b'd/e/f/g/h/deep', b'deep\n')
for name in (b' space', b'new\nline', b'-dash', b'\xff\xfe', b'tab\t',
             b'caf\xc3\xa9', b'\\back', b'...', b'*'):
    put(b'odd/' + name, b'odd\n')
for i in range(2000):
    name = b'w%04d' % i
    put(b'wide/' + name, name + b'\n')
os.symlink(b'f4095', os.path.join(top, b'link'))
os.symlink(b'nowhere', os.path.join(top, b'dangling'))
os.symlink(b'd', os.path.join(top, b'dirlink'))
END
}

# seed_repo DIR - a git repository (branch main, one commit at $COMMIT_TIME)
# with
#	lower/NAME/  for each check of posix_ops: its prepared tree, or .keep
#	tree/        one prepared tree with everything, for fsrand
#	hello, empty/.keep
seed_repo() {
    local dir=$1 full slim wide big keep name needs t
    git_repo "$dir"
    seed_files "$dir/tree"
    mkdir "$dir/empty"
    touch "$dir/empty/.keep"
    echo hello >"$dir/hello"
    git -C "$dir" add -A
    full=$(git -C "$dir" write-tree --prefix=tree/)
    wide=$(git -C "$dir" ls-tree "$full" | grep -v "	big$" |
        git -C "$dir" mktree)
    big=$(git -C "$dir" ls-tree "$full" | grep -v "	wide$" |
        git -C "$dir" mktree)
    slim=$(git -C "$dir" ls-tree "$big" | grep -v "	big$" |
        git -C "$dir" mktree)
    keep=$(git -C "$dir" write-tree --prefix=empty/)
    "$POSIX_OPS" -l | while read -r name needs; do
        case $needs in
        lwb) t=$full ;;
        lw) t=$wide ;;
        lb) t=$big ;;
        l) t=$slim ;;
        *) t=$keep ;;
        esac
        printf '040000 tree %s\t%s\n' "$t" "$name"
    done | git -C "$dir" mktree >"$dir/.git/lower"
    git -C "$dir" read-tree --prefix=lower/ "$(cat "$dir/.git/lower")"
    when="$COMMIT_TIME +0000"
    GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when \
        git -C "$dir" commit -q -m seed
}

# plain_tree REPO DIR - a checkout without .git whose times are the commit's
plain_tree() {
    mkdir -p "$2"
    git -C "$1" -c tar.umask=022 archive --format=tar HEAD | tar -x -C "$2" --no-same-owner
    find "$2" -depth -exec touch -h -d "@$COMMIT_TIME" {} +
}

# native_dir - a directory on the disk the tests run on, in $NATIVE
native_dir() {
    NATIVE=$SCRATCH/native
    mkdir -p "$NATIVE"
}

# run_posix_ops ARGS... - everything it says goes to the log, failures last
run_posix_ops() {
    local code=0 log=$SCRATCH/posix_ops.out
    "$POSIX_OPS" "$@" >"$log" || code=$?
    grep -v '^not ok' "$log" || true
    [ $code -eq 0 ] || {
        grep '^not ok' "$log" || true
        fail "posix_ops: $(grep -c '^not ok' "$log") checks are not ok"
    }
}
