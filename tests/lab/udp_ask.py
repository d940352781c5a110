#!/usr/bin/python3
"""Sends COUNT datagrams of BYTES bytes to an echo server, and prints one line for each answer.

    udp_ask.py SOURCE ADDRESS PORT BYTES COUNT [SECONDS]

A line is `BACKEND OK`, `BACKEND DIFFERENT`, or `TIMEOUT` after SECONDS (default 3).
"""
import random
import socket
import sys

source, address, port, size, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
timeout_s = float(sys.argv[6]) if len(sys.argv) > 6 else 3
for number in range(count):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.bind((source, 0))
        question = random.Random(number).randbytes(size)
        sock.sendto(question, (address, port))
        try:
            name, answer = sock.recv(65535).split(b" ", 1)
            print(name.decode(), "OK" if answer == question else "DIFFERENT")
        except TimeoutError:
            print("TIMEOUT")
