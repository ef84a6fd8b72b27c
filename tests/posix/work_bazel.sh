#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Bazel in a workspace: everything once, nothing without a change, exactly what
# a change needs, also over a new mount and a switch; the digests of sources come
# from the extended attribute, without reading them
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git bazel
case $(bazel --version) in
*no_version* | *" "[4-7].*) ;; # Debian's, or one that has the option
*) skip "needs Bazel 4 to 7" ;;
esac

REPO=$SCRATCH/repo
M=$SCRATCH/m
git_repo "$REPO"
mkdir -p "$REPO"/{lib,data}
touch "$REPO/WORKSPACE"
for i in {1..60}; do seq "$i" $((i + 500)) >"$REPO/data/$i"; done
echo one >"$REPO/one"
echo two >"$REPO/lib/two"
ln -s lib/two "$REPO/link"
echo 'exports_files(["two"])' >"$REPO/lib/BUILD"
cat >"$REPO/BUILD" <<'END_BUILD'
genrule(name = "a", srcs = ["one"], outs = ["a.out"],
        cmd = "echo RUN a >&2; tr a-z A-Z <$< >$@")
genrule(name = "b", srcs = ["//lib:two"], outs = ["b.out"],
        cmd = "echo RUN b >&2; tr a-z A-Z <$< >$@")
genrule(name = "l", srcs = ["link"], outs = ["l.out"],
        cmd = "echo RUN l >&2; cat $< >$@")
genrule(name = "all", srcs = [":a", ":b", ":l"], outs = ["all.out"],
        cmd = "echo RUN all >&2; cat $(SRCS) >$@")
genrule(name = "unread", srcs = glob(["data/*"]), outs = ["unread.out"],
        cmd = "echo $(SRCS) | wc -w >$@")
END_BUILD
git_commit "$REPO" first
echo three >"$REPO/lib/two"
git_commit "$REPO" second
first=$(git -C "$REPO" rev-parse HEAD~1)

start_daemon
rw_mount "$REPO" "$M" --rev "$first" --workspace bazel
bz() { # COMMAND ARGS... - as it is used, with a server
    (cd "$M" && within 120 bazel --output_user_root="$SCRATCH/bazel" \
        --unix_digest_hash_attribute_name=user.scorpio.digest \
        "$1" --color=no --curses=no "${@:2}") >"$SCRATCH/bazel.out" 2>&1 || {
        tail -n 30 "$SCRATCH/bazel.out"
        fail "bazel $*"
    }
}
BUILD=(build --spawn_strategy=standalone)
ran() { sed -n 's/^\(RUN [a-z]*\)$/\1/p' "$SCRATCH/bazel.out" | sort | xargs; }
at_exit bz shutdown

bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "RUN a RUN all RUN b RUN l" "first build"
assert_eq "$(xargs <"$M/bazel-bin/all.out")" "ONE TWO two"
bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "" "null build"

echo four >"$M/one"
bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "RUN a RUN all" "one source changed"
assert_eq "$(xargs <"$M/bazel-bin/all.out")" "FOUR TWO two"
mv "$M/one" "$M/one.new"
mv "$M/one.new" "$M/one"
bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "" "moved there and back"
# other bytes, the same size: the digest is not that of before
echo five >"$M/one"
bz "${BUILD[@]}" //:all
assert_eq "$(xargs <"$M/bazel-bin/all.out")" "FIVE TWO two" "the same size"

# sources that no action reads are not read for their digests either
before=$(metric 'scorpio_fuse_requests_total{op="read"}')
asked=$(metric 'scorpio_fuse_requests_total{op="getxattr"}')
bz "${BUILD[@]}" //:unread
assert_eq "$(<"$M/bazel-bin/unread.out")" 60
assert_le $(($(metric 'scorpio_fuse_requests_total{op="read"}') - before)) 20 \
    "files read for the digests of 60"
asked=$(($(metric 'scorpio_fuse_requests_total{op="getxattr"}') - asked))
[ "$asked" -ge 60 ] || fail "asked for $asked digests of 60 files"

within 60 scorpio_cli switch "$M" main >/dev/null || fail "switch"
bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "RUN all RUN b RUN l" "after a switch"
assert_eq "$(xargs <"$M/bazel-bin/all.out")" "FIVE THREE three"

# the same inode numbers and times after a new mount: nothing to do
bz shutdown
rw_unmount "$M"
rw_mount "$REPO" "$M" --workspace bazel
bz "${BUILD[@]}" //:all
assert_eq "$(ran)" "" "after a new mount"
# in its sandbox of links and bind mounts, where it can make one
if [ "$(id -u)" -eq 0 ] && unshare -Um true 2>/dev/null; then
    bz clean
    bz build --spawn_strategy=linux-sandbox //:all
    assert_eq "$(xargs <"$M/bazel-bin/all.out")" "FIVE THREE three" sandbox
fi
