#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# What upper_full.sh shows, where the disk has room but the quota is used up, and
# then is raised
set -euo pipefail
UPPER_LIMIT=quota exec bash "${SCORPIO_SRC:-.}/tests/fault/upper_full.sh"
