#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hostile HTTP requests: each is refused as it should be, none hurts others.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio python3

start_daemon
within 90 python3 "$SCORPIO_SRC/tests/api/hostile.py" "$DAEMON_PORT" ||
    fail "see above"
assert_eq "$(scorpio_cli list)" "nothing is mounted"
stop "$DAEMON_PID"
