#!/usr/bin/python3
"""A UDP echo server. It answers `<name> <the datagram>` from the address to which the datagram was sent.

    udp_echo.py NAME PORT        both families, all local addresses; ends by SIGTERM
"""
import select
import socket
import struct
import sys

SO_RCVBUFFORCE = 33
IP_PKTINFO = 8
IPV6_RECVPKTINFO, IPV6_PKTINFO = 49, 50


def answer(sock, level, kind, name):
    data, ancillary, _, peer = sock.recvmsg(65535, 64)
    control = []
    for got_level, got_kind, value in ancillary:
        if (got_level, got_kind) != (level, kind):
            continue
        if kind == IP_PKTINFO:  # interface, routing source, header destination
            address = value[8:12]
            value = struct.pack("=i4s4s", 0, address, b"\0" * 4)
        else:
            value = value[:16] + struct.pack("=i", 0)
        control = [(level, kind, value)]
    try:
        sock.sendmsg([name + b" " + data], control, 0, peer)
    except OSError as error:
        print(f"to {peer[0]}: {error}", file=sys.stderr, flush=True)


def enlarge_receive_buffer(sock):
    """For the datagrams that arrive while this process has no CPU.

    SO_RCVBUF is limited to net.core.rmem_max, by default about 500 datagrams.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    except PermissionError:  # root of a user namespace may not use SO_RCVBUFFORCE
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)


def main():
    name, port = sys.argv[1].encode(), int(sys.argv[2])
    v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    v4.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    v6.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    for sock, any_address in ((v4, "0.0.0.0"), (v6, "::")):
        enlarge_receive_buffer(sock)
        sock.bind((any_address, port))
    poll = select.poll()
    poll.register(v4, select.POLLIN)
    poll.register(v6, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == v4.fileno():
                answer(v4, socket.IPPROTO_IP, IP_PKTINFO, name)
            else:
                answer(v6, socket.IPPROTO_IPV6, IPV6_PKTINFO, name)


if __name__ == "__main__":
    main()
