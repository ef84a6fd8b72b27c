#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
# tests/fault/stress.sh for ten minutes
set -euo pipefail
STRESS_SECONDS=${STRESS_SECONDS:-600} exec "${SCORPIO_SRC:-.}/tests/fault/stress.sh"
