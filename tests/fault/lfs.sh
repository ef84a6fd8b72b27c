#!/bin/bash
# Git LFS servers that lie, break off, refuse, want a login, name wrong hosts:
# readers get the right bytes or an error, and the next read tries again
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/lfs.sh"

more() {
    (
        cd "$SRC"
        mkdir f many
        for i in {1..8}; do bytes "f/$i.bin" 2000000 "f$i"; done
        for i in {1..12}; do mkdir "s$i" && bytes "s$i/s.bin" 30000 "s$i"; done
        for i in {1..250}; do echo "small $i" >"many/$i.bin"; done
    )
    git_commit "$SRC" more
}
lfs_world more
start_daemon
M=$SCRATCH/m
mount_source "$LFS_URL/origin.git" "$M"
lfs_reset

fault_of() { # FILE KIND [MORE]
    lfs_fault "{\"kind\": \"$2\", \"oid\": \"$(oid_of "$SRC/$1")\" ${3:+, $3}}"
}
same() { # FILE
    cmp "$M/$1" "$SRC/$1" || fail "$1 is wrong"
}

note "wrong content is never shown"
fault_of f/1.bin wrong '"times": -1'
fault_of s1/s.bin wrong '"times": -1'
for f in f/1.bin s1/s.bin; do
    assert_fails cat "$M/$f"
    assert_contains "$OUTPUT" "Input/output error"
done
lfs_reset
same f/1.bin
same s1/s.bin
note "once wrong, asked for once more"
fault_of f/2.bin wrong
fault_of s2/s.bin wrong
same f/2.bin
same s2/s.bin

note "a transfer that breaks off goes on where it ended"
lfs_reset
fault_of f/3.bin cut '"after": 700000, "times": 2'
same f/3.bin
[ "$(lfs_stat ranges)" -ge 2 ] || fail "no Range"
assert_eq "$(lfs_stat bytes)" 2000000 "bytes of a resumed transfer"
fault_of f/4.bin short
same f/4.bin
fault_of s3/s.bin cut '"after": 100'
same s3/s.bin
note "another part than was asked for"
fault_of f/5.bin cut '"after": 1000'
fault_of f/5.bin shift '"skip": 1'
same f/5.bin

note "links that ran out are renewed"
lfs_reset
fault_of f/6.bin expire
same f/6.bin
assert_eq "$(lfs_stat batches)" 2 "batches for an expired link"
fault_of s4/s.bin expire
same s4/s.bin

note "what the server does not have is an error of that file alone"
fault_of s5/s.bin refuse '"code": 404, "times": -1'
fault_of s6/s.bin size '"times": -1'
for f in s5/s.bin s6/s.bin; do
    assert_fails cat "$M/$f"
    assert_contains "$OUTPUT" "Input/output error"
done
same s7/s.bin
lfs_reset
same s5/s.bin
same s6/s.bin

note "a server that has had enough"
lfs_fault '{"kind": "batch", "code": 503}'
same s8/s.bin
lfs_fault '{"kind": "batch", "code": 429, "retry_after": 1}'
same s9/s.bin
fault_of s10/s.bin status '"code": 500'
same s10/s.bin
lfs_obedient

note "many small ones come in batches"
lfs_reset
cat "$M"/many/*.bin >"$SCRATCH/got"
cat "$SRC"/many/*.bin | cmp - "$SCRATCH/got"
assert_le "$(lfs_stat downloads)" 300 "downloads of 250 small objects"
assert_le "$(lfs_stat most)" 100 "objects in a batch"
note "$(lfs_stat batches) batches for 250 small objects, at most $(lfs_stat most) in one"
assert_le "$(lfs_stat batches)" 60 "batches for 250 small objects"
lfs_obedient

note "elsewhere: .lfsconfig, a login, no ranges, small batches, a host that is none"
FIRST=$LFS_URL
LFS_PORT=$(free_port)
start_lfs_server "$SCRATCH/www" "$SCRATCH/objects" --lfs-user user:secret \
    --no-range --batch-max 3 --host "0.0.0.0:$LFS_PORT" --lfs-at /team
git -C "$SRC" checkout -q -b elsewhere
git config -f "$SRC/.lfsconfig" lfs.url "$LFS_URL/team"
git config -f "$SRC/.lfsconfig" lfs.fetchexclude "assets, f/1.bin"
bytes "$SRC/f/new.bin" 1500000 new
bytes "$SRC/f/new2.bin" 100000 new2
for i in {1..9}; do bytes "$SRC/f/n$i.bin" 5000 "n$i"; done
git_commit "$SRC" elsewhere
for f in "$SRC"/f/n*.bin; do cp "$f" "$SCRATCH/objects/$(oid_of "$f")"; done
git -C "$SRC" push -q --no-verify "$FIRST/origin.git" elsewhere
M=$SCRATCH/m2
mount_source "$FIRST/origin.git" "$M" --rev elsewhere
assert_fails cat "$M/f/new.bin"
grep -q 'answers 401' "$SCRATCH"/daemon-*.log || fail "no word of the login"
git config --global credential.helper "store --file=$SCRATCH/credentials"
echo "http://user:secret@127.0.0.1:$LFS_PORT" >"$SCRATCH/credentials"
fault_of f/new.bin cut '"after": 1000000'
same f/new.bin
assert_le 2500000 "$(lfs_stat bytes)" "bytes without ranges"
cat "$M"/f/n*.bin | cmp - <(cat "$SRC"/f/n*.bin)
assert_le "$(lfs_stat most)" 3 "objects in a batch"
assert_eq "$(head -n1 "$M/f/1.bin")" "version https://git-lfs.github.com/spec/v1" \
    "an excluded file"
assert_eq "$(stat -c %s "$M/assets/deep/er/texture.png")" \
    "$(git -C "$SRC" cat-file -s elsewhere:assets/deep/er/texture.png)" \
    "the size of an excluded file"
same src/b.bin
lfs_obedient

note "a local repository has its objects beside it; pointers on request"
M=$SCRATCH/m3
mount_source "$SRC" "$M" --rev main
same f/7.bin
same a.bin
mount_source "$SRC" "$SCRATCH/m4" --rev main --no-lfs
git -C "$SRC" cat-file blob main:a.bin | cmp - "$SCRATCH/m4/a.bin"
