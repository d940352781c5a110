"""ICMP echo, which Fairlead answers itself, and other ICMP, which it never forwards."""
from scapy.all import (ICMP, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6ND_Redirect,
                       ICMPv6Unknown, IP, IPOption_NOP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw)

from tests.packet.expect import Reply
from tests.packet.rows import drop, ether, ip4, ip6, kernel, payload, row, tcp
from tests.packet.variants import (BROADCAST_MAC, CLIENT4, CLIENT6, CLIENT_MAC, EXTRA_MAC, FOREIGN4, FOREIGN6,
                                   PORT_MAC, TAGGED4, TAGGED6, WEB4, WEB6)

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))


def echo4(size=56, tags=(), to_mac=PORT_MAC, source=CLIENT4, destination=WEB4, padding=b"", icmp=None, **fields):
    """A step: an IPv4 echo request and its reply, made by scapy."""
    data = payload(size)
    request = (ether(to_mac, tags=tags) / ip4(source, destination, **fields)
               / ICMP(type=8, id=0x77, seq=3, **(icmp or {})) / data)
    kept = {key: value for key, value in fields.items() if key in ("tos", "id", "flags")}
    reply = (ether(CLIENT_MAC, PORT_MAC, tags=tags) / ip4(destination, source, ttl=64, **kept)
             / ICMP(type=0, id=0x77, seq=3) / data)
    return bytes(request) + padding, Reply(bytes(reply))


def zeros4(size):
    """As echo4, with id and sequence 0 and a payload of zeros."""
    data = Raw(bytes(size)) if size else Raw(b"")
    request = ether() / ip4(CLIENT4, WEB4) / ICMP(type=8, id=0, seq=0) / data
    reply = ether(CLIENT_MAC, PORT_MAC) / ip4(WEB4, CLIENT4, ttl=64) / ICMP(type=0, id=0, seq=0) / data
    return bytes(request), Reply(bytes(reply))


def echo6(size=56, tags=(), to_mac=PORT_MAC, source=CLIENT6, destination=WEB6, extension=None, padding=b"", **fields):
    data = bytes(payload(size))
    head = ip6(source, destination, **fields)
    request = (ether(to_mac, tags=tags) / (head / extension if extension else head)
               / ICMPv6EchoRequest(id=0x77, seq=3, data=data))
    reply = (ether(CLIENT_MAC, PORT_MAC, tags=tags) / ip6(destination, source, hlim=64, tc=fields.get("tc", 0))
             / ICMPv6EchoReply(id=0x77, seq=3, data=data))
    return bytes(request) + padding, Reply(bytes(reply))


row("echo4", "Echo to F is answered: from F, TTL 64, same id, sequence and data", echo4())
row("echo6", "Echo to F is answered (IPv6)", echo6())
row("echo4-sizes", "Echo requests of any size are answered, including odd sizes",
    *[echo4(size) for size in (0, 1, 2, 7, 18, 63, 64, 999, 1471, 1472)])
row("echo6-sizes", "Echo requests of any size are answered, including odd sizes (IPv6)",
    *[echo6(size) for size in (0, 1, 2, 7, 63, 64, 999, 1452)])
row("echo4-zeros", "The checksum of a reply of zeros is 0xffff (RFC 1071)",
    *[zeros4(size) for size in (0, 1, 2, 7, 56)])
row("echo4-tags", "Echo replies have the request's VLAN tags", *[echo4(tags=tags) for tags in _TAGS],
    echo4(tags=_TAGS[0], destination=TAGGED4))
row("echo6-tags", "Echo replies have the request's VLAN tags (IPv6)", *[echo6(tags=tags) for tags in _TAGS],
    echo6(tags=_TAGS[0], destination=TAGGED6))
row("echo4-extra-mac", "Echo replies have the port's own MAC, also if the request was to an extra MAC",
    echo4(to_mac=EXTRA_MAC))
row("echo4-options", "Echo replies do not copy IPv4 options", echo4(options=[IPOption_NOP()] * 4),
    echo4(options=[IPOption_NOP()] * 40))
row("echo6-extension", "Echo replies do not copy extension headers",
    echo6(extension=IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])))
row("echo4-ttl", "An echo request with TTL 1 is answered, since it is not forwarded", echo4(ttl=1), echo4(ttl=255))
row("echo6-ttl", "An echo request with hop limit 1 is answered, since it is not forwarded", echo6(hlim=1),
    echo6(hlim=255))
row("echo4-padding", "An echo reply is never longer than the request, and has no padding", echo4(4, padding=b"\0" * 14))
row("echo6-padding", "An echo reply is never longer than the request, and has no padding (IPv6)",
    echo6(4, padding=b"\xaa" * 9))
row("echo4-tos", "An echo reply has the request's TOS (RFC 1122, 3.2.2.6)", echo4(tos=0x48))
row("echo6-class", "An echo reply has the request's traffic class, but not its flow label", echo6(tc=0x48, fl=0x12345))
row("echo4-every-F", "Echo to every frontend's address is answered, for any protocol of its service",
    *[echo4(destination=f"203.0.113.{last}") for last in (10, 20, 30, 40, 50, 60, 70)])
row("echo4-foreign", "Echo to other addresses: to_kernel",
    kernel(ether() / ip4(destination=FOREIGN4) / ICMP()),
    kernel(ether() / ip6(destination=FOREIGN6) / ICMPv6EchoRequest()))

row("echo-limited", "Echo replies are rate-limited", variants=("limited",),
    *([echo4()] * 2 + [echo6()] + [drop(echo4()[0], "rate_limited")] * 20 + [drop(echo6()[0], "rate_limited")] * 20))

row("echo4-bad-checksum", "Echo with a bad ICMP checksum: drop",
    drop(ether() / ip4() / ICMP(chksum=0x1234) / payload(), "bad_icmp"))
row("echo6-bad-checksum", "Echo with a bad ICMPv6 checksum: drop",
    drop(ether() / ip6() / ICMPv6EchoRequest(cksum=0x1234, data=b"abc"), "bad_icmp"))
row("echo4-bad-header-checksum", "Echo with a bad IPv4 header checksum: drop, since a reply would repair it",
    drop(ether() / ip4(chksum=0x1234) / ICMP() / payload(), "bad_icmp"))
row("echo4-code", "Echo with a code other than 0: drop",
    *[drop(ether() / ip4() / ICMP(code=code), "bad_icmp") for code in (1, 8, 255)])
row("echo6-code", "Echo with a code other than 0: drop (IPv6)",
    *[drop(ether() / ip6() / ICMPv6EchoRequest(code=code), "bad_icmp") for code in (1, 8, 255)])
row("echo4-cut", "An ICMP header truncated by the total length: drop",
    *[drop(ether() / IP(src=CLIENT4, dst=WEB4, proto=1, len=20 + size) / Raw(bytes(ICMP())), "bad_icmp")
      for size in range(8)])
row("echo6-cut", "An ICMPv6 header truncated by the payload length: drop",
    *[drop(ether() / IPv6(src=CLIENT6, dst=WEB6, nh=58, plen=size) / Raw(bytes(ICMPv6EchoRequest())), "bad_icmp")
      for size in range(8)])
row("echo4-fragment", "Fragments of echo requests: drop",
    drop(ether() / ip4(flags="MF") / ICMP() / payload(24), "fragment"),
    drop(ether() / ip4(frag=3, proto=1) / payload(24), "fragment"))
row("echo6-fragment", "Fragments of echo requests: drop (IPv6)",
    drop(ether() / ip6() / IPv6ExtHdrFragment(m=1, nh=58) / ICMPv6EchoRequest(data=b"x" * 24), "fragment"))
row("echo4-group-mac", "Echo to F in a frame to a group MAC: drop",
    *[drop(ether(mac) / ip4() / ICMP(), "group_mac") for mac in (BROADCAST_MAC, "01:00:5e:00:00:01")])
row("echo4-source", "Echo with source F, or with an invalid source: drop",
    *[drop(ether() / ip4(source) / ICMP(), "bad_source")
      for source in (WEB4, TAGGED4, "127.0.0.1", "224.0.0.1", "0.0.0.0")])
row("echo6-source", "Echo with source F, or with an invalid source: drop (IPv6)",
    *[drop(ether() / ip6(source) / ICMPv6EchoRequest(), "bad_source")
      for source in (WEB6, TAGGED6, "::1", "::", "ff02::1")])
row("echo-ttl-zero", "TTL 0: drop", drop(ether() / ip4(ttl=0) / ICMP(), "ttl_zero"),
    drop(ether() / ip6(hlim=0) / ICMPv6EchoRequest(), "ttl_zero"))

row("icmp4-never-forwarded", "Source quench, redirect and queries other than echo: drop",
    # Times are fixed: scapy's are those of the day.
    *[drop(ether() / ip4() / ICMP(type=kind, ts_ori=1, ts_rx=2, ts_tx=3) / ip4(WEB4, CLIENT4) / tcp(), "icmp_unsupported")
      for kind in (0, 4, 5, 9, 10, 13, 15, 17, 30, 255)])
row("icmp6-never-forwarded", "ICMPv6 to F other than echo requests and errors: drop",
    drop(ether() / ip6() / ICMPv6EchoReply(), "icmp_unsupported"),
    *[drop(ether() / ip6() / ICMPv6Unknown(type=kind, msgbody=b"\0" * 20), "icmp_unsupported")
      for kind in (130, 138, 200, 255)])
row("router-discovery-to-F", "Router discovery and redirects sent to F: drop",
    *[drop(ether() / ip6("fe80::1", WEB6, hlim=255) / layer, "icmp_unsupported")
      for layer in (ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_Redirect())])
