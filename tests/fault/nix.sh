#!/bin/bash
# timeout: 300
# A binary cache that lies, breaks off, hangs or is gone: refused or EIO, never
# a wrong byte, never a false "does not exist"; and right again afterwards
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires fuse curl jq
nix_setup

nix_tree "$SCRATCH/tree" 40
tree=$(nix_add "$SCRATCH/tree")
h=${tree:0:32}
nix_cache "$SCRATCH/cache" none "&write-nar-listing=true" "$tree"
nix_cache "$SCRATCH/xz" xz "&write-nar-listing=true" "$tree"
# without the name's proof only the signature counts
sed -i /^CA:/d "$SCRATCH"/{cache,xz}/*.narinfo
info=$SCRATCH/cache/$h.narinfo
nar=$(sed -n 's/^URL: //p' "$info")
start_cache "$SCRATCH/cache"
nix_config
start_daemon
m=$SCRATCH/m
url=nix+$NIX_URL

# try WHAT FAULTS [PATH] - an error, and not that there is no such file
try() {
    nix_faults "$2"
    nix_forget
    mount_source "${SOURCE:-$url}" "$m"
    assert_fails cat "$m/$tree/${3:-file}"
    case $OUTPUT in
    *"Input/output error"* | *"File too large"* | *"timed out"*) ;;
    *) fail "$1: $OUTPUT" ;;
    esac
    scorpio_cli umount "$m" >/dev/null
    note "refused: $1"
}

edit() { # SED - rules that serve an edited description
    sed "$1" "$info" >"$SCRATCH/edited"
    printf '[{"path": "narinfo", "file": "%s"}]' "$SCRATCH/edited"
}

try "another NarSize" "$(edit 's/^NarSize: .*/NarSize: 1048576/')"
try "another NarHash" "$(edit 's/^NarHash: sha256:\(.\)......../NarHash: sha256:\1zzzzzzzz/')"
try "no signature" "$(edit /^Sig:/d)"
try "an unknown key" "$(edit 's/^Sig: test-1/Sig: other-1/')"
try "a malformed signature" "$(edit 's/^Sig: .*/Sig: test-1:AAAA/')"
try "a description of another path" "$(edit 's,/nix/store/........,/nix/store/00000000,')"
try "an address outside of the cache" "$(edit 's,^URL: .*,URL: ../x,')"
head -c -1 "$info" >"$SCRATCH/cut"
try "a description cut off" \
    '[{"path": "narinfo", "file": "'"$SCRATCH/cut"'"}]'
head -c 3000000 /dev/zero | tr '\0' x >"$SCRATCH/huge"
try "an enormous description" \
    '[{"path": "narinfo", "file": "'"$SCRATCH/huge"'"}]'
try "a server that fails" '[{"path": "narinfo", "status": 500}]'
try "a wrong byte in the archive" '[{"path": "nar/", "flip": 200000}]'
try "an archive that is not there" '[{"path": "nar/", "status": 404}]'
try "an archive cut off" '[{"path": "nar/", "cut": 100000, "norange": true}]'
cp "$DAEMON_CONFIG" "$SCRATCH/patient.toml"
printf '[fetch]\nstall_timeout = "1s"\n' >>"$DAEMON_CONFIG"
try "an archive that stalls" '[{"path": "nar/", "stall": 100000}]'
cp "$SCRATCH/patient.toml" "$DAEMON_CONFIG"
head -c 500000 "$SCRATCH/cache/$nar" >"$SCRATCH/short"
try "an archive too short" '[{"path": "nar/", "file": "'"$SCRATCH/short"'"}]'
cat "$SCRATCH/cache/$nar" /etc/passwd >"$SCRATCH/long"
try "an archive too long" '[{"path": "nar/", "file": "'"$SCRATCH/long"'"}]'
head -c 500000000 /dev/zero | xz -0 -T1 >"$SCRATCH/bomb.xz"
sed "s/^Compression: .*/Compression: xz/" "$info" >"$SCRATCH/bombed"
try "a decompression bomb" '[{"path": "narinfo", "file": "'"$SCRATCH/bombed"'"},
    {"path": "nar/", "file": "'"$SCRATCH/bomb.xz"'"}]'

# a listing with the right size and wrong names: names only, no content
sed 's/"leaf"/"lear"/' "$SCRATCH/cache/$h.ls" >"$SCRATCH/lie"
cmp -s "$SCRATCH/lie" "$SCRATCH/cache/$h.ls" && fail "nothing to lie about"
lie='[{"path": "\\.ls", "file": "'"$SCRATCH/lie"'"}]'
try "a listing that lies, read" "$lie" sub/deep/er/lear
nix_faults "$lie"
nix_forget
mount_source "$url" "$m"
assert_fails readlink "$m/$tree/dangling"
scorpio_cli umount "$m"

# names that no directory can hold: in a listing, and in the archive with a hash
# that is right
for name in .. a/b; do
    jq -c --arg n "$name" '.root.entries[$n] = .root.entries.file |
        del(.root.entries.file)' "$SCRATCH/cache/$h.ls" >"$SCRATCH/named"
    nix_faults '[{"path": "\\.ls", "file": "'"$SCRATCH/named"'"}]'
    nix_forget
    mount_source "$url" "$m"
    assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
    scorpio_cli umount "$m"
done
python3 - "$SCRATCH" <<'EOF'
import hashlib, struct, sys
def s(b):
    return struct.pack("<Q", len(b)) + b + bytes(-len(b) % 8)
def node(name):
    return (s(b"nix-archive-1") + s(b"(") + s(b"type") + s(b"directory") +
            s(b"entry") + s(b"(") + s(b"name") + s(name) + s(b"node") +
            s(b"(") + s(b"type") + s(b"regular") + s(b"contents") + s(b"x") +
            s(b")") + s(b")") + s(b")"))
for i, name in enumerate([b"..", b"a/b", b""]):
    nar = node(name)
    base = sys.argv[1] + "/hostile%d" % i
    open(base + ".nar", "wb").write(nar)
    open(base + ".sha", "w").write(hashlib.sha256(nar).hexdigest() + " %d\n" %
                                   len(nar))
EOF
sed -i 's/^negative_ttl = 0/negative_ttl = 0\nrequire_signatures = false/' "$DAEMON_CONFIG"
for i in 0 1 2; do
    read -r sha size <"$SCRATCH/hostile$i.sha"
    sed "s/^NarHash: .*/NarHash: sha256:$sha/; s/^NarSize: .*/NarSize: $size/;
        /^Sig:/d; /^References:/s/ .*/ /" "$info" >"$SCRATCH/hostile$i.info"
    try "a hostile name in the archive ($i)" '[
        {"path": "narinfo", "file": "'"$SCRATCH/hostile$i.info"'"},
        {"path": "nar/", "file": "'"$SCRATCH/hostile$i.nar"'"}]'
done
sed -i '/^require_signatures = false/d' "$DAEMON_CONFIG"

# listings that are no use: the archive tells
other='{\"version\":1,\"root\":{\"type\":\"regular\",\"size\":5}}'
for rule in '"body": "{"' '"status": 404' "\"body\": \"$other\""; do
    nix_faults "[{\"path\": \"\\\\.ls\", $rule}]"
    nix_forget
    mount_source "$url" "$m"
    assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
    scorpio_cli umount "$m"
done

# a transfer that breaks twice goes on where it broke
nix_faults '[{"path": "nar/", "cut": 300000, "times": 2}]'
nix_forget
: >"$NIX_LOG"
mount_source "$url" "$m"
assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
[ "$(nix_requests '/nar/.* 206 ')" -ge 1 ] || fail "it was not taken up again"
# and a failure is not remembered
scorpio_cli umount "$m"
nix_faults '[{"path": "nar/", "flip": 5000}]'
nix_forget
mount_source "$url" "$m"
assert_fails cat "$m/$tree/sub/large"
nix_faults '[]'
assert_same_tree "$m/$tree" "$NIX_STORE/$tree"

# several caches: the first is down, the second has another key's signature
# only, the third is right
nix_faults '[{"path": ".", "status": 503}]'
stop_daemon
rm -rf "$DAEMON_STORE"
cp -r "$SCRATCH/cache" "$SCRATCH/other"
sed -i 's/^Sig: test-1/Sig: other-1/' "$SCRATCH"/other/*.narinfo
sed -i "/^trusted/a substituters = \"file://$SCRATCH/other file://$SCRATCH/xz\"" \
    "$DAEMON_CONFIG"
start_daemon
mount_source "$url" "$m"
assert_same_tree "$m/$tree" "$NIX_STORE/$tree"
# one that cannot be asked might have it
assert_fails stat "$m/00000000000000000000000000000000-gone"
assert_contains "$OUTPUT" "Input/output error" "not everybody could be asked"
note "refused, every time"
