#!/bin/bash
# timeout: 300
# What looking at a monorepo asks of its server: each directory once, each size
# or file once, many at a time, nothing twice
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/mono.sh"
requires fuse git python3 curl

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
mkdir -p "$SCRATCH/repo/many"
for d in $(seq 40); do
    mkdir -p "$SCRATCH/repo/many/d$d/sub"
    for f in $(seq 25); do echo "$d $f" >"$SCRATCH/repo/many/d$d/f$f"; done
    echo "$d" >"$SCRATCH/repo/many/d$d/sub/x"
done
git_commit "$SCRATCH/repo" many
start_mono --no-range --delay 20
write_config
start_daemon

asked() { # WHAT MOST CMD... - at most MOST requests
    local what=$1 most=$2 before n start
    shift 2
    before=$(mono_stat total)
    start=$(now_ms)
    "$@" >"$SCRATCH/out"
    n=$(($(mono_stat total) - before))
    note "$what: $n requests, $(($(now_ms) - start)) ms"
    assert_le $n "$most" "requests for $what"
}

asked 'the mount' 4 mount_source "mono+$MONO_URL" "$SCRATCH/m"
# two directories and their neighbours' trees, one size, one file
asked 'a deep file' 12 cat "$SCRATCH/m/project/deep/er/x.sh"
dirs=$(find "$SCRATCH/repo/many" -type d | wc -l)
asked 'all names of 81 directories' $((dirs + 20)) find "$SCRATCH/m/many"
assert_eq "$(sort "$SCRATCH/out")" \
    "$(cd "$SCRATCH/repo" && find many | sed "s|^|$SCRATCH/m/|" | sort)" names
files=$(find "$SCRATCH/repo/many" -type f | wc -l)
asked "the sizes of $files files" "$files" \
    find "$SCRATCH/m/many" -type f -printf '%s %P\n'
assert_eq "$(sort "$SCRATCH/out")" \
    "$(cd "$SCRATCH/repo/many" && find . -type f -printf '%s %P\n' | sort)" sizes
asked 'the same again' 0 find "$SCRATCH/m/many" -type f -printf '%s %P\n'
asked "the content of $files files" "$files" \
    sh -c "cd '$SCRATCH/m/many' && find . -type f | sort | xargs cat"
assert_eq "$(cksum <"$SCRATCH/out")" \
    "$(cd "$SCRATCH/repo/many" && find . -type f | sort | xargs cat | cksum)" content
asked 'the same again' 0 \
    sh -c "cd '$SCRATCH/m/many' && find . -type f | sort | xargs cat"
most=$(mono_stat most)
note "at most $most requests at once"
[ "$most" -ge 16 ] || fail "only $most requests at once"

# contents without their sizes
scorpio_cli umount "$SCRATCH/m"
stop_daemon
rm -r "$DAEMON_STORE"
start_daemon
mono_reset
mount_source "mono+$MONO_URL" "$SCRATCH/m"
scorpio_cli warmup "$SCRATCH/m" >/dev/null
for at in 'HEAD /file/blob/:0' 'GET /latest-commit:1'; do
    assert_eq "$(mono_stat "${at%:*}")" "${at##*:}" "${at%:*} for a warm"
done
# nobody listens there any more: all is here
stop "$MONO_PID" || true
mono_tree "$SCRATCH/want"
assert_same_tree "$SCRATCH/m" "$SCRATCH/want"
scorpio_cli umount "$SCRATCH/m"

# a gateway that tells modes and sizes: lists alone
start_mono --extras --no-range
stop_daemon
rm -r "$DAEMON_STORE"
start_daemon
mount_source "mono+$MONO_URL" "$SCRATCH/m"
(cd "$SCRATCH/m" && find many project -printf '%m %s %P %l\n') >"$SCRATCH/got"
assert_eq "$(mono_stat 'HEAD /file/blob/')" 0 'HEAD at a gateway'
assert_eq "$(mono_stat 'GET /file/blob/')" 1 'links read at a gateway'
assert_eq "$(grep -E '(/x.sh|large) $' "$SCRATCH/got" | sort)" \
    "$(cd "$SCRATCH/want" && find project \( -name x.sh -o -name large \) \
        -printf '%m %s %P %l\n' | sort)" 'sizes and modes of a gateway'
mono_blameless
