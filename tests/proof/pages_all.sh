#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# tests/fault/pages.sh with every page of the store
set -euo pipefail
PAGES=0 exec "${SCORPIO_SRC:-.}/tests/fault/pages.sh"
