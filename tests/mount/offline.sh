#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 100
# A recorded view of a branch comes back at its commit when the daemon starts with
# offline = true, also after the branch went on, and is there whole; a branch that
# was never asked for is refused
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d
seq 1000 >"$REPO/d/numbers"
echo one >"$REPO/which"
serve_repo
start_daemon --no-keeper
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m" --rev main
first=$(git -C "$REPO" rev-parse main)
assert_same_tree "$m" "$REPO"

cp -r "$REPO" "$SCRATCH/one"
echo two >"$REPO/which"
git_commit "$REPO" second
publish "$REPO" repo.git
mount_source "$FAULT_URL/repo.git" "$SCRATCH/n" --rev main
assert_same_tree "$SCRATCH/n" "$REPO"
stop_daemon

sed -i '1i offline = true' "$DAEMON_CONFIG"
start_daemon --no-keeper
back() { is_mounted "$m" && is_mounted "$SCRATCH/n"; }
poll_until 30 back || fail "$(scorpio_cli list; tail -n5 "$SCRATCH/daemon-$DAEMON_PORT.log")"
assert_eq "$(scorpio_cli list --json | jq -r --arg d "$m" \
    '.mounts[] | select(.dir == $d) | .rev')" "$first" \
    "the commit"
assert_same_tree "$m" "$SCRATCH/one"
assert_same_tree "$SCRATCH/n" "$REPO"
assert_fails scorpio_cli mount --ro "$FAULT_URL/repo.git" "$SCRATCH/o" --rev never
