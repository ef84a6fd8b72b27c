#!/bin/bash
# Extended attributes answer from the store: digests for build tools, facts for
# scripts; nothing is listed, so nothing copies them
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
requires fuse git getfattr sha256sum

tricky_repo "$SCRATCH/repo"
git -C "$SCRATCH/repo" update-index --add --cacheinfo \
    "160000,$(git -C "$SCRATCH/repo" rev-parse v1),module"
GIT_COMMITTER_DATE='1600003000 +0000' git -C "$SCRATCH/repo" commit -q -m module
start_daemon
m=$SCRATCH/m
mount_source "$SCRATCH/repo" "$m"

get() { getfattr -h --only-values -n "$1" "$2" 2>/dev/null; }

for f in large empty binary chunk chunk+1 src/main.c; do
    assert_eq "$(get user.sha256 "$m/$f")" \
        "$(sha256sum <"$m/$f" | cut -d' ' -f1)" "sha256 of $f"
    assert_eq "$(get user.sha1 "$m/$f")" "$(sha1sum <"$m/$f" | cut -d' ' -f1)"
    assert_eq "$(get user.scorpio.digest "$m/$f" | od -An -vtx1 | tr -d ' \n')" \
        "$(get user.sha256 "$m/$f")" "the digest's bytes"
    assert_eq "$(get user.scorpio.oid "$m/$f")" \
        "$(git -C "$SCRATCH/repo" rev-parse "HEAD:$f")" "object id of $f"
    assert_eq "$(get user.scorpio.tier "$m/$f")" store
done
assert_eq "$(get user.scorpio.oid "$m/src")" \
    "$(git -C "$SCRATCH/repo" rev-parse HEAD:src)"
assert_eq "$(get user.scorpio.rev "$m")" "$(git -C "$SCRATCH/repo" rev-parse HEAD)"
[ -z "$(getfattr -d -m - "$m/large" 2>/dev/null)" ] || fail "attributes are listed"
get user.nosuch "$m/large" && fail "an unknown attribute has a value"
get security.capability "$m/large" && fail "a capability has a value"
# a directory has no digest
get user.sha256 "$m/src" && fail "a directory has a digest"

# a submodule is an empty directory that names its commit
[ -d "$m/module" ] || fail "the submodule is no directory"
[ -z "$(ls -A "$m/module")" ] || fail "the submodule is not empty"
assert_eq "$(get user.scorpio.submodule "$m/module")" \
    "$(git -C "$SCRATCH/repo" rev-parse v1)"
