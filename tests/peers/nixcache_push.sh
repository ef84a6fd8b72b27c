#!/bin/bash
# timeout: 200
# Other ways into and out of the role nixcache: the calls of attic's and
# cachix's clients, by the book; pins, removal of what is not used; HEAD, logs,
# realisations and debug info of what an upstream has; hashes of directories
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/nix.sh"
requires curl jq xz
nix_setup
nix_writer
curl() { command curl -sS --noproxy '*' -m 60 "$@"; }
status() { curl -o "$SCRATCH/body" -w '%{http_code}' "$@"; }
t=(-H "Authorization: bearer w-main" -H "Content-Type: application/json")

role() { # [LINES]
    write_config
    nix_two_caches "$@"
}
pull() { # URL BASE
    nix_pull "$1" "$(cat "$SCRATCH/our.pk") $NIX_KEY" "$2"
}

a='' b='' c='' d=''
for i in a b c d; do
    mkdir "$SCRATCH/$i"
    head -c 300000 /dev/urandom >"$SCRATCH/$i/data"
    declare "$i=$(nix_add "$SCRATCH/$i")"
    nix-store --dump "$SCRATCH/$i" >"$SCRATCH/$i.nar"
done
role

# -- attic ------------------------------------------------------------------------
ask() { # BODY - get-missing-paths
    curl "${t[@]}" -d "$1" "$CACHE/_api/v1/get-missing-paths" | jq -c .missing_paths
}
both="{\"cache\": \"main\", \"store_path_hashes\": [\"${a:0:32}\", \"${b:0:32}\"]}"
assert_eq "$(ask "$both")" "[\"${a:0:32}\",\"${b:0:32}\"]" "missing"
info() { # BASE FILE [REFS]
    jq -cn --arg p "$1" --arg h "sha256:$(sha256sum <"$2" | cut -d' ' -f1)" \
        --argjson n "$(stat -c %s "$2")" --argjson r "${3:-[]}" '{cache: "main",
        store_path_hash: $p[:32], store_path: ("/nix/store/" + $p), references: $r,
        system: null, deriver: null, sigs: [], ca: null, nar_hash: $h, nar_size: $n}'
}
up() { # INFO FILE [CURL-ARGS]
    status "${@:3}" -T "$2" -H "X-Attic-Nar-Info: $1" "$CACHE/_api/v1/upload-path"
}
assert_eq "$(up "$(info "$a" "$SCRATCH/a.nar")" "$SCRATCH/a.nar")" 401 "no token"
assert_eq "$(up "$(info "$a" "$SCRATCH/b.nar")" "$SCRATCH/a.nar" "${t[@]}")" 400 \
    "another hash"
assert_contains "$(cat "$SCRATCH/body")" '"code":400' "an error of theirs"
# b is referred to before it is there, as their clients do
assert_eq "$(up "$(info "$a" "$SCRATCH/a.nar" "[\"$b\"]")" "$SCRATCH/a.nar" "${t[@]}")" 200
assert_eq "$(jq -r .kind "$SCRATCH/body")" Uploaded
# and with what is told before the archive
info "$b" "$SCRATCH/b.nar" >"$SCRATCH/preamble"
cat "$SCRATCH/preamble" "$SCRATCH/b.nar" >"$SCRATCH/both"
assert_eq "$(status "${t[@]}" -T "$SCRATCH/both" -H "X-Attic-Nar-Info-Preamble-Size: \
$(stat -c %s "$SCRATCH/preamble")" "$CACHE/_api/v1/upload-path")" 200 "a preamble"
assert_eq "$(up "$(info "$b" "$SCRATCH/b.nar")" "$SCRATCH/b.nar" "${t[@]}")" 200
assert_eq "$(jq -r .kind "$SCRATCH/body")" Deduplicated
assert_eq "$(ask "$both")" "[]" "nothing is missing"
assert_eq "$(curl "$CACHE/_api/v1/cache-config/main" | jq -r .public_key)" \
    "$(cat "$SCRATCH/our.pk")" "the config"
assert_eq "$(pull "$CACHE/main" "$a")" "$(nix_hash_of "$a")" "read by stock Nix"
assert_eq "$(pull "$CACHE/main" "$b")" "$(nix_hash_of "$b")" "the other"

# -- cachix -----------------------------------------------------------------------
base=$CACHE/api/v1/cache/main
assert_eq "$(curl "$base" | jq -r '.publicSigningKeys[0]')" "$(cat "$SCRATCH/our.pk")"
assert_eq "$(curl "${t[@]}" -d "[\"${c:0:32}\", \"${a:0:32}\"]" "$base/narinfo" | jq -c .)" \
    "[\"${c:0:32}\"]" "missing"
assert_eq "$(status -X POST "$base/multipart-nar?compression=xz")" 401
xz -0 -c "$SCRATCH/c.nar" >"$SCRATCH/c.nar.xz"
split -b 100000 -d "$SCRATCH/c.nar.xz" "$SCRATCH/part."
b32() { nix-hash --type sha256 --to-base32 "$(sha256sum <"$1" | cut -d' ' -f1)"; }
create() { # NAR-FILE - what completes an upload
    jq -cn --argjson parts "$parts" --arg p "$c" --arg nh "sha256:$(b32 "$1")" \
        --arg fh "$(b32 "$SCRATCH/c.nar.xz")" --argjson ns "$(stat -c %s "$1")" \
        --argjson fs "$(stat -c %s "$SCRATCH/c.nar.xz")" '{parts: $parts,
        narInfoCreate: {cStoreHash: $p[:32], cStoreSuffix: $p[33:], cNarHash: $nh,
        cNarSize: $ns, cFileHash: $fh, cFileSize: $fs, cReferences: [],
        cDeriver: "unknown-deriver"}}'
}
begin() {
    local id n=0 url sum etag
    id=$(curl "${t[@]}" -X POST "$base/multipart-nar?compression=xz" | jq -r .narId)
    parts='[]'
    for f in "$SCRATCH"/part.*; do
        n=$((n + 1))
        sum=$(openssl md5 -binary "$f" | base64)
        url=$(curl "${t[@]}" -d "{\"contentMD5\": \"$sum\"}" \
            "$base/multipart-nar/$id?uploadId=$id&partNumber=$n" | jq -r .uploadUrl)
        [ $n -ne 1 ] || assert_eq "$(status -T "$f" -H "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==" \
            "$url")" 400 "another MD5"
        etag=$(curl -D - -o /dev/null -T "$f" -H "Content-MD5: $sum" "$url" |
            tr -d '\r' | sed -n 's/^ETag: //p')
        parts=$(jq -c --argjson n $n --arg e "$etag" '[{partNumber: $n, eTag: $e}] + .' \
            <<<"$parts")
    done
    ID=$id
}
begin
assert_eq "$(status "${t[@]}" -d "$(create "$SCRATCH/a.nar")" \
    "$base/multipart-nar/$ID/complete?uploadId=$ID")" 400 "another hash"
assert_eq "$(status "${t[@]}" -d "$(create "$SCRATCH/c.nar")" \
    "$base/multipart-nar/$ID/complete?uploadId=$ID")" 200 "complete"
assert_eq "$(find "$SCRATCH/kept/main/parts" -type f | wc -l)" 0 "parts left"
assert_eq "$(pull "$CACHE/main" "$c")" "$(nix_hash_of "$c")" "read by stock Nix"
begin
assert_eq "$(status "${t[@]}" -X POST "$base/multipart-nar/$ID/abort?uploadId=$ID")" 200
assert_eq "$(status "${t[@]}" -X POST "$base/multipart-nar/$ID/abort?uploadId=$ID")" 404
assert_eq "$(find "$SCRATCH/kept/main/parts" -type f | wc -l)" 0 "parts after an end"

# -- pins, and making room ---------------------------------------------------------
assert_eq "$(status "${t[@]}" -d "{\"name\": \"keep\", \"storePath\": \"/nix/store/$a\",
    \"artifacts\": [], \"keep\": {\"revisions\": 1}}" "$base/pin")" 200 "a pin"
assert_eq "$(status "${t[@]}" -X PUT "$CACHE/main/pins/other?path=$c")" 201
assert_eq "$(status -X PUT "$CACHE/main/pins/other?path=$c")" 401
assert_eq "$(status "${t[@]}" -X PUT "$CACHE/main/pins/none?path=${d}")" 400 "not here"
assert_eq "$(curl "$CACHE/main/pins" | jq -c 'keys')" '["keep","other"]'
assert_eq "$(status "${t[@]}" -X DELETE "$CACHE/main/pins/other")" 200
nix copy --store "$NIX_ROOT" --to "$CACHE" "/nix/store/$d" >/dev/null 2>&1 || fail "nix copy"
stop_daemon
touch -d "2 days ago" "$SCRATCH"/kept/main/{"${a:0:32}","${b:0:32}","${c:0:32}"}.narinfo \
    "$SCRATCH"/kept/main/nar/*
: >"$SCRATCH/kept/main/nar/orphan.nar"
touch -d "2 days ago" "$SCRATCH/kept/main/nar/orphan.nar"
role 'keep_duration = 1000'
assert_eq "$(status -X POST "$CACHE/main/gc")" 401
curl "${t[@]}" -X POST "$CACHE/main/gc" >"$SCRATCH/gc"
# c was not used and is not pinned; b is below a, which is; d is new
here() { status "$CACHE/${1:0:32}.narinfo"; }
assert_eq "$(here "$a") $(here "$b") $(here "$c") $(here "$d")" "200 200 404 200" \
    "after collection: $(cat "$SCRATCH/gc")"
[ ! -e "$SCRATCH/kept/main/nar/orphan.nar" ] || fail "an orphan stayed"
assert_eq "$(pull "$CACHE/main" "$a")" "$(nix_hash_of "$a")" "a pinned path"
stop_daemon
# a size: the longest unused goes, the pinned stays
touch -d "1 hour ago" "$SCRATCH/kept/main/${d:0:32}.narinfo" "$SCRATCH"/kept/main/nar/*
role 'max_used_space = 700000'
assert_eq "$(curl "${t[@]}" -X POST "$CACHE/main/gc" | jq '.used <= 700000')" true
assert_eq "$(here "$a") $(here "$b") $(here "$d")" "200 200 404" "by size"
stop_daemon

# -- what an upstream has -----------------------------------------------------------
nix_cache "$SCRATCH/up" xz "&write-nar-listing=true&index-debug-info=true" "$c"
mkdir -p "$SCRATCH"/up/{log,realisations,debuginfo}
echo "built it" >"$SCRATCH/up/log/x.drv"
echo '{"id": "sha256:00!out"}' >"$SCRATCH/up/realisations/sha256:00!out.doi"
nar=$(sed -n 's/^URL: //p' "$SCRATCH/up/${c:0:32}.narinfo")
echo "{\"archive\": \"../$nar\", \"member\": \"data\"}" >"$SCRATCH/up/debuginfo/ab12"
start_cache "$SCRATCH/up"
rm -rf "$SCRATCH/kept"
role "upstreams = \"$NIX_URL\""
ours=$(curl "$CACHE/${c:0:32}.narinfo" | sed -n 's/^URL: //p')
assert_eq "$(curl -I "$CACHE/$ours" | tr -d '\r' | sed -n 's/^Content-Length: //p')" \
    "$(stat -c %s "$SCRATCH/up/$nar")" "HEAD of what is not here"
assert_eq "$(nix_requests "/nar/")" 0 "transfers for it"
for i in 1 2; do
    assert_eq "$(curl "$CACHE/log/x.drv")" "built it" "a log"
    assert_eq "$(curl "$CACHE/realisations/sha256:00!out.doi" | jq -r .id)" "sha256:00!out"
    assert_eq "$(curl "$CACHE/debuginfo/ab12" | jq -r .member)" data
done
assert_eq "$(nix_requests "GET /(log|realisations|debuginfo)/.* 200")" 3 "each once"
# the upstream's name of the archive, which debuginfo has
curl "$CACHE/debuginfo/../$nar" >"$SCRATCH/got"
cmp "$SCRATCH/got" "$SCRATCH/up/$nar" || fail "the archive by its other name"
curl -r 1000-1999 "$CACHE/$ours" >"$SCRATCH/got"
cmp "$SCRATCH/got" <(dd if="$SCRATCH/up/$nar" bs=1000 skip=1 count=1 status=none)
# what was removed comes again
stop_daemon
find "$SCRATCH/kept/main" -type f -exec touch -d "2 days ago" {} +
role "upstreams = \"$NIX_URL\"
keep_duration = 1000"
curl "${t[@]}" -X POST "$CACHE/main/gc" >"$SCRATCH/gc"
assert_eq "$(find "$SCRATCH/kept/main/nar" -name '*.nar.xz' | wc -l)" 0 "$(cat "$SCRATCH/gc")"
assert_eq "$(pull "$CACHE" "$c")" "$(nix_hash_of "$c")" "brought again"
assert_eq "$(status "$CACHE/log/none.drv")" 404
stop "$NIX_PID" || true
[ "$(status "$CACHE/log/other.drv")" -ge 500 ] || fail "a false 404"
note "as their clients call it"
