#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nix_cache.py DIR PORTFILE LOG FAULTS - a binary cache over HTTP that counts
and misbehaves on demand.

Each request appends "METHOD PATH STATUS BYTES RANGE" to LOG. FAULTS is a JSON
list, read anew for each request; the first rule whose "path" (a regular
expression) matches applies, as often as "times" says (default: always):
  {"path": "...", "status": 500}        answer this status
  {"path": "...", "cut": N}             close after N bytes of the body
  {"path": "...", "stall": N}           send N bytes, then nothing
  {"path": "...", "body": "..."}        answer this text
  {"path": "...", "file": "..."}        answer this file
  {"path": "...", "flip": N}            invert the byte at N
  {"path": "...", "delay": S}           wait before answering
  {"path": "...", "encoding": "zstd"}   send FILE.zstd with Content-Encoding
  {"path": "...", "norange": true}      ignore Range
The environment: NIX_CACHE_DELAY_MS before each answer, NIX_CACHE_RATE bytes/s.
"""
import http.server
import json
import os
import re
import sys
import threading
import time

ROOT, PORTFILE, LOG, FAULTS = sys.argv[1:5]
DELAY = int(os.environ.get("NIX_CACHE_DELAY_MS", "0")) / 1000
RATE = int(os.environ.get("NIX_CACHE_RATE", "0"))
lock = threading.Lock()
used = {}


def rule_for(path):
    try:
        with open(FAULTS) as f:
            rules = json.load(f)
    except (OSError, ValueError):
        return {}
    with lock:
        for i, rule in enumerate(rules):
            if not re.search(rule["path"], path):
                continue
            key = json.dumps(rule, sort_keys=True) + str(i)
            if used.get(key, 0) >= rule.get("times", 1 << 60):
                continue
            used[key] = used.get(key, 0) + 1
            return rule
    return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status, sent):
        line = "%s %s %d %d %s\n" % (self.command, self.path, status, sent,
                                     self.headers.get("Range", "-"))
        with lock, open(LOG, "a") as f:
            f.write(line)

    def content(self, rule):
        if "body" in rule:
            return rule["body"].encode()
        path = rule.get("file") or os.path.join(
            ROOT, self.path.split("?")[0].lstrip("/"))
        if "encoding" in rule:
            path += "." + rule["encoding"]
        with open(path, "rb") as f:
            data = f.read()
        if "flip" in rule:
            at = rule["flip"] % len(data)
            data = data[:at] + bytes([data[at] ^ 255]) + data[at + 1:]
        return data

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        rule = rule_for(self.path)
        time.sleep(rule.get("delay", 0) + DELAY)
        status, data, extra = 200, b"", []
        if "status" in rule:
            status = rule["status"]
        else:
            try:
                data = self.content(rule)
            except OSError:
                status = 404
        want = self.headers.get("Range")
        if status == 200 and want and not rule.get("norange"):
            first, last = re.match(r"bytes=(\d+)-(\d*)$", want).groups()
            first = int(first)
            last = min(int(last) if last else len(data) - 1, len(data) - 1)
            if first >= len(data):
                status, extra = 416, [("Content-Range", "bytes */%d" % len(data))]
                data = b""
            else:
                extra = [("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))]
                data, status = data[first:last + 1], 206
        self.send_response(status)
        for k, v in extra:
            self.send_header(k, v)
        if not rule.get("norange"):
            self.send_header("Accept-Ranges", "bytes")
        if "encoding" in rule and status == 200:
            self.send_header("Content-Encoding", rule["encoding"])
        self.send_header("Content-Length", str(len(data)))
        if self.command != "GET":
            data = b""
        # who has the answer may look into the log at once
        small = len(data) <= 16384 and not rule
        if small:
            self.note(status, len(data))
        self.end_headers()
        sent = self.send(data, rule)
        if not small:
            self.note(status, sent)

    def send(self, data, rule):
        stop = rule.get("cut", rule.get("stall", len(data)))
        data = data[:stop] if stop < len(data) else data
        sent = 0
        try:
            while sent < len(data):
                part = data[sent:sent + 16384]
                self.wfile.write(part)
                sent += len(part)
                if RATE:
                    time.sleep(len(part) / RATE)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
            return sent
        if "stall" in rule:
            time.sleep(600)
        if "cut" in rule or "stall" in rule:
            self.close_connection = True
        return sent


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
with open(PORTFILE + ".tmp", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(PORTFILE + ".tmp", PORTFILE)
server.serve_forever()
