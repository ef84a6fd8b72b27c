#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by what it sources
# A monorepo behind our gateway and behind the strict stand-in for a Mono server:
# requests, bytes and time for the mount, a deep file, a walk of all metadata at
# the shape that upstream published (2743 directories, 5177 files), 1000 files
# and 50 mounts at once. With BENCH_MONO_DIFF=1 every byte of the tree is compared
# (a quarter of an hour for the stand-in). And the gateway beside git
# http-backend: a clone, and files over one connection.
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"
. "$TESTLIB/mono.sh"
. "$TESTLIB/gate.sh"
requires python3 curl

bench_tree
CLIENT=$SCRATCH/client
mkdir -p "$CLIENT"

# -- a repository of that shape: 2743 directories, 5177 files -----------------------

shape() { # a fast-import stream
    python3 - <<'END'
import sys
out = sys.stdout.buffer
dirs, files = 2743, 5177
paths = ["d%d" % (i // 100) for i in range(0, dirs, 100)]
n = len(paths)
names = [p for p in paths]
i = 0
while len(names) < dirs:
    names.append("%s/s%d" % (names[i // 3], len(names)))
    i += 1
out.write(b"commit refs/heads/main\ncommitter T <t@e> 1700000000 +0000\n"
          b"data 1\nx\n")
for k in range(files):
    text = ("int f%d(void);\n" % k) * (1 + k % 40)
    path = "%s/f%d.c" % (names[k % dirs], k)
    out.write(("M 100644 inline %s\ndata %d\n%s\n" % (path, len(text), text))
              .encode())
END
}
SHAPE=$SCRATCH/shape
git init -q --bare -b main "$SHAPE"
shape | git -C "$SHAPE" fast-import --quiet
git -C "$SHAPE" repack -adq

# -- one server after the other --------------------------------------------------------

serve_gate() { # REPO
    gateway "$SCRATCH/g$((++GATES))" "$1"
    SERVER_PID=$DAEMON_PID SERVER_URL=$DAEMON_URL MONO=$GATE
}
serve_standin() { # REPO
    start "mono$((++GATES))" python3 "$TESTLIB/mono_standin.py" "$1"
    SERVER_PID=$PID
    wait_until 30 grep -q '^[0-9][0-9]*$' "$SCRATCH/mono$GATES.log"
    MONO=http://127.0.0.1:$(head -n1 "$SCRATCH/mono$GATES.log")
    MONO_URL=$MONO # for mono_stat
}
GATES=0
answered() { # KIND - requests so far; at a gateway the next one counts this
    case $1 in
    gate) DAEMON_URL=$SERVER_URL metric scorpio_http_requests_total ;;
    *) mono_stat total ;;
    esac
}
fresh_client() {
    [ -z "${CLIENT_PID:-}" ] || {
        is_mounted "$MNT" && quietly scorpio_cli umount "$MNT"
        stop "$CLIENT_PID" TERM || true
    }
    rm -rf "$CLIENT"
    write_config "$CLIENT"
    sed -i "1i base_url = \"$MONO\"" "$DAEMON_CONFIG" # for at_once
    start_daemon
    CLIENT_PID=$DAEMON_PID
}
# measured KIND WHAT CMD... - its seconds, requests and bytes received
measured() {
    local kind=$1 what=$2 n b
    shift 2
    n=$(answered "$kind") b=$(metric scorpio_http_received_bytes_total)
    timed "$@"
    n=$(($(answered "$kind") - n))
    [ "$kind" = standin ] || n=$((n - 1))
    b=$(($(metric scorpio_http_received_bytes_total) - b))
    row "$kind: $what" "$(calc "$SPENT * 1000" 0)" " ms" "${BUDGET:-}" \
        "$n requests, $((b / 1024)) KiB"
    BUDGET=
}
walk() { find "$MNT" -printf '%s %m %p\n'; }
read_some() { (cd "$MNT" && xargs -d '\n' cat) <"$SCRATCH/some"; }
mount50() {
    local i
    for i in $(seq 50); do
        mkdir -p "$SCRATCH/m/$i"
        (
            s=${EPOCHREALTIME/./}
            scorpio_cli mount --ro "mono+$MONO" "$SCRATCH/m/$i" &&
                echo $((${EPOCHREALTIME/./} - s)) >"$SCRATCH/m/$i.us"
        ) &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
}

# of the Antares API, as upstream measured it
at_once() { # KIND
    local took i at=${DAEMON_URL#http://}
    quietly python3 "$TESTLIB/mounts_at_once.py" "$at" 1 first
    for i in 1 2 3; do
        python3 "$TESTLIB/mounts_at_once.py" "$at" 50 "r$i"
    done >"$SCRATCH/took"
    took=$(sort -n "$SCRATCH/took" | sed -n 2p)
    row "$1: 50 mounts at once by the API, median (upstream 90 ms)" \
        "${took% *}" " ms" "<= 90" "longest ${took#* } ms"
}

both() { # KIND
    local kind=$1 pids=()
    note "-- $kind: $(basename "$REPO")"
    "serve_$kind" "$REPO"
    fresh_client
    BUDGET="<= 300" measured "$kind" "mount" show "mono+$MONO"
    measured "$kind" "a deep file" cat "$MNT/$DEEP"
    measured "$kind" "1000 files" read_some
    mkdir -p "$SCRATCH/m"
    mount50 >/dev/null
    row "$kind: 50 mounts at once, each by a program, median" \
        "$(calc "$(sort -n "$SCRATCH"/m/*.us | sed -n 25p) / 1000" 0)" " ms"
    for i in $(seq 50); do quietly scorpio_cli umount "$SCRATCH/m/$i"; done
    at_once "$kind"
    rm -rf "$SCRATCH/m"
    if [ "${BENCH_MONO_DIFF:-}" ]; then
        timed assert_same_tree "$MNT" "$TREE"
        row "$kind: all of it compared, no difference" "$(calc "$SPENT" 0)" " s"
    fi
    hide
    stop "$SERVER_PID" TERM || true
    "serve_$kind" "$SHAPE"
    fresh_client
    show "mono+$MONO"
    BUDGET="<= 22200" measured "$kind" "walk of 2743 directories, cold (upstream 22.2 s)" walk
    hide
    show "mono+$MONO"
    BUDGET="<= 2500" measured "$kind" "the same, kernel cold (upstream 2.5 s)" walk
    measured "$kind" "the same, warm" walk
    hide
    stop "$SERVER_PID" TERM || true
}

DEEP=$(cd "$TREE" && find . -type f -printf '%d %P\n' | sort -k1,1nr -k2 |
    sed -n '1s/^[0-9]* //p')
(cd "$TREE" && find . -type f | sort | awk 'NR % 70 == 1 && n++ < 1000') \
    >"$SCRATCH/some"
both gate
both standin

# -- the gateway as a server ------------------------------------------------------------

start_git_server "$FIXTURES"
serve_gate "$REPO"
clone() { rm -rf "$SCRATCH/clone"; timed git clone -q --bare --depth 1 "$1" "$SCRATCH/clone"; }
via_gate() { clone "$MONO/.git"; }
via_git() { clone "$GIT_URL/$(basename "$REPO")"; }
times=$((ROUNDS < 3 ? ROUNDS : 3))
rounds $times via_gate via_git
ratio "clone --depth 1: gateway / git http-backend" via_gate via_git "<= 1.20"
rm -rf "$SCRATCH/clone"

git -C "$REPO" ls-tree -r HEAD | awk 'NR % 20 == 1 && $2 == "blob" { print $3 }' |
    sed -n 1,3000p >"$SCRATCH/ids"
mkdir -p "$SCRATCH/www"
while read -r id; do
    git -C "$REPO" cat-file blob "$id" >"$SCRATCH/www/$id"
done <"$SCRATCH/ids"
cat >"$SCRATCH/lighttpd.conf" <<END
server.document-root = "$SCRATCH/www"
server.port = $(free_port)
server.bind = "127.0.0.1"
server.max-keep-alive-requests = 100000
END
port=$(awk '/server.port/ { print $3 }' "$SCRATCH/lighttpd.conf")
start files "$(PATH=$PATH:/usr/sbin command -v lighttpd)" -D -f "$SCRATCH/lighttpd.conf"
wait_until 20 curl -fs --noproxy '*' -o /dev/null \
    "http://127.0.0.1:$port/$(head -n1 "$SCRATCH/ids")"
fetch() { # URL BEFORE ID - all over one connection, as a keep-alive client does
    python3 - "$1" "$2" "$SCRATCH/ids" <<'END'
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1])
n = 0
for oid in open(sys.argv[3]).read().split():
    c.request("GET", sys.argv[2] + oid)
    r = c.getresponse()
    assert r.status == 200
    n += len(r.read())
print(n)
END
}
from_gate() { timed fetch "${MONO#http://}" /api/v1/file/blob/; }
from_files() { timed fetch "127.0.0.1:$port" /; }
from_gate # into the store
rounds $times from_gate from_files
ratio "3000 files, one connection: gateway, warm / plain files" \
    from_gate from_files "<= 2.00"
