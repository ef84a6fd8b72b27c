#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 20 ms away: 500 scattered files; and one file at depth 6, in round trips. With
# tc netem on a veth pair between two network namespaces; where the kernel has
# no netem, through a relay that delays data by the same (said in the rows).
set -euo pipefail
. "$SCORPIO_SRC/tests/bench/lib.sh"

bench_tree
ns=scorpio-$$
how=netem
set_up_netem() {
    ip netns add "$ns" && at_exit ip netns del "$ns"
    ip link add "sc$$" type veth peer name "sd$$" netns "$ns" || return 1
    ip addr add 10.213.7.1/24 dev "sc$$"
    ip link set "sc$$" up
    ip -n "$ns" addr add 10.213.7.2/24 dev "sd$$"
    ip -n "$ns" link set "sd$$" up
    ip -n "$ns" link set lo up
    tc qdisc add dev "sc$$" root netem delay 10ms &&
        tc -n "$ns" qdisc add dev "sd$$" root netem delay 10ms
}
relay() { # MS - a way to the server of so long a round trip, in RELAY
    local port
    port=$(free_port)
    start "relay$1" python3 "$TESTLIB/delay_relay.py" "$port" "$GIT_PORT" "$1"
    wait_until 10 grep -q ready "$SCRATCH/relay$1.log"
    RELAY=http://127.0.0.1:$port/git
}
if set_up_netem 2>/dev/null; then
    # shellcheck disable=SC2034 # git_server.sh
    GIT_SERVER_WRAP=(ip netns exec "$ns")
    start_git_server "$FIXTURES" 10.213.7.2
    base=$GIT_URL
else
    how="relay; this kernel has no netem"
    start_git_server "$FIXTURES"
    relay 20
    base=$RELAY
fi
url=$base/$(basename "$REPO")
farther() { # 100 ms
    if [ "$how" = netem ]; then
        tc qdisc change dev "sc$$" root netem delay 50ms
        tc -n "$ns" qdisc change dev "sd$$" root netem delay 50ms
    else
        relay 100
        url=$RELAY/$(basename "$REPO")
    fi
}
"$BENCH_FS" list "$TREE" >"$SCRATCH/all"
step=$(($(wc -l <"$SCRATCH/all") / 500))
awk -v s=$step 'NR % s == 0 && n++ < 500' "$SCRATCH/all" |
    sed "s|^$TREE|$MNT|" >"$SCRATCH/list"
n=$(wc -l <"$SCRATCH/list")
write_config

settle() { # metadata may still be on its way in the background
    fresh_store
    git_server_reset
    show "$url"
    find "$MNT" -maxdepth 1 -printf '%s\n' >/dev/null
    mounted=$(git_server_requests)
}
spread_out() { xargs -P"$1" -n1 cat <"$SCRATCH/list"; }
report() { # WHAT BUDGET
    row "20 ms away: $n scattered files, $1" "$(calc "$SPENT * 1000" 0)" " ms" "" "$how"
    row "20 ms away: requests, $1" $(($(git_server_requests) - mounted)) "" "${2:-}"
}
settle
SPENT=$("$BENCH_FS" read "$SCRATCH/list" 1 | cut -d' ' -f1)
report "one reader"
settle
SPENT=$("$BENCH_FS" read "$SCRATCH/list" 50 | cut -d' ' -f1)
report "50 readers" "<= 60"
settle
timed spread_out 16
report "xargs -P16 -n1 cat"
settle
timed scorpio_cli warmup "@$SCRATCH/list"
report "scorpio warmup @LIST" "<= 20"
SPENT=$("$BENCH_FS" read "$SCRATCH/list" 1 | cut -d' ' -f1)
row "20 ms away: reading them after the warmup" "$(calc "$SPENT * 1000" 0)" " ms"

# one file at depth 6, all its directories unknown: 2 round trips for them, 1 for
# the content, and what the server works; from far away the trips are what counts
deep=$(cd "$TREE" && find . -mindepth 6 -type f | sort | awk 'NR == 1')
settle
timed cat "$MNT/$deep"
row "20 ms away: one cold file at depth 6" "$(calc "$SPENT * 1000" 0)" " ms" "" "$how"
farther
settle
timed cat "$MNT/$deep"
row "100 ms away: the same, in round trips" "$(calc "$SPENT * 10")" "" \
    "<= 3.50" "the server's own time included"
