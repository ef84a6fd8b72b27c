#!/bin/bash
# timeout: 200
# Packs with valid checksums whose deltas are broken: each read ends with an
# error in time and without a wrong byte, and is right as soon as the server is
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq python3

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
for i in $(seq 0 20); do
    seq "$i" 900 >"$SCRATCH/repo/d/f$i"
done
git_commit "$SCRATCH/repo" files
publish "$SCRATCH/repo" repo.git
cat >"$SCRATCH/pack.py" <<'PY'
"""pack.py KIND BASE TARGET - git's answer to a fetch of TARGET, as a delta"""
import base64, hashlib, json, struct, sys, zlib
kind, base, want = sys.argv[1], *(open(f, "rb").read() for f in sys.argv[2:4])

def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])

def entry(type_, data, before=b"", size=None):
    n = len(data) if size is None else size
    head, n = n & 15 | type_ << 4, n >> 4
    out = b""
    while n:
        out += bytes([head | 128])
        head, n = n & 127, n >> 7
    return out + bytes([head]) + before + zlib.compress(data)

def insert(data):
    return b"".join(bytes([len(data[i:i + 127])]) + data[i:i + 127]
                    for i in range(0, len(data), 127))

def copy(at, n):
    return b"\xbf" + struct.pack("<I", at) + struct.pack("<H", n)

tail = 0
while want[-tail - 1:] == base[-tail - 1:] and tail < min(len(want), len(base)):
    tail += 1
made = insert(want[:len(want) - tail]) + copy(len(base) - tail, tail)
head = varint(len(base)) + varint(len(want))
base_id = hashlib.sha1(b"blob %d\0" % len(base) + base).digest()
delta = head + made
count, objects = 2, None
if kind == "beyond":      # copies what is behind the end of its base
    delta = head + insert(want[:-tail]) + copy(len(base) - tail + 1, tail)
elif kind == "short":     # ends before its result is whole
    delta = head + made[:-7]
elif kind == "torn":      # ends within an instruction
    delta = delta[:-2]
elif kind == "long":      # makes more than it said
    delta = head + made + insert(b"more")
elif kind == "base-size": # of a base of another size
    delta = varint(len(base) + 5) + varint(len(want)) + made
elif kind == "huge":      # says that it makes 2^60 bytes
    delta = varint(len(base)) + varint(1 << 60) + made
elif kind == "reserved":  # an instruction that does not exist
    delta = head + b"\0" + made
elif kind == "other":     # well-formed, of other content
    delta = head + insert(b"x" * (len(want) - tail)) + copy(0, tail)
elif kind == "no-base":   # its base is nowhere
    count, objects = 1, entry(7, delta, bytes(20))
elif kind == "itself":    # its base is itself
    count, objects = 1, entry(6, delta, b"\0")
elif kind == "outside":   # its base lies before the pack
    count, objects = 1, entry(6, delta, b"\xff\xff\xff\x7f")
elif kind == "entry-size": # the pack says another length than it inflates to
    objects = entry(3, base) + entry(7, delta, base_id, len(delta) + 9)
elif kind != "good":
    sys.exit("no such kind")
if objects is None:
    objects = entry(3, base) + entry(7, delta, base_id)
pack = b"PACK" + struct.pack(">II", 2, count) + objects
pack += hashlib.sha1(pack).digest()
body = b"000dpackfile\n"
for i in range(0, len(pack), 60000):
    part = b"\1" + pack[i:i + 60000]
    body += b"%04x" % (len(part) + 4) + part
print(json.dumps({"command": "fetch", "kind": "replace", "times": -1,
                  "type": "application/x-git-upload-pack-result",
                  "base64": base64.b64encode(body + b"0000").decode()}))
PY
start_fault_server "$SCRATCH/www"
write_config
cat >>"$DAEMON_CONFIG" <<'END2'
[fetch]
retries = 0
timeout = "8s"
stall_timeout = "3s"
[fs]
read_ahead = 0
END2
m=$SCRATCH/m
afresh() { # a daemon that knows the names and nothing else
    if [ "${DAEMON_PID:-}" ]; then
        scorpio_cli umount "$m"
        stop_daemon
    fi
    rm -rf "$DAEMON_STORE"
    start_daemon
    mount_source "$FAULT_URL/repo.git" "$m" --rev main
    ls -R "$m" >/dev/null
}

next=0
answer() { # KIND - to whoever asks for the next file
    next=$((next + 1))
    python3 "$SCRATCH/pack.py" "$1" "$SCRATCH/repo/d/f0" \
        "$SCRATCH/repo/d/f$next" >"$SCRATCH/fault"
    fault_add "$(cat "$SCRATCH/fault")"
}
afresh
answer good # the packs are as they should be, but for what is broken in them
cmp "$m/d/f1" "$SCRATCH/repo/d/f1"
fault_clear
for kind in beyond short torn long base-size huge reserved other no-base itself \
    outside entry-size; do
    afresh
    answer "$kind"
    code=0
    within 30 cat "$m/d/f$next" >"$SCRATCH/out" 2>"$SCRATCH/err" || code=$?
    note "$kind: exit $code: $(cat "$SCRATCH/err")"
    [ $code -ne 0 ] || fail "$kind: it was read"
    [ ! -s "$SCRATCH/out" ] || fail "$kind: something was read"
    grep -q 'Input/output error\|timed out' "$SCRATCH/err" ||
        fail "$kind: $(cat "$SCRATCH/err")"
    fault_clear
    wait_until 20 cmp "$m/d/f$next" "$SCRATCH/repo/d/f$next"
done
daemon_answers || fail "the daemon is gone"
