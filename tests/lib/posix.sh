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

# The native twins are on a file system that does as it should: tmpfs does not take a
# write to a map for a change (mtime), has no FALLOC_FL_ZERO_RANGE, and loses its
# place in a listing.
need_good_twin() {
    [ "$(stat -f -c %T "$SCRATCH")" != tmpfs ] ||
        skip "needs a directory that is not on tmpfs (TMPDIR)"
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

# -- writable mounts ----------------------------------------------------------

# rw_mount SOURCE DIR [ARGS...] - a workspace; skips while there are none
rw_mount() {
    local out code=0
    mkdir -p "$2"
    out=$(within 60 scorpio_cli mount "$@" --rw 2>&1) || code=$?
    case $out in
    *"no option --rw"*) skip "this version has no writable mounts" ;;
    esac
    [ $code -eq 0 ] || fail "scorpio mount --rw: $out"
    is_mounted "$2" || fail "$2 is not mounted after scorpio mount --rw"
    note "$out"
}

rw_unmount() { # DIR
    within 60 scorpio_cli umount "$1" || fail "umount $1"
    is_mounted "$1" && fail "$1 is still mounted"
    true
}

# rw_remount SOURCE DIR - unmount and mount again: the changes are still there
rw_remount() {
    rw_unmount "$2"
    rw_mount "$@"
}

# seed_mount - a daemon, the seed repository mounted at $M and its plain twin
# at $TWIN; both have tree/ and lower/
seed_mount() {
    need_good_twin
    requires fuse git python3
    posix_tools
    REPO=$SCRATCH/repo
    M=$SCRATCH/m
    TWIN=$SCRATCH/twin
    mkdir -p "$M"
    seed_repo "$REPO"
    start_daemon
    rw_mount "$REPO" "$M"
    plain_tree "$REPO" "$TWIN"
}

# small_mount - the same with a small C project, for the workloads: $M, $TWIN
small_mount() {
    requires fuse git
    REPO=$SCRATCH/repo
    M=$SCRATCH/m
    TWIN=$SCRATCH/twin
    mkdir -p "$M"
    c_project "$REPO"
    start_daemon
    rw_mount "$REPO" "$M"
    plain_tree "$REPO" "$TWIN"
}

# c_project DIR - a repository: 30 sources, headers, a Makefile with exact
# dependencies that prints "CC name" for what it compiles
c_project() {
    local i
    git_repo "$1"
    mkdir -p "$1"/{src,include,docs/deep/er}
    for i in {1..30}; do
        printf '#pragma once\nint f%d(int x);\n' "$i" >"$1/include/f$i.h"
        printf '#include "f%d.h"\n#include "common.h"\nint f%d(int x) { %s }\n' \
            "$i" "$i" "return x + STEP * $i;" >"$1/src/f$i.c"
        seq $((i * 100)) >"$1/docs/deep/er/text$i"
    done
    echo '#define STEP 1' >"$1/include/common.h"
    {
        printf '#include <stdio.h>\n'
        printf '#include "f%d.h"\n' {1..30}
        printf 'int main(void) { int x = 0;\n'
        printf 'x = f%d(x);\n' {1..30}
        printf 'printf("%%d\\n", x); return 0; }\n'
    } >"$1/src/main.c"
    cat >"$1/Makefile" <<'END'
OBJ := $(patsubst src/%.c,out/%.o,$(wildcard src/*.c))
out/program: $(OBJ)
	@echo LINK
	@$(CC) -o $@ $^
out/%.o: src/%.c
	@mkdir -p out
	@echo CC $*
	@$(CC) -O1 -MMD -Iinclude -c $< -o $@
-include $(OBJ:.o=.d)
END
    printf '#!/bin/sh\necho ran "$@"\n' >"$1/run.sh"
    chmod +x "$1/run.sh"
    ln -s src/main.c "$1/main"
    git_commit "$1" project
}

mount_answers() { # DIR
    timeout 10 stat -f "$1" >/dev/null 2>&1 &&
        [ "$(timeout 10 ls "$1" 2>/dev/null)" ]
}

# kill_daemon - at this very moment; and what a person does then
kill_daemon() {
    stop "$DAEMON_PID" KILL || true
}
revive() { # SOURCE DIR
    start_daemon
    poll_until 3 mount_answers "$2" && return
    is_mounted "$2" && unmount_lazily "$2"
    rw_mount "$1" "$2" >/dev/null
    mount_answers "$2" >/dev/null || fail "$2 does not answer"
}

same_now() { # WHAT [SUBDIR]
    "$FSRAND" --compare "$M/${2:-}" "$TWIN/${2:-}" ||
        fail "$1: the mount and its twin differ"
}

journal_lines() { # FILE... together
    cat "$@" 2>/dev/null | wc -l
}
begun_or_over() { # LINES PID FILES...
    local lines=$1 pid=$2
    shift 2
    gone "$pid" || [ "$(journal_lines "$@")" -ge "$lines" ]
}

# kill_round SEED PROCS LINES - random operations in tree/, the daemon killed
# after about LINES journal lines, back again: what was acknowledged is there.
# Several processes work in crowd/: with no file in common, or by a link with
# tree/, or nobody knows which of them came first on the other side.
kill_round() {
    local j=$SCRATCH/journal pid code=0 files=() top=tree
    rm -f "$j"*
    files=("$j")
    [ "$2" -eq 1 ] || {
        files=("$j".{0..9})
        top=crowd
        mkdir -p {"$M","$TWIN"}/crowd/p{0..9}
    }
    start "fsrand" "$FSRAND" --seed "$1" --procs "$2" --check 0 --no-sync \
        --ops 100000000 --journal "$j" "$M/$top" "$TWIN/$top"
    pid=$PID
    wait_until 60 begun_or_over "$3" "$pid" "${files[@]}"
    kill_daemon
    wait_until 150 gone "$pid"
    wait "$pid" || code=$?
    # 3: gone, as it should be
    [ $code -eq 3 ] || {
        cat "$SCRATCH/fsrand.log"
        fail "fsrand ended with $code (seed $1)"
    }
    revive "$REPO" "$M"
    "$FSRAND" --procs "$2" --verify "$j" "$M/$top" "$TWIN/$top" \
        >"$SCRATCH/verify.log" || {
        cat "$SCRATCH/fsrand.log" "$SCRATCH/verify.log"
        fail "after kill -9 (seed $1, procs $2, lines $3)"
    }
}
