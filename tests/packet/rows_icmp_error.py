"""ICMP errors to a frontend: they go to the backend of the quoted flow, and nat translates the quote."""
from scapy.all import (ICMP, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IP,
                       IPOption_NOP, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                       PadN, Raw, TCP, UDP)

from tests.packet.expect import Drop
from tests.packet.rows import drop, error_about, ether, expired, ip4, ip6, payload, port, row
from tests.packet.variants import (ANY4, ANY6, BROADCAST_MAC, CLIENT4, CLIENT6, FOREIGN4, NONE4, SOURCE4, TAGGED4,
                                   TAGGED6, TRIPLE4, WEB4, WEB6)
from tests.packet.world import flow_of

ROUTER4, ROUTER6 = "192.0.2.254", "2001:db8:e::1"


def quoted4(layer, destination=CLIENT4, source=WEB4, **fields):
    """A packet from a frontend to the client, as a router on the path saw it."""
    return IP(bytes(ip4(source, destination, ttl=61, **fields) / layer))


def quoted6(layer, destination=CLIENT6, source=WEB6, extension=None, **fields):
    head = ip6(source, destination, hlim=61, **fields)
    return (head / extension if extension else head) / layer


def answer(protocol=TCP, frontend_port=80, client_port=None):
    """The L4 header of a packet from the frontend to the client."""
    if protocol is TCP:
        return TCP(sport=frontend_port, dport=client_port or port(), flags="A", seq=77, ack=99)
    return UDP(sport=frontend_port, dport=client_port or port())


def error4(quote, type=3, code=4, size=None, source=ROUTER4, destination=WEB4, tags=(), icmp=None, to_mac=None,
           extra=b"", **fields):
    """A router's error. `size`: how many bytes of the packet it quotes."""
    data = bytes(quote)[:size]
    head = ether(tags=tags) if to_mac is None else ether(to_mac, tags=tags)
    return head / ip4(source, destination, **fields) / ICMP(type=type, code=code, **(icmp or {})) / Raw(data + extra)


_ERRORS6 = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded, 4: ICMPv6ParamProblem}


def error6(quote, type=2, code=0, size=None, source=ROUTER6, destination=WEB6, tags=(), icmp=None, **fields):
    return (ether(tags=tags) / ip6(source, destination, **fields) / _ERRORS6[type](code=code, **(icmp or {}))
            / Raw(bytes(quote)[:size]))


def about4(layer, quote=None, service="web", more=None, **arguments):
    """A step: an error about that packet reaches the backend of its flow."""
    quote = quote or quoted4(layer / payload(more or 40), source=arguments.get("destination", WEB4))
    return error_about(error4(quote, **arguments), flow_of(quote).reversed(), service)


def about6(layer, quote=None, service="web", more=None, **arguments):
    quote = quote or quoted6(layer / payload(more or 40), source=arguments.get("destination", WEB6))
    return error_about(error6(quote, **arguments), flow_of(quote).reversed(), service)


# ---- kinds of errors -----------------------------------------------------------------------------------------------
for code in range(16):
    row(f"error4-unreachable-{code}", "An ICMP error of type 3 goes to the backend of the quoted flow",
        about4(answer(), code=code, icmp={"nexthopmtu": 1400} if code == 4 else None))
row("error4-time-exceeded", "An ICMP error of type 11 goes to the backend of the quoted flow",
    *[about4(answer(), type=11, code=code) for code in (0, 1)])
row("error4-parameter", "An ICMP error of type 12 goes to the backend of the quoted flow",
    *[about4(answer(), type=12, code=code, icmp={"ptr": 9}) for code in (0, 1, 2)])
row("error4-any-code", "Codes are not checked; that is left to the backend", about4(answer(), code=200),
    about4(answer(), type=11, code=77))
row("error4-udp", "Errors about UDP go to the backend of the quoted flow",
    *[about4(answer(UDP, 53), service="dns", code=code) for code in (1, 3, 4, 13)])
row("error6-unreachable", "An ICMPv6 error of type 1 goes to the backend of the quoted flow",
    *[about6(answer(), type=1, code=code) for code in range(8)])
row("error6-too-big", "An ICMPv6 error of type 2 goes to the backend of the quoted flow",
    *[about6(answer(), icmp={"mtu": mtu}) for mtu in (1280, 1400, 1492)])
row("error6-time-exceeded", "An ICMPv6 error of type 3 goes to the backend of the quoted flow",
    *[about6(answer(), type=3, code=code) for code in (0, 1)])
row("error6-parameter", "An ICMPv6 error of type 4 goes to the backend of the quoted flow",
    *[about6(answer(), type=4, code=code, icmp={"ptr": 40}) for code in (0, 1, 2)])
row("error6-udp", "Errors about UDP go to the backend of the quoted flow (IPv6)",
    *[about6(answer(UDP, 53), service="dns", type=kind) for kind in (1, 2, 3, 4)])
row("error4-reversed", "The error reaches the same backend as the packets of the quoted flow",
    *[about4(answer(client_port=1024 + 641 * n)) for n in range(60)])
row("error6-reversed", "The error reaches the same backend as the packets of the quoted flow (IPv6)",
    *[about6(answer(client_port=1024 + 641 * n)) for n in range(60)])
row("error4-second-frontend", "Errors about every frontend of the address are forwarded",
    about4(answer(frontend_port=443)))
row("error4-any-port",
    "Errors about an any-port frontend, and about the exact frontend that has precedence, are forwarded",
    about4(answer(frontend_port=8080), destination=ANY4, service="any"),
    about4(answer(frontend_port=443), destination=ANY4, service="tls"))
row("error6-any-port",
    "Errors about an any-port frontend, and about the exact frontend that has precedence, are forwarded (IPv6)",
    about6(answer(frontend_port=8080), destination=ANY6, service="any"),
    about6(answer(frontend_port=443), destination=ANY6, service="tls"))
row("error4-policies", "Errors follow the service's hash policy",
    *[about4(answer(protocol), destination=SOURCE4, service="sticky") for protocol in (TCP, UDP)],
    *[about4(answer(frontend_port=number), destination=TRIPLE4, service="triple") for number in (7, 700, 7000)],
    about4(answer(UDP, 80), destination=NONE4, service="untracked"))
row("error4-vlan", "Errors leave in the next hop's VLAN", about4(answer(), destination=TAGGED4, service="tagged"),
    about4(answer(), destination=TAGGED4, service="tagged", tags=((0x8100, 5),)))
row("error6-vlan", "Errors leave in the next hop's VLAN (IPv6)",
    about6(answer(), destination=TAGGED6, service="tagged"))
row("error4-tags", "Errors with VLAN tags are forwarded",
    *[about4(answer(), tags=tags) for tags in (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))])
row("error6-tags", "Errors with VLAN tags are forwarded (IPv6)",
    *[about6(answer(), tags=tags) for tags in (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))])
row("error4-from-client", "Errors from the client itself are forwarded", about4(answer(), source=CLIENT4, code=3))
row("error6-from-client", "Errors from the client itself are forwarded (IPv6)",
    about6(answer(), source=CLIENT6, type=1, code=4))

# ---- how much is quoted --------------------------------------------------------------------------------------------
row("error4-8-bytes", "A quote with 8 bytes of L4 is enough", about4(answer(), size=28),
    about4(answer(UDP, 53), size=28, service="dns"))
row("error6-8-bytes", "A quote with 8 bytes of L4 is enough (IPv6)", about6(answer(), size=48),
    about6(answer(UDP, 53), size=48, service="dns"))
for extra in (9, 15, 16, 17, 18, 19, 20, 21, 37):
    row(f"error4-{extra}-bytes", "nat translates the quoted L4 checksum if the quote contains it",
        about4(answer(), size=20 + extra),
        about4(answer(UDP, 53), size=20 + extra, service="dns"))
    row(f"error6-{extra}-bytes", "nat translates the quoted L4 checksum if the quote contains it (IPv6)",
        about6(answer(), size=40 + extra),
        about6(answer(UDP, 53), size=40 + extra, service="dns"))
row("error4-short", "A quote with fewer than 8 bytes of L4: drop",
    *[drop(error4(quoted4(answer() / payload()), size=size), "bad_embedded") for size in (0, 1, 19, 20, 21, 27)])
row("error6-short", "A quote with fewer than 8 bytes of L4: drop (IPv6)",
    *[drop(error6(quoted6(answer() / payload()), size=size), "bad_embedded") for size in (0, 1, 39, 40, 47)])
row("error4-long", "Errors of the largest size are forwarded (RFC 1812: 576 bytes)",
    about4(answer(), more=1400, size=548))
row("error6-long", "Errors of the largest size are forwarded (RFC 4443: 1280 bytes)",
    about6(answer(), more=1400, size=1232))
row("error4-padding", "Errors with padding are forwarded", error_about(
    bytes(error4(quoted4(answer(client_port=19001)), size=28)) + b"\0" * 4,
    flow_of(quoted4(answer(client_port=19001))).reversed(), "web"))
row("error4-extension", "Extensions behind the quote (RFC 4884) are forwarded unchanged",
    about4(answer(), size=128, more=200, extra=b"\x20\0\x12\x34\0\x08\x01\x01\0\0\x51\x01"))

# ---- headers before the quoted L4 ----------------------------------------------------------------------------------
row("error4-inner-options", "IPv4 options of the quoted packet are walked",
    *[about4(None, quoted4(answer() / payload(), options=[IPOption_NOP()] * count)) for count in (4, 20, 40)],
    about4(None, quoted4(answer() / payload(), options=[IPOption_NOP()] * 40), size=68))
row("error4-outer-options", "IPv4 options of the error itself are walked",
    about4(answer(), options=[IPOption_NOP()] * 8))
_PAD = [PadN(optdata=b"\0" * 4)]
for name, extension in (("hop-by-hop", IPv6ExtHdrHopByHop(options=_PAD)),
                        ("destination", IPv6ExtHdrDestOpt(options=_PAD)),
                        ("routing", IPv6ExtHdrRouting(segleft=0)), ("atomic", IPv6ExtHdrFragment(id=9)),
                        ("several", IPv6ExtHdrHopByHop(options=_PAD) / IPv6ExtHdrDestOpt(options=_PAD)),
                        ("first-fragment", IPv6ExtHdrFragment(id=9, m=1))):
    row(f"error6-inner-{name}", "Extension headers of the quoted packet are walked",
        about6(None, quoted6(answer() / payload(), extension=extension)),
        about6(None, quoted6(answer() / payload(), extension=extension), type=3))
row("error6-outer-extension", "Extension headers of the error itself are walked", error_about(
    ether() / ip6(ROUTER6, WEB6) / IPv6ExtHdrDestOpt(options=_PAD) / ICMPv6PacketTooBig(mtu=1400)
    / Raw(bytes(quoted6(answer(client_port=19002) / payload()))),
    flow_of(quoted6(answer(client_port=19002))).reversed(), "web"))
row("error4-first-fragment", "An error about a first fragment is forwarded, since the fragment has ports",
    about4(None, quoted4(answer() / payload(), flags="MF")))
row("error4-later-fragment", "A quoted later fragment: drop",
    *[drop(error4(quoted4(answer() / payload(), frag=frag)), "bad_embedded") for frag in (1, 185, 8000)])
row("error6-later-fragment", "A quoted later fragment: drop (IPv6)",
    drop(error6(quoted6(answer() / payload(), extension=IPv6ExtHdrFragment(id=9, offset=100))), "bad_embedded"))

# ---- errors that are dropped ---------------------------------------------------------------------------------------
row("error4-other-source", "A quoted source that is not the error's destination: drop",
    *[drop(error4(quoted4(answer() / payload(), source=source)), "bad_embedded")
      for source in (ANY4, FOREIGN4, CLIENT4)])
row("error6-other-source", "A quoted source that is not the error's destination: drop (IPv6)",
    *[drop(error6(quoted6(answer() / payload(), source=source)), "bad_embedded") for source in (ANY6, CLIENT6)])
row("error4-bad-checksum", "Bad ICMP checksum: drop",
    drop(error4(quoted4(answer() / payload()), icmp={"chksum": 0x1234}), "bad_icmp"))
row("error6-bad-checksum", "Bad ICMP checksum: drop (IPv6)",
    drop(error6(quoted6(answer() / payload()), icmp={"cksum": 0x1234}), "bad_icmp"))
row("error4-inner-checksum", "A quoted IPv4 header with a bad checksum: drop",
    drop(error4(quoted4(answer() / payload(), chksum=0x1234)), "bad_embedded"))
row("error4-inner-version", "A quoted packet with a wrong version, or with IHL below 5 or past the quote: drop",
    *[drop(error4(quoted4(answer() / payload(), **fields)), "bad_embedded")
      for fields in ({"version": 6}, {"version": 0}, {"ihl": 4}, {"ihl": 0})],
    drop(error4(bytes(quoted4(answer(), ihl=15))[:40]), "bad_embedded"))
row("error6-inner-version", "A quoted packet with a wrong version: drop (IPv6)",
    drop(error6(quoted6(answer() / payload(), version=4)), "bad_embedded"))
row("error-inner-family", "A quoted packet of the other family: drop",
    drop(error4(quoted6(answer() / payload())), "bad_embedded"),
    drop(error6(quoted4(answer() / payload(40))), "bad_embedded"))
row("error4-inner-port-zero", "A quoted port 0: drop",
    drop(error4(quoted4(TCP(sport=80, dport=0))), "bad_embedded"),
    drop(error4(quoted4(UDP(sport=0, dport=99))), "bad_embedded"))
row("error6-inner-port-zero", "A quoted port 0: drop (IPv6)",
    drop(error6(quoted6(TCP(sport=80, dport=0))), "bad_embedded"))
row("error4-inner-protocol", "A quoted packet that is neither TCP nor UDP: drop",
    drop(error4(quoted4(ICMP(type=0) / payload())), "icmp_unsupported"),
    drop(error4(IP(bytes(ip4(WEB4, CLIENT4, proto=47) / payload()))), "icmp_unsupported"))
row("error4-no-frontend", "A quoted port that no frontend has: drop",
    drop(error4(quoted4(answer(frontend_port=81) / payload())), "no_frontend"),
    drop(error4(quoted4(answer(UDP, 80) / payload())), "no_frontend"))
row("error6-no-frontend", "A quoted port that no frontend has: drop (IPv6)",
    drop(error6(quoted6(answer(frontend_port=81) / payload())), "no_frontend"))
row("error4-fragment", "An error that is itself a fragment: drop",
    drop(error4(quoted4(answer() / payload()), flags="MF"), "fragment"),
    drop(error4(quoted4(answer() / payload()), frag=1), "fragment"))
row("error6-fragment", "An error that is itself a fragment: drop (IPv6)", drop(
    ether() / ip6(ROUTER6, WEB6) / IPv6ExtHdrFragment(m=1, nh=58) / ICMPv6TimeExceeded()
    / Raw(bytes(quoted6(answer() / payload()))[:72]), "fragment"))
row("error4-source", "An error with source F, or with an invalid source: drop",
    *[drop(error4(quoted4(answer() / payload()), source=source), "bad_source")
      for source in (ANY4, "127.0.0.1", "224.0.0.1", "0.0.0.0")])
row("error6-source", "An error with source F, or with an invalid source: drop (IPv6)",
    *[drop(error6(quoted6(answer() / payload()), source=source), "bad_source") for source in (ANY6, "::1", "ff02::1")])
row("error4-group-mac", "An error to F in a frame to a group MAC: drop",
    drop(error4(quoted4(answer() / payload()), to_mac=BROADCAST_MAC), "group_mac"))
row("error4-ttl-1", "TTL 1: no error is sent about an error",
    expired(error4(quoted4(answer(client_port=19003) / payload()), ttl=1), error=False,
                                                          flow=flow_of(quoted4(answer(client_port=19003))).reversed()))
row("error6-ttl-1", "Hop limit 1: no error is sent about an error", expired(
    error6(quoted6(answer(client_port=19004) / payload()), hlim=1), error=False,
    flow=flow_of(quoted6(answer(client_port=19004))).reversed()))
row("error4-ttl-0", "TTL 0: drop", drop(error4(quoted4(answer() / payload()), ttl=0), "ttl_zero"))
row("error4-too-big", "An error that is too big for the path: drop, and no error is sent about it",
    lambda world: [(error4(quoted4(answer() / payload(world.path_mtu)), flags="DF"), Drop("too_big"))])
row("error6-too-big-itself", "An error that is too big for the path: drop, and no error is sent about it (IPv6)",
    lambda world: [(error6(quoted6(answer() / payload(world.path_mtu)), source="2001:db8:e::2"), Drop("too_big"))])
row("error4-cut", "A truncated ICMP header: drop",
    *[drop(ether() / IP(src=ROUTER4, dst=WEB4, proto=1, len=20 + size) / Raw(bytes(ICMP(type=3, code=4))), "bad_icmp")
      for size in range(8)])
