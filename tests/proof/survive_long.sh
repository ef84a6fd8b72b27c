#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# tests/fault/survive.sh with KILLS (1 000) kills of the daemon
set -euo pipefail
export KILLS=${KILLS:-1000}
exec bash "${SCORPIO_SRC:-.}/tests/fault/survive.sh"
