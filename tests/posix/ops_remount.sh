#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# What the conformance checks leave behind (every kind of file, mode, link,
# attribute, moved directory) is the same after unmount and mount, after a
# stop of the daemon, and after kill -9
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

seed_mount
# not those whose outcome is up to chance or to the file system
leave=(-x 'race_*' -x append_together -x 'lock_*' -x open_tmpfile
    -x falloc_shift -x open_direct -x truncate_grow -x list_large
    -x map_unlinked)
run_posix_ops -k -s lower -i "${leave[@]}" "$M" "$TWIN"
same_now "at once" lower
rw_remount "$REPO" "$M"
same_now "after unmount and mount" lower
stop_daemon
revive "$REPO" "$M"
same_now "after a stop of the daemon" lower
kill_daemon
revive "$REPO" "$M"
same_now "after kill -9" lower
