#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
# Stock git-lfs through the gateway: an object of 1 GiB, 10 000 small ones
set -euo pipefail
GATE_LFS_MIB=${GATE_LFS_MIB:-1024} GATE_LFS_SMALL=${GATE_LFS_SMALL:-10000} \
    exec bash "${SCORPIO_SRC:-.}/tests/peers/gate_lfs_many.sh"
