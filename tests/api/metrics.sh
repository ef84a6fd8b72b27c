#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# /metrics is what Prometheus expects, and tells of mounts and requests.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl

git_repo "$SCRATCH/repo"
echo x >"$SCRATCH/repo/f"
git_commit "$SCRATCH/repo" one
start_daemon
mount_source "$SCRATCH/repo" "$SCRATCH/mnt"
cat "$SCRATCH/mnt/f" >/dev/null
assert_eq "$(metric scorpio_mounts)" 1
[ "$(metric scorpio_http_requests_total)" -gt 0 ] || fail "no HTTP requests counted"
curl -fsS -m 10 -D "$SCRATCH/head" "$DAEMON_URL/metrics" >"$SCRATCH/metrics"
grep -qi '^content-type: text/plain; version=0.0.4' "$SCRATCH/head" ||
    fail "content type: $(cat "$SCRATCH/head")"
awk '/^#/ { next } !/^[a-z_0-9]+(\{[^}]*\})? -?[0-9.e+-]+$/ { print; bad = 1 }
    END { exit bad }' "$SCRATCH/metrics" || fail "lines of another form"
if command -v promtool >/dev/null; then
    promtool check metrics <"$SCRATCH/metrics" || fail "promtool complains"
else
    note "no promtool here"
fi
