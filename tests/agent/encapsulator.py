"""Takes the balancer's place: encapsulates the packets that are routed into its TUN device. Runs until it is killed.

    encapsulator.py TUN MTU {ipip|gue} OUTER-SOURCE OUTER-DESTINATION [PRIVATE-DATA-OF-GUE, hexadecimal]

The kernel builds the outer headers (raw and UDP sockets). They do not depend on how the agent parses them.
"""
import fcntl
import os
import socket
import struct
import subprocess
import sys

TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
SO_NO_CHECK, UDP_NO_CHECK6_TX = 11, 101
GUE_PORT = 6080


def make_tun(name, mtu):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    subprocess.run(["ip", "link", "set", name, "mtu", mtu, "up"], check=True)
    return tun


def make_senders(mode, source, destination, data=b""):
    """Returns {inner IP version: function that sends a packet}."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    if mode == "gue":
        udp = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)
        else:
            udp.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        udp.bind((source, 0))
        udp.connect((destination, GUE_PORT))
        return {version: lambda packet, proto=proto: udp.send(bytes([len(data) // 4, proto, 0, 0]) + data + packet)
                for version, proto in ((4, 4), (6, 41))}
    senders = {}
    for version, proto in ((4, 4), (6, 41)):
        raw = socket.socket(family, socket.SOCK_RAW, proto)
        raw.bind((source, 0))
        raw.connect((destination, 0))
        senders[version] = raw.send
    return senders


def main():
    name, mtu, mode, source, destination, *data = sys.argv[1:]
    tun = make_tun(name, mtu)
    senders = make_senders(mode, source, destination, bytes.fromhex("".join(data)))
    while True:
        packet = os.read(tun, 65536)
        if packet[0] >> 4 in senders:
            senders[packet[0] >> 4](packet)


if __name__ == "__main__":
    main()
