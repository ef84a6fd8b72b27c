# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# repos.sh - small repositories made for tests. After functions.sh.

# tricky_repo DIR - everything that is unusual in a Git tree, two commits on
# main (tag v1 names the first), one on the branch other.
tricky_repo() {
    local d=$1 name
    git_repo "$d"
    mkdir -p "$d/src/deep/a/b/c/d/e/f" "$d/with space/tab	dir" "$d/bin"
    echo 'int main(void) { return 0; }' >"$d/src/main.c"
    echo deepest >"$d/src/deep/a/b/c/d/e/f/file"
    : >"$d/empty"
    printf 'no newline' >"$d/bare"
    printf 'a\0b\r\n\377\376' >"$d/binary"
    printf '#!/bin/sh\necho ran "$0"\n' >"$d/bin/tool"
    chmod 755 "$d/bin/tool"
    ln -s main.c "$d/src/link"
    ln -s ../nowhere/at/all "$d/dangling"
    ln -s bin "$d/dirlink"
    ln -s "$(printf 'x%.0s' {1..1000})" "$d/longlink"
    echo s >"$d/with space/tab	dir/new
line"
    echo u >"$d/ünïcødé-文件"
    echo l >"$d/$(printf $'caf\351-latin1')"
    name=$(printf 'n%.0s' {1..255})
    echo long >"$d/$name"
    printf '%s\n' '*' >"$d/src/.gitignore"
    echo '-' >"$d/-rf"
    head -c 65536 /dev/zero | tr '\0' a >"$d/chunk"
    head -c 65537 /dev/zero | tr '\0' b >"$d/chunk+1"
    seq 1 200000 >"$d/large"
    git -C "$d" add -f src/.gitignore src
    git_commit "$d" first 1600000000
    git -C "$d" tag v1
    git -C "$d" checkout -q -b other
    echo other >"$d/only-other"
    git_commit "$d" other 1600000500
    git -C "$d" checkout -q main
    echo 'int main(void) { return 1; }' >"$d/src/main.c"
    rm "$d/bare"
    git_commit "$d" second 1600001000
    git -C "$d" tag -a -m annotated v2
}

# flat_repo DIR N - one directory of N small files (bare)
flat_repo() {
    local tree when="1700000000 +0000"
    git init -q --bare -b main "$1"
    awk -v n="$2" 'BEGIN {
        for (i = 1; i <= n; i++) {
            text = "file " (i - 1) "\n"
            printf "blob\nmark :%d\ndata %d\n%s", i, length(text), text
        }
    }' | git -C "$1" fast-import --quiet --export-marks="$SCRATCH/.marks"
    tree=$(sort -t: -k2n "$SCRATCH/.marks" |
        awk '{ printf "100644 blob %s\tf%06d\n", $2, substr($1, 2) - 1 }' |
        git -C "$1" mktree)
    tree=$(printf '040000 tree %s\tdir\n' "$tree" | git -C "$1" mktree)
    GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when git -C "$1" update-ref \
        refs/heads/main "$(git -C "$1" commit-tree -m flat "$tree")"
}

# publish DIR NAME - a bare, packed copy below $SCRATCH/www for a git server
publish() {
    mkdir -p "$SCRATCH/www"
    rm -rf "$SCRATCH/www/$2"
    git clone -q --bare "$1" "$SCRATCH/www/$2"
    git -C "$SCRATCH/www/$2" config uploadpack.allowFilter true
    git -C "$SCRATCH/www/$2" config uploadpack.allowAnySHA1InWant true
    git -C "$SCRATCH/www/$2" repack -q -a -d
}

# checkout REPO REV DIR
checkout() {
    mkdir -p "$3"
    GIT_INDEX_FILE=$SCRATCH/.index git --git-dir="$1" --work-tree="$3" \
        read-tree "$2"
    GIT_INDEX_FILE=$SCRATCH/.index git --git-dir="$1" --work-tree="$3" \
        checkout-index -q -a -f
}
