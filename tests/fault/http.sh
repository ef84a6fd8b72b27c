#!/bin/bash
# Hostile HTTP requests: refused, and the daemon goes on answering others
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse python3 curl

start_daemon
python3 - "$DAEMON_PORT" <<'END'
import socket, sys, threading, time
port = int(sys.argv[1])
host = b"Host: 127.0.0.1:%d\r\n" % port

def ask(raw, wait=8):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.settimeout(wait)
    got = b""
    try: # it may hang up before it has heard everything
        s.sendall(raw)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    try:
        while part := s.recv(65536):
            got += part
    except OSError:
        pass
    s.close()
    return got

def status(raw):
    got = ask(raw)
    return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1") else 0

def check(name, raw, allowed):
    got = status(raw)
    print(name, got)
    if got not in allowed:
        sys.exit(f"{name}: {got}, wanted one of {allowed}")

ok = b"GET /health HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n"
bad = (0, 400, 401, 403, 404, 405, 411, 413, 414, 415, 417, 421, 431, 501, 505)
check("plain", ok, (200,))
check("no host", b"GET /health HTTP/1.1\r\n\r\n", bad)
check("foreign host", b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", bad)
check("foreign origin", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Origin: http://evil.example\r\nContent-Type: text/plain\r\n"
      b"Content-Length: 2\r\n\r\n{}", bad)
check("both lengths", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (0, 400))
check("two lengths", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", (0, 400))
check("negative length", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Content-Length: -1\r\n\r\n", bad)
check("huge length", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Content-Length: 99999999999999999999\r\n\r\n", bad)
check("large body", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Content-Type: application/json\r\nContent-Length: 50000000\r\n\r\n" +
      b"x" * 3000000, bad)
check("bad chunk", b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
      b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", bad)
check("long line", b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n" + host + b"\r\n", bad)
check("long header", b"GET /health HTTP/1.1\r\n" + host + b"X: " + b"a" * 200000 +
      b"\r\n\r\n", bad)
check("many headers", b"GET /health HTTP/1.1\r\n" + host +
      b"".join(b"X%d: y\r\n" % i for i in range(20000)) + b"\r\n", bad)
check("unknown method", b"BREW /health HTTP/1.1\r\n" + host + b"\r\n", bad)
for path in (b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/api/v1/%00",
             b"/api/v1/mounts/..%2f..%2fx", b"//etc/passwd", b"/%", b"/%zz"):
    check(repr(path), b"GET " + path + b" HTTP/1.1\r\n" + host +
          b"Connection: close\r\n\r\n", bad)
for body in (b"", b"{", b"[]", b"null", b'{"source":7}', b'{"source":"x"}',
             b'{"a":1,"a":2}', b"[" * 100000, b'{"source":"\xff\xfe","dir":"/x"}',
             b'{"source":"/x","dir":"relative"}',
             b'{"source":"/x","dir":"/a\\u0000b"}'):
    check(repr(body[:40]), b"POST /api/v1/mounts HTTP/1.1\r\n" + host +
          b"Content-Type: application/json\r\nContent-Length: %d\r\n"
          b"Connection: close\r\n\r\n" % len(body) + body, bad + (422,))
check("garbage", bytes(range(256)) * 50, bad)
check("tls hello", bytes.fromhex("16030100c8010000c40303") + b"x" * 200, bad)

# connections that say nothing must not keep others out
silent = []
for i in range(200):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.send(b"GET /hea")
    silent.append(s)
begin = time.time()
check("beside 200 silent ones", ok, (200,))
assert time.time() - begin < 5
for s in silent:
    s.close()

# many at once
results = []
def many():
    for _ in range(20):
        results.append(status(ok))
threads = [threading.Thread(target=many) for _ in range(16)]
for t in threads: t.start()
for t in threads: t.join()
assert results.count(200) == 320, results
END
daemon_answers || fail "the daemon is gone"
[ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "$DAEMON_URL/metrics")" = 200 ] ||
    fail "no metrics"
scorpio_cli status >/dev/null || fail "no status"
