#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git_random.py WORKSPACE CLONE SEED ROUNDS - the same random edits in both,
and after every few the same question to git in three ways."""
import os
import random
import shutil
import subprocess
import sys

work, clone, seed, rounds = sys.argv[1:3] + [int(x) for x in sys.argv[3:5]]
rnd = random.Random(seed)
NAMES = ["a", "b", "c", "d.c", "e.o", "f.tmp", "g", "lib", "dir", "foo"]
history = []
last = {clone: "", work: ""}


def entries(top):
    files, dirs = [], [""]
    for base, ds, fs in os.walk(top):
        rel = os.path.relpath(base, top)
        rel = "" if rel == "." else rel + "/"
        ds.sort()
        fs = [f for f in fs if not (rel == "" and f == ".git")]
        if rel == "" and ".git" in ds:
            ds.remove(".git")
        dirs += [rel + d for d in ds if not os.path.islink(base + "/" + d)]
        files += [rel + f for f in sorted(fs)]
    return files, dirs


def path_in(d, name):
    return f"{d}/{name}" if d else name


def write(path, text, mode):
    with open(path, mode) as f:
        f.write(text)


def edit():
    """One random edit as a function of the top directory."""
    files, dirs = entries(clone)
    kind = rnd.choice(["write", "write", "append", "append", "create",
                       "create", "mkdir", "mkdir", "unlink", "rmtree",
                       "mvfile", "mvdir", "mvdir", "chmod", "link", "same",
                       "touch", "replace", "swap", "git"])
    d, name = rnd.choice(dirs), rnd.choice(NAMES)
    f = rnd.choice(files) if files else "x"
    text = f"{rnd.random()}\n"
    to = path_in(d, name)
    if kind in ("write", "append"):
        return kind, f, lambda t: write(f"{t}/{f}", text,
                                        "w" if kind == "write" else "a")
    if kind == "create":
        return kind, to, lambda t: write(f"{t}/{to}", text, "w")
    if kind == "mkdir":
        return kind, to, lambda t: (os.mkdir(f"{t}/{to}"),
                                    write(f"{t}/{to}/in", text, "w")
                                    if rnd_flag else None)
    if kind == "unlink":
        return kind, f, lambda t: os.unlink(f"{t}/{f}")
    if kind == "rmtree" and d and rnd.random() < 0.3:
        return kind, d, lambda t: shutil.rmtree(f"{t}/{d}")
    if kind == "mvfile":
        return kind, (f, to), lambda t: os.rename(f"{t}/{f}", f"{t}/{to}")
    if kind == "mvdir" and d:
        to = path_in(rnd.choice(dirs), name)
        return kind, (d, to), lambda t: os.rename(f"{t}/{d}", f"{t}/{to}")
    if kind == "chmod":
        mode = rnd.choice([0o644, 0o755])
        return kind, f, lambda t: os.chmod(f"{t}/{f}", mode)
    if kind == "link":
        return kind, to, lambda t: os.symlink("a.txt", f"{t}/{to}")
    if kind == "same":  # written, but the same
        return kind, f, lambda t: rewrite(f"{t}/{f}")
    if kind == "touch":
        return kind, f, lambda t: os.utime(f"{t}/{f}")
    if kind == "replace":
        return kind, f, lambda t: (write(f"{t}/{f}.new~", text, "w"),
                                   os.rename(f"{t}/{f}.new~", f"{t}/{f}"))
    if kind == "swap" and d:
        other = rnd.choice(dirs[1:])
        return kind, (d, other), lambda t: (
            os.rename(f"{t}/{d}", f"{t}/swap~"),
            os.rename(f"{t}/{other}", f"{t}/{d}"),
            os.rename(f"{t}/swap~", f"{t}/{other}"))
    if kind == "git":
        command = rnd.choice([
            ["add", "-A"], ["commit", "-qm", "x"], ["stash", "-q"],
            ["stash", "pop", "-q"], ["checkout", "-q", "."],
            ["reset", "-q"], ["checkout", "-q", "HEAD~1"],
            ["checkout", "-q", "main"], ["clean", "-qfd"],
            ["rm", "-qrf", "--ignore-unmatch", d or "a"],
            ["reset", "-q", "--hard"]])
        return kind, command, lambda t: git(t, *command)
    return None


def rewrite(path):
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(data)


def git(top, *args):
    env = dict(os.environ, GIT_COMMITTER_DATE=f"{1700000000 + len(history)} +0000",
               GIT_AUTHOR_DATE=f"{1700000000 + len(history)} +0000")
    return subprocess.run(["git", "-C", top, *args], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def attempt(fn, top):
    try:
        result = fn(top)
        if isinstance(result, subprocess.CompletedProcess):
            last[top] = result.stdout.decode(errors="replace")
            return result.returncode
        return 0
    except OSError as e:
        return e.errno


def status(top, *options):
    r = git(top, *options, "status", "--porcelain", "-z")
    return r.stdout.replace(b"\0", b"\n").decode(errors="replace")


def die(what, *texts):
    print(f"seed {seed}: {what}")
    for t in texts:
        print("---", t, sep="\n")
    print("the last edits:", *history[-12:], sep="\n  ")
    sys.exit(1)


for n in range(rounds):
    for _ in range(rnd.randint(1, 5)):
        rnd_flag = rnd.random() < 0.6
        e = edit()
        if not e:
            continue
        kind, what, fn = e
        history.append(f"{kind} {what}")
        a, b = attempt(fn, clone), attempt(fn, work)
        if a != b:
            die(f"{kind} {what}: clone {a}, workspace {b}", last[clone],
                last[work])
    asked = status(work)
    looked = status(work, "-c", "core.fsmonitor=false",
                    "-c", "core.untrackedCache=false")
    plain = status(clone)
    if not asked == looked == plain:
        die("status differs: monitor, looking, clone", asked, looked, plain)
print(f"{len(history)} edits, {rounds} times the same")
