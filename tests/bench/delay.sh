#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 20 ms away: 500 scattered files. With tc netem on a veth pair between two
# network namespaces; where the kernel has no netem, through a relay that
# delays data by the same (said in the rows).
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
if set_up_netem 2>/dev/null; then
    # shellcheck disable=SC2034 # git_server.sh
    GIT_SERVER_WRAP=(ip netns exec "$ns")
    start_git_server "$FIXTURES" 10.213.7.2
    base=$GIT_URL
else
    how="relay; this kernel has no netem"
    start_git_server "$FIXTURES"
    port=$(free_port)
    start relay python3 "$TESTLIB/delay_relay.py" "$port" "$GIT_PORT" 20
    wait_until 10 grep -q ready "$SCRATCH/relay.log"
    base=http://127.0.0.1:$port/git
fi
url=$base/$(basename "$REPO")
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
timed scorpio_cli warmup "@$SCRATCH/list"
report "scorpio warmup @LIST" "<= 20"
SPENT=$("$BENCH_FS" read "$SCRATCH/list" 1 | cut -d' ' -f1)
row "20 ms away: reading them after the warmup" "$(calc "$SPENT * 1000" 0)" " ms"
settle
timed cat "$(head -n1 "$SCRATCH/list")"
row "20 ms away: one cold file" "$(calc "$SPENT * 1000" 0)" " ms" "<= 80" "$how"
