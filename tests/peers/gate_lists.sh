#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# What the gateway says beyond trees: change lists from branches, by page, status
# and author; the last commit of each entry of a directory; who made a revision;
# content by parts and by what the client has already; through a second gateway,
# and by the history that is fetched from a server that speaks Git alone
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gate.sh"
requires git python3 curl

R=$SCRATCH/repo
git_repo "$R"
mkdir -p "$R/a/b" "$R/odd é+#"
echo 1 >"$R/a/b/one"
echo 1 >"$R/a/two"
echo 1 >"$R/three"
echo 1 >"$R/odd é+#/日本"
git_commit "$R" "the first é" 1700000000
echo 2 >"$R/a/b/one"
git_commit "$R" second 1700000100
echo 3 >"$R/three"
git_commit "$R" third 1700000200
for i in 1 2 3 4 5; do
    git -C "$R" checkout -q -b "cl/$i" main
    echo "$i" >"$R/new$i"
    GIT_AUTHOR_NAME="Author $i" git_commit "$R" "change $i" $((1700001000 + i))
done
git -C "$R" checkout -q main
git -C "$R" merge -q --ff-only cl/1
git -C "$R" branch other

gateway "$SCRATCH/one" "$R" 'cl_prefix = "cl/"'
one=$GATE one_pid=$DAEMON_PID

list() { # STATUS ASC PAGE PER [MORE] - total and links
    curl -fsS --noproxy '*' -m 60 -H 'Content-Type: application/json' -d \
        "{\"pagination\":{\"page\":$3,\"per_page\":$4},
          \"additional\":{\"status\":\"$1\",\"asc\":$2${5:-}}}" \
        "$GATE/api/v1/cl/list" >"$SCRATCH/list${TAG:-}"
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
assert d["req_result"] is True, d
print(d["data"]["total"], *[i["link"] for i in d["data"]["items"]])' \
        "$SCRATCH/list${TAG:-}"
}

checks() {
    assert_eq "$(list open true 1 20)" "4 2 3 4 5" "open ones, rising"
    assert_eq "$(list open false 1 3)" "4 5 4 3" "the newest first"
    assert_eq "$(list Open false 2 3)" "4 2" "the second page"
    assert_eq "$(list open true 9 3)" "4" "a page behind the last"
    assert_eq "$(list merged true 1 20)" "1 1"
    assert_eq "$(json data items 0 status <"$SCRATCH/list")" Merged
    assert_eq "$(list closed true 1 20)" 0
    assert_eq "$(list '' true 1 20)" "5 1 2 3 4 5"
    assert_eq "$(list open true 1 9 ',"author":"Author 4","labels":[]')" "1 4"
    assert_eq "$(json data items 0 title <"$SCRATCH/list")" "change 4"
    assert_eq "$(json data items 0 open_timestamp <"$SCRATCH/list")" 1700001004
    assert_eq "$(gate_get cl/3/files-list | json data 0 path)" new3
    assert_eq "$(gate_get cl/3/detail | json data path)" /
    for bad in '{}' '{"pagination":{"page":0,"per_page":5}}' nonsense \
        '{"pagination":{"page":1,"per_page":100000}}'; do
        assert_eq "$(gate_code /api/v1/cl/list -d "$bad" \
            -H 'Content-Type: application/json')" 400 "$bad"
        assert_eq "$(json req_result <"$SCRATCH/said")" false
    done
    assert_eq "$(gate_code /api/v1/cl/none/files-list)" 404

    gate_get tree/commit-info -d path=/ >"$SCRATCH/info"
    python3 - "$SCRATCH/info" <<'END' || fail "$(cat "$SCRATCH/info")"
import json, sys
got = [(i["name"], i["content_type"], i["commit_message"], i["date"])
       for i in json.load(open(sys.argv[1]))["data"]]
assert got == [
    ("a", "directory", "second", "1700000100"),
    ("odd é+#", "directory", "the first é", "1700000000"),
    ("new1", "file", "change 1", "1700001001"),
    ("three", "file", "third", "1700000200")], got
END
    assert_eq "$(gate_get tree/commit-info -d path=/a | json data 1 commit_id)" \
        "$(git -C "$R" rev-parse main~3)" "the commit of /a/two"
    assert_eq "$(gate_get tree/commit-info -d path=/a/b -d refs=cl/4 |
        json data 0 commit_message)" second
    assert_eq "$(gate_get tree/commit-info --data-urlencode 'path=/odd é+#' |
        json data 0 name)" 日本
    assert_eq "$(gate_get tree/commit-info -d path=/nope | json data)" '[]'
    assert_eq "$(gate_code '/api/v1/tree/commit-info?path=x')" 400
}

note "lists and history"
checks
assert_eq "$(gate_get latest-commit | json short_message)" "change 1"
assert_eq "$(gate_get latest-commit | json author)" "Author 1"
assert_eq "$(gate_get latest-commit | json committer)" "Tester"

note "content by parts, and not again"
seq 100000 >"$R/long"
git_commit "$R" long
long=$(git -C "$R" rev-parse main:long)
gate_get latest-commit >/dev/null
gate_get tree/content-hash >/dev/null
part() { # RANGE
    curl -fsS --noproxy '*' -m 20 -H "Range: bytes=$1" \
        "$GATE/api/v1/file/blob/$long"
}
cmp <(part 0-9) <(head -c 10 "$R/long")
cmp <(part 300000-) <(tail -c +300001 "$R/long")
cmp <(part -77) <(tail -c 77 "$R/long")
cmp <(part 588000-99999999999) <(tail -c +588001 "$R/long")
for beyond in 9999999- 99999999999999999999999-; do
    code=$(gate_code "/api/v1/file/blob/$long" -H "Range: bytes=$beyond")
    assert_eq "$code" 416 "$beyond"
done
for odd in 'bytes=5-1' 'bytes=a-b' 'lines=1-2' 'bytes=1-2,4-5' \
    'bytes=-'; do
    assert_eq "$(gate_code "/api/v1/file/blob/$long" -H "Range: $odd")" 200 "$odd"
    cmp "$SCRATCH/said" "$R/long"
done
for path in "file/blob/$long" 'file/tree?path=/a'; do
    tag=$(curl -sS --noproxy '*' -o /dev/null -D - "$GATE/api/v1/$path" |
        sed -n 's/^ETag: //p' | tr -d '\r')
    [ "$tag" ] || fail "no ETag for $path"
    assert_eq "$(gate_code "/api/v1/$path" -H "If-None-Match: $tag")" 304
    [ ! -s "$SCRATCH/said" ]
    assert_eq "$(gate_code "/api/v1/$path" -H 'If-None-Match: "other"')" 200
done
git -C "$R" reset -q --hard main~1

note "through a second gateway"
gateway "$SCRATCH/two" "mono+$one"
checks

note "behind Git's smart HTTP: by its history, without files"
gateway "$SCRATCH/three" "git+$one/.git" 'cl_prefix = "cl/"'
assert_eq "$(gate_get latest-commit | json short_message)" '' "nobody asked yet"
checks
assert_eq "$(gate_get latest-commit | json short_message)" "change 1"
history=$(find "$SCRATCH/three" -name history.git)
for f in three a/two; do
    git -C "$history" cat-file --batch-all-objects --batch-check |
        grep "^$(git -C "$R" rev-parse "main:$f") " && fail "$f came along"
done
grep -r "${one#http://}" "$history/config" && fail "the address is in a file"

note "what is new there is in the next list, whoever else asks"
git -C "$R" checkout -q -b cl/6 main
echo 6 >"$R/new6"
GIT_AUTHOR_NAME="Author 6" git_commit "$R" "change 6" 1700001006
git -C "$R" checkout -q main
assert_eq "$(list open true 1 20)" "5 2 3 4 5 6"
git -C "$R" branch -q -D cl/6
pids=()
for i in 1 2 3 4 5 6; do
    TAG=.$i list open true 1 20 >"$SCRATCH/told$i" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
for i in 1 2 3 4 5 6; do
    assert_eq "$(cat "$SCRATCH/told$i")" "4 2 3 4 5" "a list of that moment"
done

note "the server gone: what is known is told, lists are not"
stop "$one_pid" TERM || true
assert_eq "$(gate_get tree/commit-info -d path=/a | json data 1 commit_id)" \
    "$(git -C "$R" rev-parse main~3)"
case $(gate_code /api/v1/cl/list -H 'Content-Type: application/json' \
    -d '{"pagination":{"page":1,"per_page":5},"additional":{}}') in
502 | 503 | 504) ;; *) fail "a list without the server: $(cat "$SCRATCH/said")" ;;
esac

note "where nobody can tell"
gateway "$SCRATCH/four" "git+ssh://127.0.0.1:1/r.git"
assert_eq "$(gate_code /api/v1/cl/list -H 'Content-Type: application/json' \
    -d '{"pagination":{"page":1,"per_page":5},"additional":{}}')" 501
assert_eq "$(gate_code '/api/v1/tree/commit-info?path=/')" 501
