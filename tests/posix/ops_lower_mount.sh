#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The conformance checks in directories of the revision whose only file has
# been removed
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"

seed_mount
run_posix_ops -s lower -i -x 'list_large' "$M" "$TWIN" '[!l]*' 'l[!o]*' 'lock_*'
assert_eq "$(cd "$M/lower" && echo [!l]* l[!o]* lock_*)" \
    "$(cd "$TWIN/lower" && echo [!l]* l[!o]* lock_*)" "directories left"
