#!/bin/bash
# timeout: 200
# /metrics is what Prometheus expects, before and after work
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/fixtures.sh"
. "$TESTLIB/repos.sh"
requires scorpio fuse curl git
fixture_promtool
promtool=$FIXTURE

check() {
    curl -fsS --noproxy '*' "$DAEMON_URL/metrics" >"$SCRATCH/metrics"
    "$promtool" check metrics <"$SCRATCH/metrics" >"$SCRATCH/promtool.out" 2>&1 ||
        fail "promtool: $(head -n 20 "$SCRATCH/promtool.out")"
    [ ! -s "$SCRATCH/promtool.out" ] || fail "promtool: $(cat "$SCRATCH/promtool.out")"
}
start_daemon
check
tricky_repo "$SCRATCH/repo"
mount_source "$SCRATCH/repo" "$SCRATCH/m"
find "$SCRATCH/m" -type f -exec cat {} + >/dev/null
check
for name in scorpio_fuse_requests_total scorpio_fuse_read_bytes_total \
    scorpio_fuse_seconds_bucket; do
    grep -q "^$name" "$SCRATCH/metrics" || fail "no $name"
done
[ "$(metric 'scorpio_fuse_requests_total{op="read"}')" -gt 0 ] || fail "no READ counted"
curl -fsSI --noproxy '*' "$DAEMON_URL/metrics" | grep -qi '^content-type: text/plain' ||
    fail "content type"
