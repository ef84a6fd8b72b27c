#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lfs_server.py - a strict Git LFS server on loopback, with faults.

  lfs_server.py [options of git_http_server.py] [--strict-mono] ROOT OBJECTS

Serves the repositories below ROOT as git_http_server.py does, and beside each
its LFS API: any path with /info/lfs/ in it. OBJECTS is the directory with the
objects, each a file named by its id.

Written from git-lfs docs/api/*.md. Every request is checked: methods, Accept
and Content-Type, the members of each JSON object and their types, ids, the
headers that an action asked for, Range, the SHA-256 of what is uploaded, Basic
authentication. What is wrong is answered with an error and listed under
"violations" in the statistics.

  --lfs-user U:P     the API demands Basic authentication
  --host HOST:PORT   links name this address instead of the one asked
  --expires S        links last so many seconds (default 3600)
  --batch-max N      more objects in a batch are answered 413 (default 100)
  --no-range         answer the whole object, whatever Range says
  --strict-mono      as Mono: transfers and hash_algo are required
  --chunks N         as Mono's of 2025 with split objects, whole ones refused:
                     GET objects/OID/chunks lists parts of N bytes

Control beside that of git_http_server.py, never counted:
  GET  /-/lfs        {"batches", "asked", "downloads", "ranges", "bytes",
                      "uploads", "verified", "locks", "most", "violations"}
  POST /-/lfs-reset  zero them, drop the faults
  POST /-/lfs-fault  {"kind": ..., "times": 1, "skip": 0, "oid": "..."}

Kinds:
  cut       send "after" bytes of the object, then close the connection
  wrong     send the object with its first byte inverted
  short     send a proper answer without the object's last byte
  status    answer "code" to a download
  refuse    answer "code" for an object in a batch
  batch     answer "code" to a batch; "retry_after"
  expire    the link is out of date before it is used: 403 to it
  size      a batch names another size
  shift     answer a Range with bytes from elsewhere
"""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

import git_http_server as git

TYPE = "application/vnd.git-lfs+json"
OID = re.compile(r"[0-9a-f]{64}\Z")
PIECE = 256 * 1024


class Refused(Exception):
    def __init__(self, code, text, wrong=True):
        super().__init__(text)
        self.code = code
        self.wrong = wrong


class Lfs:
    """Links, locks, counters and faults, shared by all connections."""

    def __init__(self, options):
        self.o = options
        self.lock = threading.Lock()
        self.links = {}
        self.locks = {}
        self.serial = 0
        self.announced = {}
        self.parts = set()
        self.reset()

    def reset(self):
        self.faults = []
        self.now = 0
        self.n = dict(batches=0, asked=0, downloads=0, ranges=0, bytes=0,
                      uploads=0, verified=0, locks=0, most=0, violations=[])

    def add(self, **more):
        with self.lock:
            for key, value in more.items():
                self.n[key] += value

    def fault(self, kinds, oid=None):
        with self.lock:
            for f in self.faults:
                if f["kind"] not in kinds or not f["times"]:
                    continue
                if f.get("oid", oid) != oid:
                    continue
                if f.get("skip", 0) > 0:
                    f["skip"] -= 1
                    continue
                f["times"] -= 1
                return dict(f)
        return None

    def path(self, oid):
        return os.path.join(self.o.objects, oid)

    def size(self, oid):
        try:
            return os.stat(self.path(oid)).st_size
        except OSError:
            return None

    def link(self, oid, expires):
        name, token = secrets.token_hex(8), secrets.token_hex(8)
        with self.lock:
            self.links[name] = (oid, token, expires)
        return name, token


def check(ok, text, code=422):
    if not ok:
        raise Refused(code, text)


def members(value, what, known, required):
    check(isinstance(value, dict), what + " is no object")
    for key in value:
        check(key in known, "%s has an unknown member %s" % (what, key))
    for key in required:
        check(key in value, "%s has no %s" % (what, key))


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Handler(git.Handler):
    """What is not git's."""

    def do_GET(self):
        self.lfs_or(super().do_GET)

    def do_POST(self):
        self.lfs_or(super().do_POST)

    def do_PUT(self):
        self.lfs_or(lambda: self.plain(405, "no\n"))

    @property
    def lfs(self):
        return self.server.lfs

    def lfs_or(self, other):
        self.sent = self.status = 0
        url = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(url.query).items()}
        path = unquote(url.path)
        try:
            if path.startswith("/-/lfs"):
                self.lfs_control(path)
            elif path.startswith("/lfs-link/"):
                self.use_link(path[len("/lfs-link/"):])
            elif "/info/lfs/" in path:
                self.api(path.rpartition("/info/lfs/")[2])
            elif self.server.options.lfs_at and \
                    path.startswith(self.server.options.lfs_at + "/"):
                self.api(path[len(self.server.options.lfs_at) + 1:])
            else:
                other()
        except Refused as e:
            self.refuse(e)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def refuse(self, e):
        if e.wrong:
            with self.lfs.lock:
                self.lfs.n["violations"].append(
                    "%s %s: %s" % (self.command, self.path, e))
        more = {}
        if e.code == 401:
            more["LFS_Authenticate"] = 'Basic realm="lfs"'
        self.close_connection = True # its body may not have been read
        self.reply(e.code, {"message": str(e)}, **more)

    def reply(self, code, value, **headers):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", TYPE + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def lfs_control(self, path):
        body = self.read_body()
        with self.lfs.lock:
            if path == "/-/lfs-reset":
                self.lfs.reset()
            elif path == "/-/lfs-fault":
                fault = json.loads(body)
                fault.setdefault("times", 1)
                self.lfs.faults.append(fault)
            out = dict(self.lfs.n)
        self.reply(200, out)

    # -- the API -----------------------------------------------------------

    def api(self, what):
        body = self.read_body()
        self.check_login()
        accept = self.headers.get("Accept", "")
        check(accept.split(";")[0] == TYPE, "Accept is " + accept, 406)
        if what == "objects/batch":
            self.check_json("POST")
            self.batch(json.loads(body))
        elif what == "locks" and self.command == "GET":
            self.list_locks(self.query)
        elif what == "locks":
            self.check_json("POST")
            self.make_lock(json.loads(body))
        elif what == "locks/verify":
            self.check_json("POST")
            self.verify_locks(json.loads(body))
        elif what.startswith("locks/") and what.endswith("/unlock"):
            self.check_json("POST")
            self.unlock(what[len("locks/"):-len("/unlock")],
                        json.loads(body))
        elif self.server.options.chunks and what.startswith("objects/"):
            self.chunks(what.split("/"))
        elif what == "verify":
            self.check_json("POST")
            self.verify(json.loads(body))
        else:
            raise Refused(404, "no such call: " + what)

    def user(self):
        given = self.headers.get("Authorization", "")
        if not given.startswith("Basic "):
            return None
        return base64.b64decode(given[6:]).decode()

    def check_login(self):
        want = self.server.options.lfs_user
        if want and self.user() != want:
            raise Refused(401, "who are you?", wrong=False)

    def check_json(self, method):
        check(self.command == method, "method " + self.command, 405)
        kind = self.headers.get("Content-Type", "")
        check(kind.split(";")[0] == TYPE, "Content-Type is " + kind, 415)

    def batch(self, r):
        o = self.server.options
        members(r, "the batch",
                ("operation", "transfers", "ref", "objects", "hash_algo"),
                ("operation", "objects") +
                (("transfers", "hash_algo") if o.strict_mono else ()))
        check(r["operation"] in ("download", "upload"), "operation")
        transfers = r.get("transfers", ["basic"])
        check(isinstance(transfers, list) and "basic" in transfers,
              "no transfer that I know")
        check(r.get("hash_algo", "sha256") == "sha256", "hash_algo")
        if "ref" in r:
            members(r["ref"], "ref", ("name",), ("name",))
        check(isinstance(r["objects"], list) and r["objects"], "no objects")
        for x in r["objects"]:
            members(x, "an object", ("oid", "size"), ("oid", "size"))
            check(isinstance(x["oid"], str) and OID.match(x["oid"]), "oid")
            check(type(x["size"]) is int and x["size"] >= 0, "size")
        check(len({x["oid"] for x in r["objects"]}) == len(r["objects"]),
              "an object twice")
        fault = self.lfs.fault(("batch",))
        if fault:
            more = {}
            if "retry_after" in fault:
                more["Retry_After"] = str(fault["retry_after"])
            self.reply(fault["code"], {"message": "as you wish"}, **more)
            return
        if len(r["objects"]) > o.batch_max:
            raise Refused(413, "too many objects", wrong=False)
        self.lfs.add(batches=1, asked=len(r["objects"]))
        with self.lfs.lock:
            self.lfs.n["most"] = max(self.lfs.n["most"], len(r["objects"]))
        self.reply(200, {"transfer": "basic", "hash_algo": "sha256",
                         "objects": [self.offer(r["operation"], x)
                                     for x in r["objects"]]})

    def offer(self, operation, x):
        oid, size = x["oid"], x["size"]
        have = self.lfs.size(oid)
        out = {"oid": oid, "size": size}
        fault = self.lfs.fault(("refuse", "size"), oid)
        if fault and fault["kind"] == "size":
            out["size"] += 1
        elif fault:
            out["error"] = {"code": fault["code"], "message": "as you wish"}
            return out
        if operation == "upload":
            if have is None:
                self.lfs.announced[oid] = size
                out["actions"] = {"upload": self.action(oid),
                                  "verify": self.verify_action()}
            return out
        if have is None:
            out["error"] = {"code": 404, "message": "Object does not exist"}
        elif have != size:
            out["error"] = {"code": 422, "message": "Its size is another"}
        else:
            out["actions"] = {"download": self.action(oid)}
        return out

    def address(self):
        return "http://" + (self.server.options.host or self.headers["Host"])

    def action(self, oid):
        o = self.server.options
        expires = time.time() + o.expires
        if self.lfs.fault(("expire",), oid):
            expires = 0
        name, token = self.lfs.link(oid, expires)
        said = max(expires, time.time() + 60)
        return {"href": "%s/lfs-link/%s" % (self.address(), name),
                "header": {"X-Token": token, "X-Kind": "object"},
                "expires_at": rfc3339(said)}

    def chunks(self, what):
        """The list of an object's parts: GET objects/OID/chunks."""
        check(self.command == "GET" and len(what) == 3 and what[2] == "chunks",
              "no such call", 404)
        oid, step, out = what[1], self.server.options.chunks, []
        check(self.lfs.size(oid) is not None, "it is gone", 404)
        with open(self.lfs.path(oid), "rb") as f:
            data = f.read()
        for at in range(0, len(data), step):
            part = data[at:at + step]
            name = hashlib.sha256(part).hexdigest()
            with open(self.lfs.path(name), "wb") as f:
                f.write(part)
            with self.lfs.lock:
                self.lfs.parts.add(name)
            out.append({"sub_oid": name, "offset": at, "size": len(part),
                        "link": self.action(name)})
        self.reply(200, {"oid": oid, "size": len(data), "chunks": out})

    def verify_action(self):
        base = self.path.rpartition("/objects/batch")[0]
        return {"href": self.address() + base + "/verify"}

    def verify(self, r):
        members(r, "verify", ("oid", "size"), ("oid", "size"))
        if self.lfs.size(r["oid"]) != r["size"]:
            raise Refused(404, "it did not arrive")
        self.lfs.add(verified=1)
        self.reply(200, {})

    # -- objects -----------------------------------------------------------

    def use_link(self, name):
        body = self.read_body()
        oid, token, expires = self.lfs.links.get(name, (None, None, 0))
        check(oid, "no such link", 404)
        check(self.headers.get("X-Token") == token, "X-Token", 403)
        check(self.headers.get("X-Kind") == "object", "X-Kind", 403)
        if expires < time.time():
            raise Refused(403, "this link has expired", wrong=False)
        if self.command == "PUT":
            self.upload(oid, body)
        else:
            check(self.command == "GET", "method", 405)
            self.download(oid)

    def upload(self, oid, body):
        check(self.headers.get("Content-Type"), "an upload without a type")
        check(hashlib.sha256(body).hexdigest() == oid, "its SHA-256")
        check(self.lfs.announced.get(oid) == len(body), "its size")
        temporary = self.lfs.path(oid) + "." + secrets.token_hex(4)
        with open(temporary, "wb") as f:
            f.write(body)
        os.rename(temporary, self.lfs.path(oid))
        self.lfs.add(uploads=1)
        self.plain(200, "")

    def range_of(self, size):
        text = self.headers.get("Range")
        if text is None:
            return 0
        m = re.match(r"bytes=(\d+)-\Z", text)
        check(m and 0 < int(m.group(1)) < size, "Range " + text, 416)
        self.lfs.add(ranges=1)
        return int(m.group(1))

    def download(self, oid):
        size = self.lfs.size(oid)
        check(size is not None, "it is gone", 404)
        start = self.range_of(size)
        fault = self.lfs.fault(("cut", "wrong", "short", "status", "shift"),
                               oid) or {"kind": ""}
        if self.server.options.chunks and oid not in self.lfs.parts:
            self.reply(501, {"message": "in parts only"})
            return
        if fault["kind"] == "status":
            self.reply(fault["code"], {"message": "as you wish"})
            return
        if self.server.options.no_range:
            start = 0
        self.lfs.add(downloads=1)
        self.send_object(oid, size, start, fault)

    def send_object(self, oid, size, start, fault):
        kind, end = fault["kind"], size
        if kind == "short":
            end -= 1
        said = start
        if kind == "shift" and start:
            start -= 1
            said = start
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        if start:
            self.send_header("Content-Range",
                             "bytes %d-%d/%d" % (said, end - 1, size))
        self.end_headers()
        if kind == "cut":
            end = min(end, start + fault["after"])
        with open(self.lfs.path(oid), "rb") as f:
            f.seek(start)
            while start < end:
                data = f.read(min(PIECE, end - start))
                if kind == "wrong" and data:
                    data = bytes([data[0] ^ 0xff]) + data[1:]
                    kind = ""
                self.wfile.write(data)
                start += len(data)
                self.lfs.add(bytes=len(data))
        self.wfile.flush()
        if kind == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    # -- locks -------------------------------------------------------------

    def who(self):
        return (self.user() or "tester:").partition(":")[0]

    def shown(self):
        return sorted(self.lfs.locks.values(), key=lambda x: int(x["id"]))

    def page(self, locks, cursor, limit):
        start = int(cursor or 0)
        limit = int(limit or 100)
        check(0 < limit, "limit")
        part = locks[start:start + min(limit, 3)] # short pages on purpose
        more = start + len(part)
        return part, {"next_cursor": str(more)} if more < len(locks) else {}

    def list_locks(self, q):
        for key in q:
            check(key in ("path", "id", "cursor", "limit", "refspec"),
                  "unknown parameter " + key)
        with self.lfs.lock:
            locks = [x for x in self.shown()
                     if q.get("path", x["path"]) == x["path"] and
                     q.get("id", x["id"]) == x["id"]]
        part, more = self.page(locks, q.get("cursor"), q.get("limit"))
        self.reply(200, dict(locks=part, **more))

    def make_lock(self, r):
        members(r, "the lock", ("path", "ref"),
                ("path", "ref") if self.server.options.strict_mono
                else ("path",))
        if "ref" in r:
            members(r["ref"], "ref", ("name",), ("name",))
        check(isinstance(r["path"], str) and r["path"] and
              not r["path"].startswith("/"), "path")
        with self.lfs.lock:
            for x in self.lfs.locks.values():
                if x["path"] == r["path"]:
                    old = x
                    break
            else:
                old = None
                self.lfs.serial += 1
                lock = {"id": str(self.lfs.serial), "path": r["path"],
                        "locked_at": rfc3339(time.time()),
                        "owner": {"name": self.who()}}
                self.lfs.locks[lock["id"]] = lock
                self.lfs.n["locks"] += 1
        if old:
            self.reply(409, {"lock": old,
                             "message": "already created lock"})
        else:
            self.reply(201, {"lock": lock})

    def verify_locks(self, r):
        members(r, "verify", ("ref", "cursor", "limit"), ())
        with self.lfs.lock:
            locks = self.shown()
        part, more = self.page(locks, r.get("cursor"), r.get("limit"))
        mine = [x for x in part if x["owner"]["name"] == self.who()]
        self.reply(200, dict(ours=mine,
                             theirs=[x for x in part if x not in mine],
                             **more))

    def unlock(self, name, r):
        members(r, "unlock", ("force", "ref"), ())
        check(type(r.get("force", False)) is bool, "force")
        with self.lfs.lock:
            lock = self.lfs.locks.get(name)
            if not lock:
                raise Refused(404, "no such lock", wrong=False)
            if lock["owner"]["name"] != self.who() and not r.get("force"):
                raise Refused(403, "it is another's", wrong=False)
            del self.lfs.locks[name]
        self.reply(200, {"lock": lock})


def add_options(p):
    p.add_argument("objects")
    p.add_argument("--lfs-user")
    p.add_argument("--lfs-at", help="the API is also below this path")
    p.add_argument("--host")
    p.add_argument("--expires", type=float, default=3600)
    p.add_argument("--batch-max", type=int, default=100)
    p.add_argument("--no-range", action="store_true")
    p.add_argument("--strict-mono", action="store_true")
    p.add_argument("--chunks", type=int, metavar="BYTES",
                   help="objects come in parts of this size only")


def main():
    p = git.parser()
    add_options(p)
    options = p.parse_args()
    os.makedirs(options.objects, exist_ok=True)
    server = git.Server(options, Handler)
    server.lfs = Lfs(options)
    git.run(server)


if __name__ == "__main__":
    sys.exit(main())
