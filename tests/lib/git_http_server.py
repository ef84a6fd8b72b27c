#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git_http_server.py - `git http-backend` on loopback, with faults.

  git_http_server.py [options] ROOT      ROOT holds the repositories

Prints the port as its first line. Threaded, HTTP/1.1 with keep-alive,
TCP_NODELAY, chunked and gzip request bodies, Git-Protocol passed on.

  --port N        default 0 = any free one
  --bind ADDR     default 127.0.0.1
  --user U:P      demand Basic authentication;   --bearer T  a token
  --no-v2         do not pass Git-Protocol on: clients get protocol v0
  --delay MS      wait before each answer (a network's round trip)
  --until-eof     end when stdin is closed, so that no test leaves it behind
  --log FILE      one line of JSON per request

The first part of a path may change the rules: /v0/x.git is x.git by protocol
version 0, /login/x.git wants Basic authentication by "user:secret".

Control, never counted:
  GET  /-/stats     {"requests", "get", "post", "bytes_in", "bytes_out",
                     "wants", "authorized", "log": [...]}
  POST /-/reset     zero the counters, drop the faults
  POST /-/fault     add one: {"kind": ..., "match": "part of the path",
                    "method": "GET", "command": "fetch" (of git's
                    protocol), "times": 1, "skip": 0,
                    "every": 2 (only each second that matches), ...}
  POST /-/delay     {"ms": 20}

Kinds of faults (times -1 = for ever):
  status    "code": 401, 403, 404, 429, 500...; "retry_after", "body"
  redirect  "to": "http://host:port" (the path stays) or a whole URL; "code"
  stall     send "after" bytes of the body, then nothing for "seconds"
  slow      send "piece" bytes of the body, pause for "seconds", and so on
  truncate  send "after" bytes of the body, then close the connection
  cut       send "after" bytes of the body and end it properly
  swap      ask git for object "to" where the client wants "from"
  corrupt   invert the byte at "at" (negative: from the end) of the body
  replace   answer 200 with "body" (or "base64") and "type"
  close     close the connection without an answer
"""

import argparse
import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

BODY_MAX = 1 << 30


class State:
    """Counters and faults, shared by all connections."""

    def __init__(self):
        self.lock = threading.Lock()
        self.delay = 0.0
        self.busy = 0
        self.idle = threading.Condition(self.lock)
        self.era = 0
        self.reset()

    def reset(self):
        self.era += 1
        self.faults = []
        self.log = []
        self.numbers = dict(requests=0, get=0, post=0, bytes_in=0,
                            bytes_out=0, wants=0, authorized=0)

    def fault_for(self, method, path, command):
        with self.lock:
            for fault in self.faults:
                if fault.get("method", method) != method:
                    continue
                if fault.get("command", command) != command:
                    continue
                if fault.get("match", "") not in path or not fault["times"]:
                    continue
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                fault["seen"] = fault.get("seen", 0) + 1
                if (fault["seen"] - 1) % fault.get("every", 1):
                    continue
                fault["times"] -= 1
                return dict(fault)
        return None

    def began(self):
        with self.lock:
            self.busy += 1
            return self.era

    def record(self, entry, path, era):
        with self.lock:
            self.busy -= 1
            self.idle.notify_all()
            if era != self.era:
                return  # its client was done before the reset
            n = self.numbers
            n["requests"] += 1
            n[entry["method"].lower()] = n.get(entry["method"].lower(), 0) + 1
            for key in ("bytes_in", "bytes_out", "wants"):
                n[key] += entry[key]
            n["authorized"] += 1 if entry["authorized"] else 0
            if len(self.log) < 10000:
                self.log.append(entry)
            if path:
                with open(path, "a", encoding="utf-8") as f:
                    f.write(json.dumps(entry) + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "git-test"
    wbufsize = 64 * 1024

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.handle_one("GET")

    def do_POST(self):
        self.handle_one("POST")

    # -- plumbing ----------------------------------------------------------

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if size == 0 or len(body) > BODY_MAX:
                    return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def plain(self, code, body, kind="text/plain", **headers):
        if isinstance(body, str):
            body = body.encode()
        self.status = code
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.sent += len(body)

    def handle_one(self, method):
        self.sent = 0
        self.route = ""
        for route in ("/v0/", "/login/"):
            if self.path.startswith(route):
                self.route = route
        self.status = 0
        body = self.read_body()
        if self.path.startswith("/-/"):
            self.control(body)
            return
        entry = dict(method=method, path=self.path, bytes_in=len(body),
                     wants=0, authorized="Authorization" in self.headers,
                     host=self.headers.get("Host", ""),
                     protocol=self.headers.get("Git-Protocol", ""),
                     headers=sorted(self.headers.keys()), command="",
                     started=time.time())
        self.describe(entry, body)
        era = self.server.state.began()
        try:
            self.answer(method, body, entry["command"])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            entry.update(status=self.status, bytes_out=self.sent)
            self.server.state.record(entry, self.server.options.log, era)

    def describe(self, entry, body):
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, 47)
        entry["wants"] = len(re.findall(rb"[0-9a-f]{4}want [0-9a-f]{40}",
                                        body))
        found = re.search(rb"command=([a-z-]+)", body)
        entry["command"] = found.group(1).decode() if found else ""
        found = re.search(rb"filter ([a-z0-9:+.=_-]+?)"
                          rb"(?:\n|[0-9a-f]{4}want|[0-9a-f]{4}done)", body)
        entry["filter"] = found.group(1).decode() if found else ""

    def control(self, body):
        state = self.server.state
        if self.path == "/-/stats":
            with state.lock:
                # a client may be done with an answer before we are
                state.idle.wait_for(lambda: not state.busy, 0.5)
                out = dict(state.numbers, log=list(state.log))
            self.plain(200, json.dumps(out), "application/json")
            return
        with state.lock:
            if self.path == "/-/reset":
                state.reset()
            elif self.path == "/-/fault":
                fault = json.loads(body)
                fault.setdefault("times", 1)
                state.faults.append(fault)
            elif self.path == "/-/delay":
                state.delay = json.loads(body)["ms"] / 1000
        self.plain(200, "ok\n")

    # -- answers -----------------------------------------------------------

    def answer(self, method, body, command):
        fault = self.server.state.fault_for(method, self.path, command)
        time.sleep(self.server.state.delay)
        if fault and self.early_fault(fault):
            return
        if not self.allowed():
            self.plain(401, "who are you?\n",
                       WWW_Authenticate='Basic realm="git"')
            return
        self.run_git(method, body, fault)

    def allowed(self):
        o = self.server.options
        given = self.headers.get("Authorization", "")
        if self.route == "/login/":
            return given == "Basic dXNlcjpzZWNyZXQ="
        if o.user:
            want = base64.b64encode(o.user.encode()).decode()
            return given == "Basic " + want
        return not o.bearer or given == "Bearer " + o.bearer

    def early_fault(self, fault):
        kind = fault["kind"]
        if kind == "close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif kind == "status":
            headers = {}
            if "retry_after" in fault:
                headers["Retry_After"] = str(fault["retry_after"])
            if fault["code"] == 401:
                headers["WWW_Authenticate"] = 'Basic realm="git"'
            self.plain(fault["code"], fault.get("body", "as you wish\n"),
                       **headers)
        elif kind == "redirect":
            to = fault["to"]
            if to.count("/") == 2:
                to += self.path
            self.plain(fault.get("code", 302), "", Location=to)
        elif kind == "replace":
            body = base64.b64decode(fault["base64"]) \
                if "base64" in fault else fault["body"]
            self.plain(200, body, fault.get("type", "text/html"))
        else:
            return False
        return True

    def environment(self, method, body):
        path, _, query = self.path.partition("?")
        if self.route:
            path = path[len(self.route) - 1:]
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("GIT_", "HTTP_"))}
        env.update(GIT_PROJECT_ROOT=self.server.options.root,
                   GIT_HTTP_EXPORT_ALL="1", REQUEST_METHOD=method,
                   PATH_INFO=unquote(path), QUERY_STRING=query,
                   CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   CONTENT_LENGTH=str(len(body)), REMOTE_ADDR="127.0.0.1",
                   REMOTE_USER="tester", SERVER_PROTOCOL="HTTP/1.1",
                   GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_COUNT="1",
                   GIT_CONFIG_KEY_0="safe.directory",
                   GIT_CONFIG_VALUE_0="*")
        encoding = self.headers.get("Content-Encoding")
        if encoding:
            env["HTTP_CONTENT_ENCODING"] = encoding
        old = self.server.options.no_v2 or self.route == "/v0/"
        if self.headers.get("Git-Protocol") and not old:
            env["GIT_PROTOCOL"] = self.headers["Git-Protocol"]
        return env

    def run_git(self, method, body, fault):
        if fault and fault["kind"] == "swap":
            body = body.replace(fault["from"].encode(), fault["to"].encode())
        child = subprocess.Popen(["git", "http-backend"],
                                 stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL,
                                 env=self.environment(method, body))
        feeder = threading.Thread(target=self.feed, args=(child, body))
        feeder.start()
        try:
            self.relay(child.stdout, fault)
        finally:
            child.stdout.close()
            feeder.join()
            child.wait()

    @staticmethod
    def feed(child, body):
        try:
            child.stdin.write(body)
            child.stdin.close()
        except BrokenPipeError:
            pass

    def relay(self, stream, fault):
        code = 200
        headers = []
        for line in iter(stream.readline, b""):
            line = line.strip()
            if not line:
                break
            name, _, value = line.decode("latin-1").partition(": ")
            if name.lower() == "status":
                code = int(value.split()[0])
            elif name.lower() != "content-length":
                headers.append((name, value))
        self.status = code
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        kind = fault["kind"] if fault else ""
        if kind == "corrupt":
            data = bytearray(stream.read())
            data[fault["at"]] ^= 0xff
            self.chunk(bytes(data))
        elif kind == "cut":
            self.chunk(stream.read()[:fault["after"]])
        elif kind == "slow":
            for data in iter(lambda: stream.read(fault["piece"]), b""):
                self.chunk(data)
                time.sleep(fault["seconds"])
        elif kind in ("stall", "truncate"):
            if not self.part(stream, fault):
                return
        else:
            for data in iter(lambda: stream.read1(64 * 1024), b""):
                self.chunk(data)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def part(self, stream, fault):
        """Some of the body, then silence or the end. True: there was less."""
        data = stream.read()
        if len(data) <= fault["after"]:
            self.chunk(data)
            return True
        self.chunk(data[:fault["after"]])
        self.wfile.flush()
        if fault["kind"] == "stall":
            time.sleep(fault.get("seconds", 3600))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return False

    def chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.sent += len(data)
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options, handler=Handler):
        self.options = options
        self.state = State()
        self.state.delay = options.delay / 1000
        super().__init__((options.bind, options.port), handler)

    def handle_error(self, request, client_address):
        pass  # a client that went away


def wait_for_eof():
    while os.read(0, 4096):
        pass
    os._exit(0)


def parser():
    p = argparse.ArgumentParser(usage=sys.modules["__main__"].__doc__)
    p.add_argument("root")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--bind", default="127.0.0.1")
    p.add_argument("--user")
    p.add_argument("--bearer")
    p.add_argument("--no-v2", action="store_true")
    p.add_argument("--delay", type=float, default=0)
    p.add_argument("--until-eof", action="store_true")
    p.add_argument("--log")
    return p


def run(server):
    options = server.options
    options.root = os.path.abspath(options.root)
    print(server.server_address[1], flush=True)
    if options.until_eof:
        threading.Thread(target=wait_for_eof, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


def main():
    run(Server(parser().parse_args()))


if __name__ == "__main__":
    main()
