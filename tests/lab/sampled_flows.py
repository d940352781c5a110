#!/usr/bin/python3
"""Opens TCP connections that the dataplane follows (one flow in 64), and prints one line for each.

    sampled_flows.py SEED ADDRESS PORT PER_SECOND PREFIX FIRST_PORT LAST_PORT

SEED is the group's hash seed. So a few connections a second are enough, where outliers would need thousands. Sources
are the addresses of PREFIX and the ports FIRST_PORT to LAST_PORT. A line is `SECONDS ok` or `SECONDS failed`: when the
connection began (time.monotonic()), and whether it was established within 2.5 s. Runs until SIGTERM.
"""
import ipaddress
import itertools
import random
import selectors
import signal
import socket
import struct
import sys
import time

import xxhash

_TIMEOUT_S = 2.5
_NO_TIME_WAIT = struct.pack("ii", 1, 0)


def sampled(seed, prefix, destination, port, ports):
    """The (source, source port) whose hash is sampled (dataplane/pipeline/handshake_table.h), in random order."""
    flows = []
    for source in ipaddress.ip_network(prefix).hosts():
        head = source.packed + ipaddress.ip_address(destination).packed
        for source_port in ports:
            key = head + source_port.to_bytes(2, "big") + port.to_bytes(2, "big") + bytes([6, 0, 0, 0])
            if xxhash.xxh3_128_intdigest(key, seed) & 0xffffffff < 2**32 // 64:
                flows.append((str(source), source_port))
    random.Random(1).shuffle(flows)
    return flows


def begin(selector, source, target):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_TIME_WAIT)
    sock.bind(source)
    sock.connect_ex(target)
    selector.register(sock, selectors.EVENT_WRITE, time.monotonic())


def end(selector, sock, began, is_ok):
    print(f"{began:.3f} {'ok' if is_ok else 'failed'}", flush=True)
    selector.unregister(sock)
    sock.close()


def main():
    seed, address, port, per_second, prefix, first, last = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    target = address, int(port)
    flows = itertools.cycle(sampled(int(seed), prefix, *target, range(int(first), int(last) + 1)))
    selector = selectors.DefaultSelector()
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            begin(selector, next(flows), target)
            due = max(due, now - 0.5) + 1 / float(per_second)
        for key, _ in selector.select(max(0.0, min(due - time.monotonic(), 0.05))):
            end(selector, key.fileobj, key.data, key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)
        for key in list(selector.get_map().values()):
            if time.monotonic() > key.data + _TIMEOUT_S:
                end(selector, key.fileobj, key.data, False)


main()
