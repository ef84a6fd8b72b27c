#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nix_seekable.py PLAIN OUT FRAME - zstd in frames of FRAME plain bytes with a
seek table at the end (zstd's seekable format), made with the zstd program."""
import struct
import subprocess
import sys

plain, out, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
entries = []
with open(plain, "rb") as src, open(out, "wb") as dst:
    while True:
        part = src.read(size)
        if not part:
            break
        packed = subprocess.run(["zstd", "-q", "-1", "-c"], input=part,
                                stdout=subprocess.PIPE, check=True).stdout
        dst.write(packed)
        entries.append((len(packed), len(part)))
    table = b"".join(struct.pack("<II", *e) for e in entries)
    table += struct.pack("<IBI", len(entries), 0, 0x8f92eab1)
    dst.write(struct.pack("<II", 0x184d2a5e, len(table)) + table)
