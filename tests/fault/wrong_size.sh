#!/bin/bash
# timeout: 120
# A server tells wrong sizes: nobody gets a file cut there, or zeroes behind its
# end, as whole; one error, and then the file is right, without remounting
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq python3

git_repo "$SCRATCH/repo"
seq 1 20000 >"$SCRATCH/repo/file"
git_commit "$SCRATCH/repo" file
publish "$SCRATCH/repo" repo.git
git -C "$SCRATCH/www/repo.git" config transfer.advertiseObjectInfo true
id=$(git -C "$SCRATCH/repo" rev-parse HEAD:file)
size=$(stat -c %s "$SCRATCH/repo/file")
start_fault_server "$SCRATCH/www"

tell() { # SIZE - whenever the server is asked for sizes
    fault_add "$(jq -n --arg id "$id" --arg told "$1" '
        def line: (. | length + 4) as $n | ("0123456789abcdef" / "") as $hex |
            "00" + $hex[$n / 16 | floor] + $hex[$n % 16] + .;
        { command: "object-info", kind: "replace", times: -1,
          type: "application/x-git-upload-pack-result",
          body: (("size" | line) + ("\($id) \($told)" | line) + "0000") }')"
}

for told in 5 $((size - 1)) $((size + 1)) $((size + 100000)); do
    write_config "$SCRATCH/$told"
    # nor does the content come along with the size
    printf '[fetch]\nretries = 0\n[fs]\nread_ahead = 0\n' >>"$DAEMON_CONFIG"
    start_daemon
    m=$SCRATCH/$told/m
    tell "$told"
    mount_source "$FAULT_URL/repo.git" "$m" --rev main
    assert_eq "$(stat -c %s "$m/file")" "$told" "the size as it was told"
    for i in 1 2 3; do # three readers who begin together
        { cat "$m/file" >"$SCRATCH/out$i" 2>/dev/null && touch "$SCRATCH/ok$i"; } &
        readers[i]=$!
    done
    for i in 1 2 3; do
        wait "${readers[i]}" || true
        [ ! -e "$SCRATCH/ok$i" ] || cmp "$SCRATCH/out$i" "$SCRATCH/repo/file" ||
            fail "told $told: reader $i was given $(stat -c %s "$SCRATCH/out$i")"
        rm -f "$SCRATCH/ok$i"
    done
    cmp "$m/file" "$SCRATCH/repo/file" || fail "told $told: not corrected"
    assert_eq "$(stat -c %s "$m/file")" "$size" "the size after the content"
    assert_eq "$(metric scorpio_fs_sizes_corrected_total)" 1 "corrections"
    fault_clear
    scorpio_cli umount "$m"
    stop_daemon
done

# nobody would ever read, and so find out, what is said to be empty
write_config "$SCRATCH/empty"
start_daemon
m=$SCRATCH/empty/m
tell 0
mount_source "$FAULT_URL/repo.git" "$m" --rev main
assert_eq "$(stat -c %s "$m/file")" "$size" "the size of a file said to be empty"
cmp "$m/file" "$SCRATCH/repo/file"
