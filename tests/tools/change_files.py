#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""change_files.py REPO REV BRANCH=N[%]... | git fast-import

A commit on REV for each BRANCH that adds a line to N of its files, spread evenly.
"""
import subprocess
import sys

from tar2git import quote

WHEN = 1700000000 + 2 * 86400


def files_of(repo, rev):
    out = subprocess.run(["git", "-C", repo, "ls-tree", "-rz", rev],
                         check=True, stdout=subprocess.PIPE).stdout
    for entry in out.split(b"\0")[:-1]:
        head, path = entry.split(b"\t", 1)
        mode, _, blob = head.split()
        if mode.startswith(b"100"):
            yield mode, blob, path.decode("utf-8", "surrogateescape")


def main():
    repo, rev = sys.argv[1:3]
    files = list(files_of(repo, rev))
    parent = subprocess.run(["git", "-C", repo, "rev-parse", rev + "^{commit}"],
                            check=True, stdout=subprocess.PIPE).stdout.strip()
    cat = subprocess.Popen(["git", "-C", repo, "cat-file", "--batch"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out = sys.stdout.buffer
    for arg in sys.argv[3:]:
        branch, n = arg.split("=")
        n = len(files) * int(n[:-1]) // 100 if n.endswith("%") else int(n)
        out.write(b"commit refs/heads/%s\n" % branch.encode())
        out.write(b"committer Tester <tester@example.org> %d +0000\n" % WHEN)
        out.write(b"data 6\nchange\nfrom %s\n" % parent)
        for i in range(n):
            mode, blob, path = files[i * len(files) // n]
            cat.stdin.write(blob + b"\n")
            cat.stdin.flush()
            size = int(cat.stdout.readline().split()[2])
            data = cat.stdout.read(size + 1)[:-1] + b"\n/* %s */\n" % branch.encode()
            out.write(b"M %s inline %s\ndata %d\n" % (mode, quote(path), len(data)))
            out.write(data + b"\n")
    cat.stdin.close()
    cat.wait()


main()
