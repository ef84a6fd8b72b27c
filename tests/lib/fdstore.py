#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fdstore.py SOCKET CMD... - a stand-in for a service manager with a store for
descriptors: runs CMD with NOTIFY_SOCKET, keeps what it stores, and when it dies
by a signal runs it again with what is stored. Ends with it otherwise."""
import array
import os
import select
import signal
import socket
import sys


def start(cmd, stored):
    pid = os.fork()
    if pid:
        return pid
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(stored))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in stored)
    high = [os.dup2(fd, 500 + i) for i, (_, fd) in enumerate(stored)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
        os.close(fd)
    os.execv(cmd[0], cmd)


def take(sock, stored):
    data, control, _, _ = sock.recvmsg(65536, 4096)
    lines = dict(l.split("=", 1) for l in data.decode().splitlines() if "=" in l)
    fds = array.array("i")
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(value[:len(value) // 4 * 4])
    name = lines.get("FDNAME", "")
    if "FDSTOREREMOVE" in lines:
        for entry in [e for e in stored if e[0] == name]:
            os.close(entry[1])
            stored.remove(entry)
    if "FDSTORE" in lines:
        stored.extend((name, fd) for fd in fds)
    elif "READY" in lines:
        print("ready", flush=True)


def main():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(sys.argv[1])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    os.environ["NOTIFY_SOCKET"] = sys.argv[1]
    stored = []
    pid = start(sys.argv[2:], stored)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    while True:
        if select.select([sock], [], [], 0.05)[0]:
            take(sock, stored)
            continue
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            continue
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
        while select.select([sock], [], [], 0)[0]:
            take(sock, stored)
        print("again with", len(stored), flush=True)
        pid = start(sys.argv[2:], stored)


sys.exit(main())
