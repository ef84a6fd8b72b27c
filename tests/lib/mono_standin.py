#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for a Mono server's read API, over a local Git repository.

    mono_standin.py REPO [--import /third-party/x=OTHER.git]... [options]

It behaves as the public server does, its defects included: empty lists for
unknown paths, status 500 for unknown branches, main only for raw trees, no
compression, no Range, no sizes and modes in lists. Every byte it is sent is
checked; what does not belong there is recorded and answered with 400. The port
is the first line of its output.

Control (not part of the API):
  GET  /_/stats          {"errors": [...], "requests": {...}, "most": N}
  POST /_/reset          forget counts, errors and faults
  POST /_/faultless      forget faults
  POST /_/fault          {"match": REGEX, "kind": KIND, "count": N, ...}
  POST /_/cl             {"link": LINK, "base": REV, "head": REV, "path": "/x"}:
                         a change list at that path ("absolute": true: paths
                         from the root, as old servers tell them; "files": [...]
                         instead of base and head: just these)
KIND: stall, truncate, wrong, empty, status (with "status", "retry_after"),
close. A fault is used `count` times (-1: for ever).
"""
import argparse
import collections
import http.server
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse

import mono_git

VALUE = re.compile(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*\Z")
UNRESERVED = re.compile(r"%(?:2D|2E|5F|7E|3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A])")
HEX40 = re.compile(r"[0-9a-f]{40}\Z")
HEADERS = {"host", "user-agent", "accept", "accept-encoding", "authorization",
           "traceparent", "range", "connection"}
PARAMS = {
    "/tree": {"path", "refs"}, "/tree/content-hash": {"path", "refs"},
    "/tree/dir-hash": {"path", "refs"}, "/tree/commit-info": {"path", "refs"},
    "/latest-commit": {"path", "refs"}, "/blob": {"path", "refs"},
    "/file/tree": {"path", "oid"}, "/status": set(),
}


class Api(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Repo:
    """Objects of one repository through `git cat-file --batch`."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.git = subprocess.Popen(
            ["git", "-C", path, "cat-file", "--batch"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.trees = {}

    def read(self, name):
        if set(name) & set("\n\0 ") or not name:
            return None
        with self.lock:
            self.git.stdin.write(name.encode() + b"\n")
            self.git.stdin.flush()
            head = self.git.stdout.readline().split()
            if len(head) != 3 or not head[2].isdigit():
                return None
            data = self.git.stdout.read(int(head[2]))
            self.git.stdout.read(1)
        return head[0].decode(), head[1].decode(), data

    def tree(self, oid):
        if oid in self.trees:
            return self.trees[oid]
        got = self.read(oid)
        if not got or got[1] != "tree":
            return None
        self.trees[oid] = got[2]
        return got[2]

    def commit(self, name):
        return self.read(name + "^{commit}")


def entries(raw):
    at = 0
    while at < len(raw):
        blank = raw.index(b" ", at)
        nul = raw.index(b"\0", blank)
        yield (raw[at:blank].decode(), raw[blank + 1:nul],
               raw[nul + 1:nul + 21].hex())
        at = nul + 21


def envelope(data, ok=True, message=""):
    return json.dumps({"req_result": ok, "data": data,
                       "err_message": message}).encode()


class State:
    def __init__(self, args):
        self.args = args
        self.mono = Repo(args.repo)
        self.imports = {}
        for item in args.imports:
            path, repo = item.split("=", 1)
            self.imports[path] = Repo(repo)
        self.lock = threading.Lock()
        self.roots = {}
        self.lists = {}
        self.reset()
        self.now = 0

    def reset(self):
        with self.lock:
            self.errors = []
            self.requests = collections.Counter()
            self.faults = []
            self.most = 0

    def complain(self, text):
        with self.lock:
            self.errors.append(text)

    # -- what a path means -------------------------------------------------

    def is_root_commit(self, oid):
        """Commits of sub-paths are taken, but paths do not resolve in them."""
        if oid not in self.roots:
            self.roots[oid] = any(
                subprocess.call(["git", "-C", self.mono.path, "merge-base",
                                 "--is-ancestor", oid, ref],
                                stderr=subprocess.DEVNULL) == 0
                for ref in ["refs/heads/main"] + subprocess.run(
                    ["git", "-C", self.mono.path, "for-each-ref",
                     "--format=%(refname)", "refs/tags"],
                    stdout=subprocess.PIPE, check=True).stdout.decode().split())
        return self.roots[oid]

    def mono_commit(self, refs):
        if not refs:
            return self.mono.commit("refs/heads/main")
        if HEX40.match(refs):
            got = self.mono.commit(refs)
            if not got:
                raise Api(404, "commit not found: " + refs)
            return got
        got = self.mono.commit("refs/tags/" + refs)
        if not got:
            raise Api(500, "no such ref")
        return got

    def route(self, path, refs):
        """The repository, its commit, and the path within it."""
        best = ""
        if path.startswith("/third-party/"):
            for known in self.imports:  # by string, as the server does
                if path.startswith(known) and len(known) > len(best):
                    best = known
        if best:
            repo = self.imports[best]
            return repo, repo.commit("HEAD"), path[len(best):].strip("/")
        return self.mono, self.mono_commit(refs), path.strip("/")

    def find(self, path, refs):
        """(repository, oid, raw tree) of a directory, or None."""
        repo, commit, rest = self.route(path, refs)
        if repo is self.mono and refs and HEX40.match(refs) and \
                not self.is_root_commit(commit[0]):
            return None
        oid = re.match(rb"tree ([0-9a-f]{40})", commit[2]).group(1).decode()
        for part in rest.encode().split(b"/") if rest else []:
            for mode, name, child in entries(repo.tree(oid)):
                if name == part and mode == "40000":
                    oid = child
                    break
            else:
                return None
        return repo, oid, repo.tree(oid)

    def listing(self, path, refs):
        found = self.find(path, refs)
        out = []
        for mode, name, oid in entries(found[2]) if found else []:
            item = {"name": name.decode("utf-8", "replace"),
                    "content_type": "directory" if mode == "40000" else "file",
                    "oid": oid}
            if self.args.extras and mode != "40000":
                item["mode"] = mode
                if mode != "160000":
                    item["size"] = len(found[0].read(oid)[2])
            out.append((mode != "40000", name, item))
        return [x[2] for x in sorted(out, key=lambda x: x[:2])]

    # -- routes ------------------------------------------------------------

    def content_hash(self, q):
        return "application/json", envelope(
            self.listing(q.get("path", "/"), q.get("refs", "")))

    def dir_hash(self, q):
        parent, _, name = q.get("path", "/").rpartition("/")
        data = [x for x in self.listing(parent or "/", q.get("refs", ""))
                if x["name"] == name and name and
                x["content_type"] == "directory"]
        return "application/json", envelope(data)

    def latest_commit(self, q):
        _, commit, _ = self.route(q.get("path", "/"), q.get("refs", ""))
        who, when = re.search(
            rb"^committer (.*) <.*> (\d+) [+-]\d{4}$", commit[2], re.M).groups()
        return "application/json", json.dumps({
            "oid": commit[0], "date": when.decode(),
            "short_message": commit[2].split(b"\n\n", 1)[1].decode(
                "utf-8", "replace").split("\n")[0],
            "author": who.decode(), "committer": who.decode(),
            "status": "success"}).encode()

    def file_tree(self, q):
        found = self.find(q.get("path", "/"), "")
        if not found or q.get("oid", found[1]) != found[1]:
            return "application/octet-stream", b""
        return "application/octet-stream", found[2]

    def files_list(self, link):
        """Moved files as such, by content; modes only as an extra."""
        cl = self.lists.get(link)
        if not cl:
            raise Api(404, "CL not found: " + link)
        if "files" in cl:
            return "application/json", envelope(cl["files"])
        root = cl.get("path", "/").strip("/")
        raw = subprocess.run(
            ["git", "-C", self.mono.path, "diff-tree", "-r", "-z", "--raw",
             "-M", "-l1000", "--no-abbrev", cl["base"], cl["head"], "--"] +
            ([root] if root else []), stdout=subprocess.PIPE,
            check=True).stdout.decode("utf-8", "surrogateescape").split("\0")
        out = []
        while raw and raw[0]:
            old_mode, mode, old, new, kind = raw.pop(0)[1:].split(" ")
            path = raw.pop(0)
            moved = raw.pop(0) if kind[0] in "RC" else None
            if old == new and not moved and not self.args.extras:
                continue  # only the mode: this server does not see it
            item = {"path": self.cl_path(cl, root, moved or path),
                    "sha": cl.get("prefix", "") + (old if kind[0] == "D"
                                                   else new),
                    "action": {"A": "new", "D": "deleted", "R": "renamed"}
                              .get(kind[0], "modified")}
            if moved:
                item["old_path"] = self.cl_path(cl, root, path)
                item["similarity"] = int(kind[1:])
            if self.args.extras and kind[0] != "D":
                item["mode"] = mode
            out.append(item)
        return "application/json", envelope(out)

    @staticmethod
    def cl_path(cl, root, path):
        if cl.get("absolute"):
            return "/" + path
        return path[len(root):].lstrip("/") if root else path

    def blob(self, oid):
        for repo in [self.mono] + list(self.imports.values()):
            got = repo.read(oid)
            if got and got[1] == "blob":
                return "application/octet-stream", got[2]
        raise Api(404, "object not found: " + oid)

    def answer(self, target):
        path, _, query = target.partition("?")
        if not path.startswith("/api/v1/"):
            raise Api(400, "unknown route")
        path = path[len("/api/v1"):]
        if re.match(r"/file/blob/[0-9a-f]{40}\Z", path) and not query:
            return self.blob(path[-40:])
        link = re.match(r"/cl/([A-Za-z0-9_.-]+)/files-list\Z", path)
        if link and not query:
            return self.files_list(link.group(1))
        q = self.query(path, query)
        do = {"/tree/content-hash": self.content_hash,
              "/tree/dir-hash": self.dir_hash,
              "/latest-commit": self.latest_commit,
              "/file/tree": self.file_tree}.get(path)
        if not do:
            self.complain("not a route: " + target)
            raise Api(404, "no route")
        return do(q)

    def query(self, path, query):
        q = {}
        for pair in query.split("&") if query else []:
            key, eq, value = pair.partition("=")
            if not eq or key in q or key not in PARAMS.get(path, ()):
                raise Bad("parameter %r of %s" % (pair, path))
            if not VALUE.match(value) or UNRESERVED.search(value):
                raise Bad("encoding of %r" % pair)
            try:
                q[key] = urllib.parse.unquote(value, errors="strict")
            except UnicodeDecodeError:
                raise Bad("not UTF-8: %r" % pair) from None
        p = q.get("path", "/")
        if p != "/" and (not p.startswith("/") or p.endswith("/") or
                         "//" in p or "\0" in p or
                         {".", ".."} & set(p.split("/"))):
            raise Bad("path %r" % p)
        if "refs" in q and (not q["refs"] or len(q["refs"]) > 2000):
            raise Bad("refs %r" % q["refs"])
        return q


class Bad(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, *args):
        pass

    bent = None  # the fault this answer gets

    def send(self, status, kind, body, extra=()):
        how = self.bent["kind"] if self.bent and status == 200 else ""
        if how == "wrong":
            body = bytes([body[0] ^ 1]) + body[1:] if body else b"x"
        cut = how == "truncate"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if not self.server.state.args.no_length or self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        for name, value in extra:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self.close_connection = True

    def fault(self):
        st = self.server.state
        with st.lock:
            for f in st.faults:
                if f["count"] and re.search(f["match"],
                                            self.command + " " + self.path):
                    f["count"] -= 1
                    return f
        return None

    def check(self):
        st = self.server.state
        bad = []
        if self.request_version != "HTTP/1.1":
            bad.append("version " + self.request_version)
        if not re.match(r"[!-~]+\Z", self.path) or "#" in self.path:
            bad.append("target %r" % self.path)
        for name in self.headers:
            if name.lower() not in HEADERS:
                bad.append("header " + name)
            if len(self.headers.get_all(name)) != 1:
                bad.append("header twice: " + name)
        if self.headers.get("Content-Length") or \
                self.headers.get("Transfer-Encoding"):
            bad.append("a body")
        if st.args.no_range and self.headers.get("Range"):
            bad.append("Range")
        for text in bad:
            st.complain(text + " in " + self.command + " " + self.path[:200])

    def count(self):
        st = self.server.state
        kind = self.path.partition("?")[0].replace("/api/v1", "", 1)
        kind = re.sub(r"[0-9a-f]{40}$", "", kind)
        with st.lock:
            st.requests[self.command + " " + kind] += 1
            st.now += 1
            st.most = max(st.most, st.now)

    def do_GET(self):
        st = self.server.state
        self.bent = None
        if self.path.startswith("/_/"):
            with st.lock:
                text = json.dumps({"errors": st.errors, "most": st.most,
                                   "requests": st.requests,
                                   "total": sum(st.requests.values())})
            self.send(200, "application/json", text.encode())
            return
        self.count()
        try:
            self.serve()
        finally:
            with st.lock:
                st.now -= 1

    def misbehaves(self):
        """True if the request is dealt with by a fault; else self.bent is it."""
        self.bent = f = self.fault()
        if f and f["kind"] == "stall":
            time.sleep(f.get("seconds", 3600))
        if f and f["kind"] == "close":
            self.close_connection = True
            return True
        if f and f["kind"] == "status":
            extra = [("Retry-After", str(f["retry_after"]))] \
                if "retry_after" in f else []
            self.send(f["status"], "application/json",
                      envelope(None, False, f.get("message", "as asked")),
                      extra)
            return True
        return False

    def serve(self):
        st = self.server.state
        if not mono_git.ROUTE.match(urllib.parse.unquote(self.path)):
            self.check()
        if st.args.delay:
            time.sleep(st.args.delay / 1000)
        if self.misbehaves() or mono_git.serve(self, st, b""):
            return
        if st.args.token and \
                self.headers.get("Authorization") != "Bearer " + st.args.token:
            self.send(401, "application/json",
                      envelope(None, False, "who are you"))
            return
        if self.command == "HEAD" and st.args.no_head:
            self.send(405, "text/plain", b"")
            return
        try:
            kind, body = st.answer(self.path)
        except Bad as e:
            st.complain(str(e))
            self.send(400, "application/json", envelope(None, False, str(e)))
            return
        except Api as e:
            text = str(e) if e.status < 500 else "Internal server error"
            self.send(e.status, "application/json",
                      envelope(None, False, text))
            return
        if self.bent and self.bent["kind"] == "empty":
            body = b"" if kind != "application/json" else envelope([])
        self.send(200, kind, body)

    do_HEAD = do_GET

    def do_POST(self):
        st = self.server.state
        self.bent = None
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/_/reset":
            st.reset()
        elif self.path == "/_/faultless":
            with st.lock:
                st.faults = []
        elif self.path == "/_/cl":
            cl = json.loads(body)
            with st.lock:
                st.lists[cl["link"]] = cl
        elif self.path == "/_/fault":
            fault = json.loads(body)
            fault.setdefault("count", -1)
            with st.lock:
                st.faults.append(fault)
        elif self.misbehaves() or mono_git.serve(self, st, body):
            return
        else:
            st.complain("POST " + self.path)
        self.send(200, "text/plain", b"ok\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    p = argparse.ArgumentParser()
    p.add_argument("repo")
    p.add_argument("--import", dest="imports", action="append", default=[],
                   metavar="PATH=REPO")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--delay", type=float, default=0, help="ms per request")
    p.add_argument("--token")
    p.add_argument("--push-token", help="what a push has to bring")
    p.add_argument("--extras", action="store_true",
                   help="mode and size in lists, as a gateway gives them")
    p.add_argument("--no-head", action="store_true")
    p.add_argument("--no-length", action="store_true",
                   help="HEAD without Content-Length")
    p.add_argument("--no-range", action="store_true",
                   help="a Range header is an error")
    args = p.parse_args()
    server = Server(("127.0.0.1", args.port), Handler)
    server.state = State(args)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
