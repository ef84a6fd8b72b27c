#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The conformance checks in a workspace: on what came with the revision, and
# in new directories
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

seed_mount
run_posix_ops -s lower "$M" "$TWIN" 'lower_*'
mkdir "$M/new" "$TWIN/new"
run_posix_ops "$M/new" "$TWIN/new" '[!l]*' 'l[!o]*' 'lock_*'
assert_eq "$(ls -A "$M/new")" "" "left behind"
