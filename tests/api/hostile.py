# SPDX-License-Identifier: Apache-2.0
"""Requests no honest client sends, byte by byte. Usage: hostile.py PORT"""
import json
import socket
import sys
import time

PORT = int(sys.argv[1])
HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
failures = 0


def talk(data, wait=10.0, half_close=False):
    """Everything the server says until it closes or falls silent."""
    s = socket.create_connection(("127.0.0.1", PORT), timeout=wait)
    got = b""
    try:
        try:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off in the middle: the answer may still be there
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
    except OSError:
        pass
    finally:
        s.close()
    return got


def statuses(answer):
    return [int(line.split()[1]) for line in answer.split(b"\r\n")
            if line.startswith(b"HTTP/1.1 ")]


def expect(what, data, *wanted):
    global failures
    got = statuses(talk(data))
    if got != list(wanted):
        failures += 1
        print(f"FAILED {what}: answers {got}, wanted {list(wanted)}")


def refused(what, data):
    """By the library itself, which may say it twice before it closes."""
    global failures
    got = set(statuses(talk(data)))
    if got not in ({400}, {431}, set()):
        failures += 1
        print(f"FAILED {what}: answers {got}, wanted 400")


def get(path, extra=b""):
    return (b"GET " + path + b" HTTP/1.1\r\n" + HOST +
            b"Connection: close\r\n" + extra + b"\r\n")


def post(path, body, extra=b"", kind=JSON, length=None):
    n = str(len(body) if length is None else length).encode()
    return (b"POST " + path + b" HTTP/1.1\r\n" + HOST + kind +
            b"Connection: close\r\nContent-Length: " + n + b"\r\n" + extra +
            b"\r\n" + body)


MOUNTS = b"/api/v1/mounts"

expect("honest", get(b"/health"), 200)

# two readings of where a request ends
expect("TE and CL", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST + JSON +
       b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
       get(b"/health"), 400)
expect("CL and TE", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST + JSON +
       b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" +
       get(b"/health"), 400)
expect("two lengths", post(MOUNTS, b"{}", b"Content-Length: 2\r\n"), 400)
expect("two other lengths", post(MOUNTS, b"{}", b"Content-Length: 60\r\n"),
       400)
refused("two lengths in one", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST +
       JSON + b"Content-Length: 2, 2\r\n\r\n{}")
refused("negative length", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST + JSON +
       b"Content-Length: -1\r\n\r\n")
refused("hexadecimal length", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST +
       JSON + b"Content-Length: 0x2\r\n\r\n{}")
refused("blank before the colon", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST +
        JSON + b"Content-Length : 2\r\n\r\n{}")
refused("folded first line", b"POST " + MOUNTS + b" HTTP/1.1\r\n "
        b"Transfer-Encoding: chunked\r\n" + HOST + JSON +
        b"Content-Length: 2\r\n\r\n{}")
expect("unknown coding", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST + JSON +
       b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 400)

# names
expect("foreign name", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n"
       b"Connection: close\r\n\r\n", 403)
expect("foreign name with port", b"GET /api/v1/status HTTP/1.1\r\n"
       b"Host: evil.example:2725\r\nConnection: close\r\n\r\n", 403)
refused("no name", b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
expect("two names", get(b"/health", b"Host: localhost\r\n"), 400)
expect("another port of ours", b"GET /health HTTP/1.1\r\n"
       b"Host: localhost:8080\r\nConnection: close\r\n\r\n", 200)

# ways out of the tree of addresses
for path in (b"/../etc/passwd", b"/api/v1/../../etc/passwd",
             b"/api/%2e%2e/%2e%2e/etc/passwd", b"/api/v1/mounts/%2e%2e",
             b"/api//v1/status", b"/api/v1/status%00", b"/api/v1/status\\x",
             b"/%", b"/%zz", b"http://127.0.0.1/health", b"*", b"health",
             b"/" + b"a/" * 100 + b"a", b"/?" + b"a=1&" * 100):
    expect("target %s" % path[:40].decode(), get(path), 400)
expect("slash inside a segment", get(MOUNTS + b"/%2Fno%2Fsuch"), 404)
expect("path of info", get(b"/api/v1/info?path=../../etc/passwd"), 400)
expect("path of info outside", get(b"/api/v1/info?path=/etc/passwd"), 409)
expect("path of info with NUL", get(b"/api/v1/info?path=/a%00b"), 400)
expect("profile with a path", post(b"/api/v1/profiles/%2E%2E%2Fx/record",
                                   b'{"mount":"/"}'), 400)

# bodies
expect("too long by its length", post(MOUNTS, b"", length=2097153), 413)
expect("too long in chunks", b"POST " + MOUNTS + b" HTTP/1.1\r\n" + HOST +
       JSON + b"Transfer-Encoding: chunked\r\n\r\n200001\r\n" +
       b"x" * 0x200001 + b"\r\n0\r\n\r\n", 413)
expect("a form", post(MOUNTS, b"a=b", kind=b"Content-Type: "
                      b"application/x-www-form-urlencoded\r\n"), 415)
expect("text", post(MOUNTS, b"{}", kind=b"Content-Type: text/plain\r\n"), 415)
expect("no kind", post(MOUNTS, b"{}", kind=b""), 415)
expect("not JSON", post(MOUNTS, b"{"), 400)
expect("trailing text", post(MOUNTS, b"{}{}"), 400)
expect("a key twice", post(MOUNTS, b'{"dir":"/a","dir":"/b"}'), 400)
expect("bad UTF-8", post(MOUNTS, b'{"dir":"\xff"}'), 400)
expect("deep", post(MOUNTS, b"[" * 100000), 400)
expect("a list", post(MOUNTS, b"[]"), 422)
expect("missing field", post(MOUNTS, b"{}"), 422)
expect("field of another kind", post(MOUNTS, b'{"source":1,"dir":"/x"}'), 422)
expect("relative directory",
       post(MOUNTS, b'{"source":"mem+demo","dir":"x"}'), 400)
expect("NUL in a field",
       post(MOUNTS, b'{"source":"mem+demo","dir":"/x\\u0000y"}'), 400)
expect("escaped NUL in a field",
       post(MOUNTS, b'{"source":"mem+demo","dir":"/x\\\\x00"}'), 400)

# pages of others
expect("foreign origin", post(MOUNTS, b'{"source":"mem+demo","dir":"/x"}',
                              b"Origin: http://evil.example\r\n"), 403)
expect("null origin", post(MOUNTS, b'{"source":"mem+demo","dir":"/x"}',
                           b"Origin: null\r\n"), 403)
expect("cross-site", post(b"/api/v1/stop", b"{}",
                          b"Sec-Fetch-Site: cross-site\r\n"), 403)
expect("wrong method", get(b"/api/v1/stop"), 405)
expect("odd method", b"BREW /health HTTP/1.1\r\n" + HOST +
       b"Connection: close\r\n\r\n", 405)

# what never ends
many = b"".join(b"X-%d: v\r\n" % i for i in range(10000))
if 200 in statuses(talk(b"GET /health HTTP/1.1\r\n" + HOST + many + b"\r\n")):
    failures += 1
    print("FAILED ten thousand header lines were taken")
if 200 in statuses(talk(b"GET /health HTTP/1.1\r\n" + HOST + b"X: " +
                        b"a" * 1000000 + b"\r\n\r\n")):
    failures += 1
    print("FAILED a header of a megabyte was taken")
for junk in (b"\x00" * 1000, b"\x16\x03\x01\x02\x00\x01" + b"a" * 500,
             b"GET\r\n\r\n", b"\r\n" * 5000, b"GET / HTTP/9.9\r\n\r\n",
             b"GET /health HTTP/1.1\r\n X: folded\r\n" + HOST + b"\r\n"):
    if 200 in statuses(talk(junk, wait=3, half_close=True)):
        failures += 1
        print("FAILED junk was answered with 200:", junk[:20])

# a client that drips bytes is cut off, and others are served meanwhile
slow = socket.create_connection(("127.0.0.1", PORT), timeout=40)
slow.sendall(b"GET /health HTTP/1.1\r\n" + HOST)
crowd = [socket.create_connection(("127.0.0.1", PORT), timeout=10)
         for _ in range(100)]
start = time.monotonic()
cut = None
while time.monotonic() - start < 30:
    try:
        slow.settimeout(1.0)
        slow.sendall(b"X")
        if slow.recv(10) == b"":
            cut = time.monotonic() - start
            break
    except socket.timeout:
        if statuses(talk(get(b"/health"))) != [200]:
            failures += 1
            print("FAILED others are not served beside a slow client")
            break
    except OSError:
        cut = time.monotonic() - start
        break
for s in crowd:
    s.close()
if cut is None:
    failures += 1
    print("FAILED a client that drips bytes was never cut off")

answer = talk(get(b"/api/v1/nothing"))
body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
if set(body) != {"error", "code"} or body["code"] != "NOT_FOUND":
    failures += 1
    print("FAILED the error body is", body)
expect("still there", get(b"/health"), 200)
sys.exit(1 if failures else 0)
