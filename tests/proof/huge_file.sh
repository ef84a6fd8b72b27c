#!/bin/bash
# timeout: 7200
# tests/mount/large_file.sh with a file of 5 GiB
set -euo pipefail
export LARGE_MIB=${LARGE_MIB:-5120}
. "${SCORPIO_SRC:-.}/tests/mount/large_file.sh"
