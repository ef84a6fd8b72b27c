#!/bin/bash
# timeout: 3600
# tests/peers/nixcache.sh in every compression, with 500 small paths and one of
# 512 MiB
set -euo pipefail
export NIX_COMPRESSIONS="${NIX_COMPRESSIONS:-none zstd xz bzip2 br gzip}"
export NIX_SMALL=${NIX_SMALL:-500} NIX_LARGE=${NIX_LARGE:-536870912}
. "${SCORPIO_SRC:-.}/tests/peers/nixcache.sh"
