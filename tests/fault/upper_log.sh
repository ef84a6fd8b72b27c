#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# The log of a workspace cut at any place after a crash is a state that was, in
# order, and is gone on with; a damaged checkpoint is refused with words and
# left alone; a journal that overflowed says "too old", and the next clock works
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires fuse git curl python3

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo small >"$SCRATCH/repo/small"
seq 20000 >"$SCRATCH/repo/d/numbers"
git_commit "$SCRATCH/repo" files
start_daemon
m=$SCRATCH/m
ws=$DAEMON_STORE/workspaces/w
again() { # a new daemon brings the mount of the killed one back
    is_mounted "$m" && unmount_lazily "$m"
    start_daemon
    wait_until 30 mount_answers "$m"
}
mount_source "$SCRATCH/repo" "$m" --workspace w

# each step leaves one mark; a later one is never there without the earlier
for i in {01..20}; do
    mkdir "$m/step$i"
    echo "$i" >"$m/step$i/file"
    mv "$m/step$i/file" "$m/step$i/named"
    ln "$m/step$i/named" "$m/step$i/twice"
done
kill_daemon
is_mounted "$m" && unmount_lazily "$m"
log=$(find "$ws" -name 'log.*' | sort | tail -n 1)
cp -a "$ws" "$SCRATCH/whole"
size=$(stat -c %s "$log")
[ "$size" -gt 4000 ] || fail "the log has $size bytes only"

steps() { # what is there: a number, and nothing behind a gap
    python3 - "$m" <<'END_PY'
import os, sys
top, whole, last = sys.argv[1], 0, False
for i in range(1, 21):
    d = '%s/step%02d' % (top, i)
    names = sorted(os.listdir(d)) if os.path.isdir(d) else None
    if last and names is not None:
        sys.exit('step %d is there behind a gap' % i)
    if names == ['named', 'twice']:
        whole = i
        a, b = (os.stat(d + '/' + n) for n in names)
        if a.st_ino != b.st_ino or a.st_nlink != 2:
            sys.exit('step %d: not one file' % i)
        if open(d + '/named').read() not in ('', '%02d\n' % i):
            sys.exit('step %d: wrong content' % i)
    else:
        last = True
        if names not in (None, [], ['file'], ['named']):
            sys.exit('step %d: %r' % (i, names))
print(whole)
END_PY
}
was=-1
for part in 0 17 50 90 100; do
    cut=$((size * part / 100))
    is_mounted "$m" && unmount_lazily "$m"
    rm -rf "$ws"
    cp -a "$SCRATCH/whole" "$ws"
    truncate -s "$cut" "$log"
    again
    n=$(steps) || fail "cut at $cut of $size"
    [ "$n" -ge "$was" ] || fail "a longer log has less: $n after $was"
    was=$n
    [ "$(wc -l <"$m/d/numbers")" -eq 20000 ] || fail "the revision's file"
    # it goes on, and what comes now survives as well
    echo "$part" >"$m/after"
    kill_daemon
    again
    assert_eq "$(cat "$m/after")" "$part" "after the cut at $cut"
    assert_eq "$(steps)" "$n" "steps after another crash"
    kill_daemon
done
assert_eq "$was" 20 "steps of the whole log"

# a damaged checkpoint: not an empty workspace, and nothing is removed
again
within 60 scorpio_cli umount "$m" >/dev/null
cp -a "$ws" "$SCRATCH/closed"
printf '\377\377\377\377' | dd of="$ws/checkpoint" bs=1 seek=200 \
    conv=notrunc status=none
assert_fails within 60 scorpio_cli mount "$SCRATCH/repo" "$m" --workspace w
assert_contains "$OUTPUT" "checkpoint of changes is damaged"
is_mounted "$m" && fail "mounted with a damaged checkpoint"
diff -r "$SCRATCH/closed/upper" "$ws/upper" || fail "content was removed"
cp "$SCRATCH/closed/checkpoint" "$ws/checkpoint"
mount_source "$SCRATCH/repo" "$m" --workspace w >/dev/null
assert_eq "$(steps)" 20 "with its checkpoint again"

# more changes than the journal remembers
id=$(curl -fsS --noproxy '*' "$DAEMON_URL/api/v1/mounts" | python3 -c '
import json, sys
v = json.load(sys.stdin)
print((v if isinstance(v, list) else v["mounts"])[0]["id"])')
journal() { # QUERY - code, then the answer in $SCRATCH/answer
    curl -sS --noproxy '*' -m 60 -o "$SCRATCH/answer" -w '%{http_code}' \
        "$DAEMON_URL/api/v1/mounts/$id/journal$1"
}
clock() { python3 -c 'import json, sys
print(json.load(open(sys.argv[1]))["clock"])' "$SCRATCH/answer"; }
assert_eq "$(journal "")" 200
before=$(clock)
python3 - "$m/small" <<'END_PY'
import os, sys
for i in range(66000):
    os.chmod(sys.argv[1], 0o600 + i % 2 * 0o44)
END_PY
assert_eq "$(journal "?since=$before&timeout=0")" 410 "a journal that forgot"
assert_contains "$(cat "$SCRATCH/answer")" TOO_OLD
assert_eq "$(journal "")" 200
now=$(clock)
touch "$m/told"
assert_eq "$(journal "?since=$now&timeout=10")" 200
assert_contains "$(cat "$SCRATCH/answer")" '"told"'
# what the changes are is known all the same
assert_contains "$(scorpio_cli status "$m")" told
