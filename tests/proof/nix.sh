#!/bin/bash
# timeout: 7200
# tests/mount/nix.sh in every compression, with 20 000 small files
set -euo pipefail
export NIX_COMPRESSIONS="${NIX_COMPRESSIONS:-none zstd xz bzip2 br gzip}"
export NIX_FILES=${NIX_FILES:-20000}
. "${SCORPIO_SRC:-.}/tests/mount/nix.sh"
