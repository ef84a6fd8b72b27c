# SPDX-License-Identifier: Apache-2.0
"""usage: mounts_at_once.py HOST:PORT N TAG - N POST /antares/mounts of "/" at
once, each of a job of its own, on connections that are open already; by one
thread, so that it takes little of the machine. Prints the median and the longest
time until an answer in milliseconds, and removes the mounts."""
import http.client
import json
import selectors
import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)
n, tag = int(sys.argv[2]), sys.argv[3]
poll = selectors.DefaultSelector()
all_of_it = []
for i in range(n):
    body = json.dumps({"path": "/", "job_id": "%s-%d" % (tag, i)})
    s = socket.create_connection((host, int(port)), timeout=120)
    all_of_it.append((s, (
        "POST /antares/mounts HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (host, port, len(body), body)).encode()))
got, took = {}, []
start = time.perf_counter()
for s, request in all_of_it:
    s.sendall(request)
    s.setblocking(False)
    poll.register(s, selectors.EVENT_READ)
    got[s] = b""
while poll.get_map():
    events = poll.select(120)
    assert events, "no answer"
    for key, _ in events:
        piece = key.fileobj.recv(65536)
        got[key.fileobj] += piece
        if not piece:
            took.append((time.perf_counter() - start) * 1000)
            poll.unregister(key.fileobj)
ids = []
for answer in got.values():
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200", answer
    ids.append(json.loads(body)["mount_id"])
took.sort()
print("%.0f %.0f" % (took[n // 2], took[-1]))
for i in ids:
    c = http.client.HTTPConnection(host, int(port), timeout=60)
    c.request("DELETE", "/antares/mounts/" + i)
    assert c.getresponse().status == 200
    c.close()
