# SPDX-License-Identifier: Apache-2.0
"""The smart HTTP of the stand-in, protocol 0, as far as pushes of one commit: any
directory of the monorepo is a repository whose main is a commit without parents,
made for it; a push does not move it, but leaves refs/pushed/N."""
import os
import re
import subprocess
import urllib.parse

ENV = dict(os.environ, GIT_AUTHOR_NAME="mono", GIT_AUTHOR_EMAIL="m@x",
           GIT_COMMITTER_NAME="mono", GIT_COMMITTER_EMAIL="m@x",
           GIT_AUTHOR_DATE="1700000000 +0000", GIT_COMMITTER_DATE="1700000000 +0000")
ZERO = "0" * 40
ROUTE = re.compile(r"/(.+)\.git/(info/refs|git-receive-pack)(?:\?service=(.+))?\Z")


def git(repo, *args, **more):
    return subprocess.run(["git", "-C", repo] + list(args), env=ENV, check=True,
                          stdout=subprocess.PIPE, **more).stdout


def line(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"%04x" % (len(data) + 4) + data


def main_of(repo, path):
    try:
        tree = git(repo, "rev-parse", "-q", "--verify",
                   "main:" + path).decode().strip()
    except subprocess.CalledProcessError:
        return ZERO
    return git(repo, "commit-tree", tree, "-m", "made up").decode().strip()


def refs(repo, path, service):
    tip = main_of(repo, path)
    caps = "\0report-status report-status-v2 delete-refs quiet atomic no-thin" \
        if service == "git-receive-pack" else "\0multi_ack_detailed no-done"
    out = line("# service=%s\n" % service) + b"0000"
    if tip == ZERO:
        return out + line(ZERO + " capabilities^{}" + caps + "\n") + b"0000"
    return out + line(tip + " HEAD" + caps + "\n") + \
        line(tip + " refs/heads/main\n") + b"0000"


def receive(repo, path, body):
    """The answer, or why the push is not as it has to be (a text)."""
    n = int(body[:4], 16)
    command, _, caps = body[4:n].partition(b"\0")
    old, new, ref = command.decode().split(" ")
    if body[n:n + 4] != b"0000" or body[n + 4:n + 8] != b"PACK":
        return "no pack behind the command"
    if ref != "refs/heads/main" or b"report-status" not in caps.split():
        return "command %r %r" % (command, caps)
    if old != main_of(repo, path):
        return line("unpack ok\n") + line("ng %s not the tip\n" % ref) + b"0000"
    git(repo, "unpack-objects", "-q", "--strict", input=body[n + 4:])
    made = git(repo, "rev-list", new, "^" + old).decode().split() \
        if old != ZERO else [new]
    if made != [new]:
        return "%d commits in one push" % len(made)
    git(repo, "rev-list", "--objects", new)  # nothing is missing
    git(repo, "fsck", "--strict", "--no-dangling", new)
    known = git(repo, "for-each-ref", "--format=x", "refs/pushed").split()
    git(repo, "update-ref", "refs/pushed/%d" % (len(known) + 1), new)
    return line("unpack ok\n") + line("ok %s\n" % ref) + b"0000"


def serve(handler, state, body):
    """True if the request was about Git, and is answered."""
    m = ROUTE.match(urllib.parse.unquote(handler.path))
    if not m:
        return False
    path, what, service = m.groups()
    writes = what == "git-receive-pack" or service == "git-receive-pack"
    token = state.args.push_token
    if writes and handler.headers.get("Authorization") != "Bearer %s" % token:
        handler.send(401, "text/plain", b"", [
            ("WWW-Authenticate", 'Basic realm="Mega", Bearer realm="Mega"')])
        return True
    repo = state.args.repo
    if what == "info/refs":
        handler.send(200, "application/x-%s-advertisement" % service,
                     refs(repo, path, service))
        return True
    got = receive(repo, path, body) if handler.headers["Content-Type"] == \
        "application/x-git-receive-pack-request" else "type"
    if isinstance(got, str):
        state.complain(got)
        handler.send(400, "text/plain", got.encode())
    else:
        handler.send(200, "application/x-git-receive-pack-result", got)
    return True
