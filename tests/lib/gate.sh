# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by those who source this
#
# gate.sh - gateways for tests; after functions.sh.

# gateway DIR SOURCE [LINES...] - a daemon that serves SOURCE as a Mono server,
# its store and configuration below DIR; LINES go to [monogate]. Sets GATE, its
# address, and DAEMON_PID.
gateway() {
    local port dir=$1 source=$2
    shift 2
    port=$(free_port)
    write_config "$dir"
    {
        printf '[monogate]\nenabled = true\nsource = "%s"\n' "$source"
        printf 'listen = "127.0.0.1:%s"\n' "$port"
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >>"$DAEMON_CONFIG"
    start_daemon
    GATE=http://127.0.0.1:$port
    poll_until 20 curl -fsS --noproxy '*' -o /dev/null \
        "$GATE/api/v1/status" ||
        fail "no gateway: $(cat "$SCRATCH/daemon-$DAEMON_PORT.log")"
}

gate_get() { # PATH [CURL ARGS...]
    curl -fsS --noproxy '*' -m 60 -G "$GATE/api/v1/$1" "${@:2}"
}

gate_code() { # PATH [CURL ARGS...] - the status; the body is in $SCRATCH/said
    : >"$SCRATCH/said"
    curl -sS --noproxy '*' -m 100 -o "$SCRATCH/said" -w '%{http_code}' \
        "$GATE$1" "${@:2}"
}

# json KEYS... - a member of what comes in
json() {
    python3 -c 'import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1:]:
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, str) else json.dumps(v))' "$@"
}
