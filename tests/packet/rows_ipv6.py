"""IPv6 extension headers in front of TCP and UDP."""
import struct

from scapy.all import Raw

from tests.packet.rows import drop, ether, flow_of, forward, ip4, ip6, payload, row, tcp, udp
from tests.packet.expect import Drop
from tests.packet.variants import WEB4

HOP, ROUTING, FRAGMENT, AH, NO_NEXT, DESTINATION = 0, 43, 44, 51, 59, 60


def options(next_header, size=8, body=None):
    """A hop-by-hop or destination options header of `size` bytes, filled with PadN options."""
    if body is None:
        body = b""
        while len(body) < size - 2:
            data = min(size - 2 - len(body) - 2, 100)
            body += bytes([1, data]) + b"\0" * data
    return bytes([next_header, (2 + len(body)) // 8 - 1]) + body


def routing(next_header, segments_left=0, size=8):
    return bytes([next_header, size // 8 - 1, 0, segments_left]) + b"\0" * (size - 4)


def fragment(next_header, offset=0, more=0, reserved=0):
    return bytes([next_header, reserved]) + struct.pack("!HI", offset | more, 0x01020304)


def authentication(next_header, size=24):
    return bytes([next_header, size // 4 - 2]) + b"\0\0" + b"\x11" * (size - 4)


_MAKERS = {HOP: options, DESTINATION: options, ROUTING: routing, FRAGMENT: fragment, AH: authentication}


def chain(kinds, layer, last=None):
    """Returns an IPv6 packet with these extension headers, and the same packet without them.

    `kinds`: numbers, or (number, keyword arguments). `layer`: the transport header.
    """
    plain = ether() / ip6() / layer
    transport = bytes(plain)[14 + 40:]
    next_header = bytes(plain)[14 + 6] if last is None else last
    data = b""
    for kind in reversed(kinds):
        number, arguments = kind if isinstance(kind, tuple) else (kind, {})
        data = _MAKERS[number](next_header, **arguments) + data
        next_header = number
    return ether() / ip6(nh=next_header) / Raw(data + transport), plain


def walked(kinds, layer):
    """A step: the packet goes to the same backend as without its extension headers.

    nat drops packets with AH, because AH covers the addresses.
    """
    packet, plain = chain(kinds, layer)
    _, expect = forward(packet, flow=flow_of(plain))
    has_ah = any((kind[0] if isinstance(kind, tuple) else kind) == AH for kind in kinds)
    return packet, lambda its_world, data: \
        Drop("ah_nat") if has_ah and its_world.mode == "nat" else expect(its_world, data)


def refused(kinds, reason="bad_extension", last=None):
    return drop(chain(kinds, tcp(), last)[0], reason)


for name, kinds in (("hop-by-hop", [HOP]), ("destination", [DESTINATION]), ("routing", [ROUTING]), ("ah", [AH]),
                    ("atomic", [FRAGMENT]),
                    ("all", [HOP, DESTINATION, ROUTING, FRAGMENT, AH, DESTINATION]), ("eight", [DESTINATION] * 8),
                    ("hop-by-hop-seven", [HOP] + [DESTINATION] * 7), ("long", [(DESTINATION, {"size": 256})]),
                    ("long-two", [(HOP, {"size": 128}), (DESTINATION, {"size": 128})]),
                    ("ah-longest", [(AH, {"size": 256})]), ("ah-shortest", [(AH, {"size": 16})])):
    row(f"walk6-{name}", "At most 8 extension headers and 256 bytes are walked; the packet keeps them",
        walked(kinds, tcp()), walked(kinds, udp() / payload()), walked(kinds, tcp(flags="PA") / payload(3)))
row("walk6-atomic-reserved", "An atomic fragment is forwarded as an ordinary packet, with any reserved bits",
    walked([(FRAGMENT, {"reserved": 0xFF})], tcp()))
row("walk6-pad1", "Hop-by-hop options: Pad1 and unknown options are walked",
    walked([(HOP, {"body": b"\0\0\0\0\0\0"})], tcp()), walked([(HOP, {"body": b"\x1e\x02ab\0\0"})], tcp()))
row("walk6-jumbo-in-destination", "The jumbo option outside of a hop-by-hop header is ignored",
    walked([(DESTINATION, {"body": b"\xc2\x04\0\1\0\0"})], tcp()))

row("extension-nine", "More than 8 extension headers: drop", refused([DESTINATION] * 9),
    refused([HOP] + [DESTINATION] * 8))
row("extension-long", "More than 256 bytes of extension headers: drop",
    refused([(DESTINATION, {"size": 264})]), refused([(DESTINATION, {"size": 256}), DESTINATION]),
    refused([(HOP, {"size": 128}), (DESTINATION, {"size": 136})]))
row("hop-by-hop-not-first", "A hop-by-hop header that is not first: drop", refused([DESTINATION, HOP]),
    refused([HOP, HOP]))
row("routing-segments-left", "A routing header with segments left: drop",
    *[refused([(ROUTING, {"segments_left": left})]) for left in (1, 2, 255)])
row("jumbogram", "A jumbogram: drop",
    drop(ether() / ip6(nh=HOP, plen=0) / Raw(options(6, body=b"\xc2\x04\0\1\0\0") + bytes(tcp())), "bad_extension"),
    refused([(HOP, {"body": b"\xc2\x04\0\1\0\0"})]))
row("no-next-header", "Next header 59: drop",
    drop(ether() / ip6(nh=NO_NEXT) / payload(), "unsupported_protocol"),
    refused([DESTINATION], "unsupported_protocol", last=NO_NEXT))
row("extension-past-end", "An extension header past the end of the packet: drop",
    *[drop(ether() / ip6(nh=kind) / Raw(bytes([6, 5]) + b"\0" * size), "bad_extension")
      for kind in (HOP, DESTINATION, ROUTING, AH) for size in (0, 5, 6, 20)],
    drop(ether() / ip6(nh=FRAGMENT) / Raw(b"\6\0\0\0"), "bad_extension"))
row("extension-then-short-tcp", "A truncated TCP header behind extension headers: drop",
    *[drop(ether() / ip6(nh=DESTINATION) / Raw(options(6) + bytes(tcp())[:size]), "bad_tcp_header")
      for size in (0, 8, 19)])

row("plain-df", "A packet with DF, but without MF and offset, is not a fragment",
    forward(ether() / ip4(destination=WEB4, flags="DF") / tcp()))
