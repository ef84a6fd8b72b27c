#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1200
# Two hundred workspaces of one source at once: time to create, memory, sharing
set -euo pipefail
WS_MANY=${WS_MANY:-200} exec bash "${SCORPIO_SRC:-.}/tests/mount/ws_many.sh"
