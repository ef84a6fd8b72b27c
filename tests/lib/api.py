# SPDX-License-Identifier: Apache-2.0
"""Calls to an HTTP API and checks of what comes back, for scripts that replay
tables: api.row(METHOD, PATH, status, shape, body). A shape is a type, a literal
value, a regular expression, a list of alternatives (tuple), [shape] for a list of
such, or a dict, whose keys have to be there and be all; ANY fits everything."""
import http.client
import json
import re
import sys
import threading
import time
import urllib.parse

ANY = object()
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
HEX40 = re.compile(r"[0-9a-f]{40}\Z")
ERROR = {"error": re.compile(r".+"), "code": re.compile(r"[A-Z_]+\Z")}


def fits(value, shape):
    if shape is ANY:
        return True
    if shape is None or isinstance(shape, bool):
        return value is shape
    if isinstance(shape, type):
        return isinstance(value, shape) and \
            not (shape is int and isinstance(value, bool))
    if isinstance(shape, tuple):
        return any(fits(value, s) for s in shape)
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and bool(shape.match(value))
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(v, shape[0]) for v in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and set(value) == set(shape) and \
            all(fits(value[k], s) for k, s in shape.items())
    return type(value) is type(shape) and value == shape


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.kind = headers.get("Content-Type", "")
        self.json = json.loads(body) if self.kind == "application/json" else None
        self.text = body.decode()


class Api:
    def __init__(self, url):
        self.at = urllib.parse.urlsplit(url)
        self.rows = 0

    def call(self, method, path, body=None, kind="application/json"):
        conn = http.client.HTTPConnection(self.at.hostname, self.at.port,
                                          timeout=300)
        headers = {}
        if body is not None:
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if kind:
                headers["Content-Type"] = kind
        try:
            conn.request(method, self.at.path + path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer is there
        r = conn.getresponse()
        out = Answer(r.status, dict(r.getheaders()), r.read())
        conn.close()
        return out

    def row(self, method, path, status, shape, body=None, **more):
        a = self.call(method, path, body, **more)
        self.rows += 1
        what = "%s %s %s" % (method, path, json.dumps(body)
                             if not isinstance(body, (bytes, str)) else body)
        if a.status != status:
            sys.exit("%s: status %d, wanted %d: %s" %
                     (what, a.status, status, a.text))
        if shape is str:  # plain text
            if not a.kind.startswith("text/plain") or not a.text:
                sys.exit("%s: wanted plain text, got %s %r" %
                         (what, a.kind, a.text))
        elif shape == b"":
            if a.body:
                sys.exit("%s: wanted no body, got %r" % (what, a.text))
        elif shape is not ANY and (a.json is None or
                                   not fits(a.json, shape)):
            sys.exit("%s: %s does not have the shape %r" %
                     (what, a.text, shape))
        return a

    def error(self, method, path, status, code, body=None):
        return self.row(method, path, status, dict(ERROR, code=code), body)


def at_once(n, fn):
    """fn(i) in n threads at the same moment; the results in order."""
    gate, out = threading.Barrier(n), [None] * n

    def run(i):
        gate.wait()
        out[i] = fn(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def wait_for(what, fn, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        v = fn()
        if v:
            return v
        time.sleep(0.02)
    sys.exit("never happened: " + what)


def check(ok, what):
    if not ok:
        sys.exit("not so: " + what)
