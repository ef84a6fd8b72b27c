#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gen_repo.py FILES [--seed N] [--size BYTES] | git fast-import --quiet

A synthetic source tree as a fast-import stream: the same for the same
arguments. Directories hold 5 to 30 files and up to 12 directories, eight
levels deep at most; file sizes are spread around BYTES (400); one file in 50 is
executable, one entry in 500 a symbolic link. A second commit changes one file
in a thousand (at least one); tag `first` names the first.
"""
import argparse
import random
import sys

EPOCH = 1700000000
WHO = b"Tester <tester@example.org>"
WORDS = [w.encode() for w in """core util node cache store tree read write sync
net http parse proto type main test data list hash map pool lock queue event
file path name index table page block chunk frame codec stream buffer""".split()]
DEPTH_MAX = 8


def commit(mark, when, text, parent=None):
    from_line = b"from :%d\n" % parent if parent else b""
    return (b"commit refs/heads/main\nmark :%d\ncommitter %s %d +0000\n"
            b"data %d\n%s\n%s" % (mark, WHO, when, len(text), text, from_line))


def directories(rng, files):
    """Directory paths with the number of files of each, parents first."""
    todo = [(b"", 0)]
    at = 0
    left = files
    while left > 0:
        path, depth = todo[at % len(todo)] if at >= len(todo) else todo[at]
        again = b"" if at < len(todo) else b"more%d/" % at
        at += 1
        n = min(left, rng.randint(5, 30))
        left -= n
        yield path + again, n
        if depth < DEPTH_MAX and len(todo) < files:
            for i in range(rng.randint(1, 12)):
                name = b"%s%d/" % (rng.choice(WORDS), i)
                todo.append((path + again + name, depth + 1))


def content(rng, number, size):
    line = b"/* %d */ int %s_%s(int x) { return x + %d; }\n" % (
        number, rng.choice(WORDS), rng.choice(WORDS), number)
    times = max(1, int(rng.expovariate(1.0) * size / len(line)))
    return line * times


def main():
    args = argparse.ArgumentParser()
    args.add_argument("files", type=int)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--size", type=int, default=400)
    args = args.parse_args()
    rng = random.Random(args.seed)
    out = sys.stdout.buffer
    changed = []
    number = 0
    out.write(b"feature done\n")
    out.write(commit(1, EPOCH, b"a synthetic tree"))
    for path, count in directories(rng, args.files):
        for i in range(count):
            number += 1
            name = b"%s%s_%d.c" % (path, rng.choice(WORDS), i)
            if number % 500 == 0:
                mode, data = b"120000", b"../%s" % name.rsplit(b"/", 1)[-1]
            else:
                mode = b"100755" if number % 50 == 0 else b"100644"
                data = content(rng, number, args.size)
                if number % 1000 == 1:
                    changed.append((mode, name, data))
            out.write(b"M %s inline %s\ndata %d\n%s\n"
                      % (mode, name, len(data), data))
    out.write(commit(2, EPOCH + 86400, b"one in a thousand changed", 1))
    for mode, name, data in changed:
        data += b"/* changed */\n"
        out.write(b"M %s inline %s\ndata %d\n%s\n"
                  % (mode, name, len(data), data))
    out.write(b"reset refs/tags/first\nfrom :1\n\ndone\n")


main()
