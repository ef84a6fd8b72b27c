#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server whose answers are as long and as slow as a test wants.

slow_server.py DIR: any request is answered with "first\n", and once DIR/go is
there with MiB pieces, as many as DIR/go says; DIR/sent counts those that went
out, and DIR/gone appears when the client went away. DIR/cut: the answer breaks
off after that many pieces. A request's body is read and its size put in DIR/got.
Prints its port."""
import http.server
import os
import sys
import time

DIR = sys.argv[1]


def path(name):
    return os.path.join(DIR, name)


def put(name, text):
    with open(path(name) + ".new", "w") as f:
        f.write(str(text))
    os.rename(path(name) + ".new", path(name))


class Slow(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def pieces(self):
        deadline = time.monotonic() + 120
        self.chunk(b"first\n")
        while not os.path.exists(path("go")):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        piece = bytes(1 << 20)
        with open(path("go")) as f:
            count = int(f.read())
        for i in range(count):
            if os.path.exists(path("cut")):
                with open(path("cut")) as f:
                    if i == int(f.read()):
                        self.close_connection = True
                        return
            self.chunk(piece)
            put("sent", i + 1)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self):
        n = int(self.headers.get("Content-Length") or 0)
        put("got", len(self.rfile.read(n)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-result")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.pieces()
        except OSError:
            put("gone", 1)
            self.close_connection = True

    do_GET = do_POST = answer


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
