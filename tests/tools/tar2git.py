#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tar2git.py [--strip N] < TAR | git fast-import

Turns a tar archive into a fast-import stream with two commits on
refs/heads/main and fixed dates: the archive, and the same with every
hundredth regular file changed (tag `first` names the first one).
"""
import argparse
import sys
import tarfile

EPOCH = 1700000000
WHO = b"Tester <tester@example.org>"


def quote(path):
    raw = path.encode("utf-8", "surrogateescape")
    out = bytearray(b'"')
    for c in raw:
        if c in b'"\\' or c < 32 or c > 126:
            out += b"\\%03o" % c
        else:
            out.append(c)
    return bytes(out) + b'"'


def commit(out, mark, when, text, parent=None):
    out.write(b"commit refs/heads/main\nmark :%d\n" % mark)
    out.write(b"committer %s %d +0000\n" % (WHO, when))
    out.write(b"data %d\n%s\n" % (len(text), text))
    if parent:
        out.write(b"from :%d\n" % parent)


def put(out, mode, path, data):
    out.write(b"M %s inline %s\ndata %d\n" % (mode, quote(path), len(data)))
    out.write(data)
    out.write(b"\n")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--strip", type=int, default=1)
    strip = args.parse_args().strip
    out = sys.stdout.buffer
    changed = []
    count = 0
    out.write(b"feature done\n")
    commit(out, 1, EPOCH, b"the archive")
    tar = tarfile.open(fileobj=sys.stdin.buffer, mode="r|",
                       errors="surrogateescape")
    for member in tar:
        path = "/".join(member.name.split("/")[strip:])
        if not path or path.startswith(".git/"):
            continue
        if member.issym():
            put(out, b"120000", path,
                member.linkname.encode("utf-8", "surrogateescape"))
        elif member.isreg():
            data = tar.extractfile(member).read()
            mode = b"100755" if member.mode & 0o100 else b"100644"
            put(out, mode, path, data)
            count += 1
            if count % 100 == 0:
                changed.append((mode, path, data))
    commit(out, 2, EPOCH + 86400, b"every hundredth file changed", 1)
    for mode, path, data in changed:
        put(out, mode, path, data + b"\n/* changed */\n")
    out.write(b"reset refs/tags/first\nfrom :1\n\ndone\n")


if __name__ == "__main__":
    main()
