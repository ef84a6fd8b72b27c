#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""delay_relay.py PORT TARGET-PORT MS [BYTES/S] - a TCP relay on loopback that keeps each
piece of data for MS/2 milliseconds in either direction: a round trip of MS.
With BYTES/S all connections share one link of that speed in each direction, and
it prints a line for each MiB that came.
Stands in for tc netem where the kernel has none. Prints "ready" when it is.
"""
import asyncio
import sys


RATE = float(sys.argv[4]) if len(sys.argv) > 4 else 0
total = [0]
free_at = {}  # by direction: when the link has sent what was given to it


async def pump(reader, writer, delay, way):
    rate = RATE
    queue = asyncio.Queue(maxsize=64 if rate else 4096)
    loop = asyncio.get_running_loop()

    async def send():
        while True:
            due, data = await queue.get()
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    task = asyncio.create_task(send())
    try:
        while True:
            data = await reader.read(16384 if rate else 262144)
            due = loop.time()
            if rate:
                due = max(free_at.get(way, 0), due) + len(data) / rate
                free_at[way] = due
                before = total[0] >> 20
                total[0] += len(data)
                if total[0] >> 20 != before:
                    print(total[0] >> 20, "MiB", flush=True)
            await queue.put((due + delay, data))
            if not data:
                break
        await task
    except (ConnectionError, OSError):
        task.cancel()


async def main():
    port, target, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

    async def serve(reader, writer):
        try:
            # the handshake costs a round trip as well
            await asyncio.sleep(delay / 1000)
            up_reader, up_writer = await asyncio.open_connection(
                "127.0.0.1", target)
            await asyncio.gather(pump(reader, up_writer, delay / 2000, "up"),
                                 pump(up_reader, writer, delay / 2000, "down"))
            up_writer.close()
        except (ConnectionError, OSError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
