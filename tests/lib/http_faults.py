#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server that misbehaves on request.

usage: http_faults.py [--port N] [--unix PATH] [--tls FILE]

Prints "ready PORT" once it listens on 127.0.0.1 (0 = any port) or the socket.
FILE holds a key and a certificate.
Ends when its standard input is closed.
"""
import argparse
import gzip
import http.server
import os
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

counts = {}
lock = threading.Lock()


def count(key):
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def setup(self):
        if isinstance(self.client_address, (str, bytes)):
            self.disable_nagle_algorithm = False
            self.client_address = ("unix", 0)
        super().setup()

    def reply(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = b""
            while True:
                n = int(self.rfile.readline(), 16)
                body += self.rfile.read(n)
                self.rfile.readline()
                if not n:
                    return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def run(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.read_body()
        n = count(query.get("key", url.path))
        name = url.path.strip("/").split("/")[0]
        action = getattr(self, "do_" + name, None)
        if action:
            action(query, body, n)
        else:
            self.reply(404, b"no such page")

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = run

    def do_hello(self, query, body, n):
        self.reply(200, b"hello", [("X-One", "1"), ("X-Two", " two ")])

    def do_echo(self, query, body, n):
        lines = [self.command + " " + self.path]
        lines += ["%s: %s" % (k.lower(), v) for k, v in self.headers.items()]
        text = "\n".join(lines).encode() + b"\n\n" + body
        self.reply(200, text)

    def do_count(self, query, body, n):
        with lock:
            seen = counts.get(query["of"], 0)
        self.reply(200, str(seen).encode())

    def do_redirect(self, query, body, n):
        self.reply(int(query.get("code", 302)), b"gone",
                   [("Location", query["to"])])

    def do_loop(self, query, body, n):
        self.reply(302, b"", [("Location", "/loop")])

    def do_status(self, query, body, n):
        """The status for the first `times` requests with this key."""
        headers = []
        if "retry_after" in query:
            headers.append(("Retry-After", query["retry_after"]))
        if n <= int(query.get("times", 1 << 30)):
            self.reply(int(query["code"]), b"not now", headers)
        else:
            self.reply(200, b"now")

    def do_dropped(self, query, body, n):
        """Close without an answer for the first `times` requests."""
        if n <= int(query.get("times", 1 << 30)):
            self.drop()
        else:
            self.reply(200, b"now")

    def do_truncate(self, query, body, n):
        if n > int(query.get("times", 1 << 30)):
            self.reply(200, b"whole")
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * int(query.get("after", 10)))
        self.wfile.flush()
        self.drop()

    def do_stall(self, query, body, n):
        """Nothing, or headers and ten bytes, then silence."""
        if "head" in query:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.wfile.flush()
        time.sleep(20)
        self.drop()

    def do_drip(self, query, body, n):
        self.send_response(200)
        self.send_header("Content-Length", query["n"])
        self.end_headers()
        for _ in range(int(query["n"])):
            self.wfile.write(b".")
            self.wfile.flush()
            time.sleep(float(query["ms"]) / 1000)

    def do_big(self, query, body, n):
        left = int(query["n"])
        self.send_response(200)
        if "chunked" in query:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            part = b"z" * min(left, 65536)
            left -= len(part)
            if "chunked" in query:
                part = b"%x\r\n%s\r\n" % (len(part), part)
            self.wfile.write(part)
        if "chunked" in query:
            self.wfile.write(b"0\r\n\r\n")

    def do_gzip(self, query, body, n):
        text = b"plain " * 1000
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.reply(200, gzip.compress(text),
                       [("Content-Encoding", "gzip")])
        else:
            self.reply(200, text)

    def do_garbage(self, query, body, n):
        self.wfile.write(b"this is not HTTP\r\n\r\n")
        self.wfile.flush()
        self.drop()


class TcpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that do not trust us hang up

    request_queue_size = 128


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unix")
    parser.add_argument("--tls")
    args = parser.parse_args()
    if args.unix:
        server = UnixServer(args.unix, Handler)
        port = 0
    else:
        server = TcpServer(("127.0.0.1", args.port), Handler)
        port = server.server_address[1]
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.tls)
        # the handshake belongs to the thread of the connection
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.write(1, b"ready %d\n" % port)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
