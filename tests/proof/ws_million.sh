#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
# A workspace in which a million inodes were touched: see tests/mount/ws_touched.sh
set -euo pipefail
WS_NODES=${WS_NODES:-1000000} exec bash "${SCORPIO_SRC:-.}/tests/mount/ws_touched.sh"
