"""ICMP errors to a frontend: to the backend of the flow that they quote, translated where the mode translates."""
from scapy.all import (ICMP, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IP, IPOption_NOP,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw, TCP, UDP)

from tests.packet.expect import Drop
from tests.packet.rows import drop, error_about, ether, expired, ip4, ip6, payload, port, row
from tests.packet.variants import (ANY4, ANY6, BROADCAST_MAC, CLIENT4, CLIENT6, FOREIGN4, NONE4, SOURCE4, TAGGED4, TAGGED6,
                                   TRIPLE4, WEB4, WEB6)
from tests.packet.world import flow_of

ROUTER4, ROUTER6 = "192.0.2.254", "2001:db8:e::1"


def quoted4(layer, destination=CLIENT4, source=WEB4, **fields):
    """What a backend sent to the client as the frontend, as a router saw it."""
    return IP(bytes(ip4(source, destination, ttl=61, **fields) / layer))


def quoted6(layer, destination=CLIENT6, source=WEB6, extension=None, **fields):
    head = ip6(source, destination, hlim=61, **fields)
    return (head / extension if extension else head) / layer


def answer(protocol=TCP, frontend_port=80, client_port=None):
    """The head of a packet from the frontend to the client."""
    if protocol is TCP:
        return TCP(sport=frontend_port, dport=client_port or port(), flags="A", seq=77, ack=99)
    return UDP(sport=frontend_port, dport=client_port or port())


def error4(quote, type=3, code=4, size=None, source=ROUTER4, destination=WEB4, tags=(), icmp=None, to_mac=None, extra=b"", **fields):
    """A router's error. `size`: bytes of the packet that it quotes."""
    data = bytes(quote)[:size]
    head = ether(tags=tags) if to_mac is None else ether(to_mac, tags=tags)
    return head / ip4(source, destination, **fields) / ICMP(type=type, code=code, **(icmp or {})) / Raw(data + extra)


_ERRORS6 = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded, 4: ICMPv6ParamProblem}


def error6(quote, type=2, code=0, size=None, source=ROUTER6, destination=WEB6, tags=(), icmp=None, **fields):
    return (ether(tags=tags) / ip6(source, destination, **fields) / _ERRORS6[type](code=code, **(icmp or {}))
            / Raw(bytes(quote)[:size]))


def about4(layer, quote=None, service="web", more=None, **arguments):
    """A step: an error about that answer reaches the backend of its flow."""
    quote = quote or quoted4(layer / payload(more or 40), source=arguments.get("destination", WEB4))
    return error_about(error4(quote, **arguments), flow_of(quote).reversed(), service)


def about6(layer, quote=None, service="web", more=None, **arguments):
    quote = quote or quoted6(layer / payload(more or 40), source=arguments.get("destination", WEB6))
    return error_about(error6(quote, **arguments), flow_of(quote).reversed(), service)


# ---- which ---------------------------------------------------------------------------------------------------------
for code in range(16):
    row(f"error4-unreachable-{code}", "IPv4 type 3 to F: to the backend of the embedded packet's flow",
        about4(answer(), code=code, icmp={"nexthopmtu": 1400} if code == 4 else None))
row("error4-time-exceeded", "IPv4 type 11", *[about4(answer(), type=11, code=code) for code in (0, 1)])
row("error4-parameter", "IPv4 type 12", *[about4(answer(), type=12, code=code, icmp={"ptr": 9}) for code in (0, 1, 2)])
row("error4-any-code", "Codes are the backend's to judge", about4(answer(), code=200), about4(answer(), type=11, code=77))
row("error4-udp", "Errors about UDP", *[about4(answer(UDP, 53), service="dns", code=code) for code in (1, 3, 4, 13)])
row("error6-unreachable", "ICMPv6 type 1", *[about6(answer(), type=1, code=code) for code in range(8)])
row("error6-too-big", "ICMPv6 type 2", *[about6(answer(), icmp={"mtu": mtu}) for mtu in (1280, 1400, 1492)])
row("error6-time-exceeded", "ICMPv6 type 3", *[about6(answer(), type=3, code=code) for code in (0, 1)])
row("error6-parameter", "ICMPv6 type 4", *[about6(answer(), type=4, code=code, icmp={"ptr": 40}) for code in (0, 1, 2)])
row("error6-udp", "Errors about UDP (IPv6)", *[about6(answer(UDP, 53), service="dns", type=kind) for kind in (1, 2, 3, 4)])
row("error4-reversed", "The embedded flow, reversed: to the very backend that the flow's own packets meet",
    *[about4(answer(client_port=1024 + 641 * n)) for n in range(60)])
row("error6-reversed", "The embedded flow, reversed (IPv6)", *[about6(answer(client_port=1024 + 641 * n)) for n in range(60)])
row("error4-second-frontend", "Of whichever frontend of the address", about4(answer(frontend_port=443)))
row("error4-any-port", "Of an any-port frontend, and of the exact one before it",
    about4(answer(frontend_port=8080), destination=ANY4, service="any"), about4(answer(frontend_port=443), destination=ANY4, service="tls"))
row("error6-any-port", "Of an any-port frontend, and of the exact one before it (IPv6)",
    about6(answer(frontend_port=8080), destination=ANY6, service="any"), about6(answer(frontend_port=443), destination=ANY6, service="tls"))
row("error4-policies", "By the service's hash policy",
    *[about4(answer(protocol), destination=SOURCE4, service="sticky") for protocol in (TCP, UDP)],
    *[about4(answer(frontend_port=number), destination=TRIPLE4, service="triple") for number in (7, 700, 7000)],
    about4(answer(UDP, 80), destination=NONE4, service="untracked"))
row("error4-vlan", "To the next hop's VLAN", about4(answer(), destination=TAGGED4, service="tagged"),
    about4(answer(), destination=TAGGED4, service="tagged", tags=((0x8100, 5),)))
row("error6-vlan", "To the next hop's VLAN (IPv6)", about6(answer(), destination=TAGGED6, service="tagged"))
row("error4-tags", "Behind tags", *[about4(answer(), tags=tags) for tags in (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))])
row("error6-tags", "Behind tags (IPv6)", *[about6(answer(), tags=tags) for tags in (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))])
row("error4-from-client", "From the client itself", about4(answer(), source=CLIENT4, code=3))
row("error6-from-client", "From the client itself (IPv6)", about6(answer(), source=CLIENT6, type=1, code=4))

# ---- how much is quoted --------------------------------------------------------------------------------------------
row("error4-8-bytes", "8 bytes of inner L4 are enough", about4(answer(), size=28), about4(answer(UDP, 53), size=28, service="dns"))
row("error6-8-bytes", "8 bytes of inner L4 are enough (IPv6)", about6(answer(), size=48), about6(answer(UDP, 53), size=48, service="dns"))
for extra in (9, 15, 16, 17, 18, 19, 20, 21, 37):
    row(f"error4-{extra}-bytes", "The embedded L4 checksum is translated where it is there", about4(answer(), size=20 + extra),
        about4(answer(UDP, 53), size=20 + extra, service="dns"))
    row(f"error6-{extra}-bytes", "The embedded L4 checksum is translated where it is there (IPv6)", about6(answer(), size=40 + extra),
        about6(answer(UDP, 53), size=40 + extra, service="dns"))
row("error4-short", "Fewer than 8 bytes of inner L4: drop",
    *[drop(error4(quoted4(answer() / payload()), size=size), "bad_embedded") for size in (0, 1, 19, 20, 21, 27)])
row("error6-short", "Fewer than 8 bytes of inner L4: drop (IPv6)",
    *[drop(error6(quoted6(answer() / payload()), size=size), "bad_embedded") for size in (0, 1, 39, 40, 47)])
row("error4-long", "A quote as long as routers make them (RFC 1812: 576 bytes)", about4(answer(), more=1400, size=548))
row("error6-long", "A quote as long as routers make them (RFC 4443: 1280 bytes)", about6(answer(), more=1400, size=1232))
row("error4-padding", "Padding behind the error", error_about(
    bytes(error4(quoted4(answer(client_port=19001)), size=28)) + b"\0" * 4,
    flow_of(quoted4(answer(client_port=19001))).reversed(), "web"))
row("error4-extension", "Multi-part messages (RFC 4884) behind the quote stay",
    about4(answer(), size=128, more=200, extra=b"\x20\0\x12\x34\0\x08\x01\x01\0\0\x51\x01"))

# ---- what is in front of the inner L4 ------------------------------------------------------------------------------
row("error4-inner-options", "Inner options are walked",
    *[about4(None, quoted4(answer() / payload(), options=[IPOption_NOP()] * count)) for count in (4, 20, 40)],
    about4(None, quoted4(answer() / payload(), options=[IPOption_NOP()] * 40), size=68))
row("error4-outer-options", "Options of the error itself are walked", about4(answer(), options=[IPOption_NOP()] * 8))
_PAD = [PadN(optdata=b"\0" * 4)]
for name, extension in (("hop-by-hop", IPv6ExtHdrHopByHop(options=_PAD)), ("destination", IPv6ExtHdrDestOpt(options=_PAD)),
                        ("routing", IPv6ExtHdrRouting(segleft=0)), ("atomic", IPv6ExtHdrFragment(id=9)),
                        ("several", IPv6ExtHdrHopByHop(options=_PAD) / IPv6ExtHdrDestOpt(options=_PAD)),
                        ("first-fragment", IPv6ExtHdrFragment(id=9, m=1))):
    row(f"error6-inner-{name}", "Inner extension headers are walked", about6(None, quoted6(answer() / payload(), extension=extension)),
        about6(None, quoted6(answer() / payload(), extension=extension), type=3))
row("error6-outer-extension", "Extension headers of the error itself are walked", error_about(
    ether() / ip6(ROUTER6, WEB6) / IPv6ExtHdrDestOpt(options=_PAD) / ICMPv6PacketTooBig(mtu=1400)
    / Raw(bytes(quoted6(answer(client_port=19002) / payload()))), flow_of(quoted6(answer(client_port=19002))).reversed(), "web"))
row("error4-first-fragment", "An embedded first fragment has ports", about4(None, quoted4(answer() / payload(), flags="MF")))
row("error4-later-fragment", "An embedded later fragment: drop",
    *[drop(error4(quoted4(answer() / payload(), frag=frag)), "bad_embedded") for frag in (1, 185, 8000)])
row("error6-later-fragment", "An embedded later fragment: drop (IPv6)",
    drop(error6(quoted6(answer() / payload(), extension=IPv6ExtHdrFragment(id=9, offset=100))), "bad_embedded"))

# ---- what is wrong -------------------------------------------------------------------------------------------------
row("error4-other-source", "The embedded source must be the outer destination",
    *[drop(error4(quoted4(answer() / payload(), source=source)), "bad_embedded") for source in (ANY4, FOREIGN4, CLIENT4)])
row("error6-other-source", "The embedded source must be the outer destination (IPv6)",
    *[drop(error6(quoted6(answer() / payload(), source=source)), "bad_embedded") for source in (ANY6, CLIENT6)])
row("error4-bad-checksum", "Bad ICMP checksum: drop", drop(error4(quoted4(answer() / payload()), icmp={"chksum": 0x1234}), "bad_icmp"))
row("error6-bad-checksum", "Bad ICMP checksum: drop (IPv6)",
    drop(error6(quoted6(answer() / payload()), icmp={"cksum": 0x1234}), "bad_icmp"))
row("error4-inner-checksum", "Bad inner IPv4 checksum: drop", drop(error4(quoted4(answer() / payload(), chksum=0x1234)), "bad_embedded"))
row("error4-inner-version", "An inner packet of another version, or with IHL below 5 or past the quote: drop",
    *[drop(error4(quoted4(answer() / payload(), **fields)), "bad_embedded")
      for fields in ({"version": 6}, {"version": 0}, {"ihl": 4}, {"ihl": 0})],
    drop(error4(bytes(quoted4(answer(), ihl=15))[:40]), "bad_embedded"))
row("error6-inner-version", "An inner packet of another version: drop (IPv6)",
    drop(error6(quoted6(answer() / payload(), version=4)), "bad_embedded"))
row("error-inner-family", "An inner packet of the other family: drop",
    drop(error4(quoted6(answer() / payload())), "bad_embedded"), drop(error6(quoted4(answer() / payload(40))), "bad_embedded"))
row("error4-inner-port-zero", "An embedded port 0: drop",
    drop(error4(quoted4(TCP(sport=80, dport=0))), "bad_embedded"), drop(error4(quoted4(UDP(sport=0, dport=99))), "bad_embedded"))
row("error6-inner-port-zero", "An embedded port 0: drop (IPv6)", drop(error6(quoted6(TCP(sport=80, dport=0))), "bad_embedded"))
row("error4-inner-protocol", "About something that is neither TCP nor UDP: drop",
    drop(error4(quoted4(ICMP(type=0) / payload())), "icmp_unsupported"),
    drop(error4(IP(bytes(ip4(WEB4, CLIENT4, proto=47) / payload()))), "icmp_unsupported"))
row("error4-no-frontend", "About a port that no frontend has: drop",
    drop(error4(quoted4(answer(frontend_port=81) / payload())), "no_frontend"),
    drop(error4(quoted4(answer(UDP, 80) / payload())), "no_frontend"))
row("error6-no-frontend", "About a port that no frontend has: drop (IPv6)",
    drop(error6(quoted6(answer(frontend_port=81) / payload())), "no_frontend"))
row("error4-fragment", "An error that is itself a fragment: drop",
    drop(error4(quoted4(answer() / payload()), flags="MF"), "fragment"), drop(error4(quoted4(answer() / payload()), frag=1), "fragment"))
row("error6-fragment", "An error that is itself a fragment: drop (IPv6)", drop(
    ether() / ip6(ROUTER6, WEB6) / IPv6ExtHdrFragment(m=1, nh=58) / ICMPv6TimeExceeded() / Raw(bytes(quoted6(answer() / payload()))[:72]),
    "fragment"))
row("error4-source", "An error from F, or from nowhere: drop",
    *[drop(error4(quoted4(answer() / payload()), source=source), "bad_source") for source in (ANY4, "127.0.0.1", "224.0.0.1", "0.0.0.0")])
row("error6-source", "An error from F, or from nowhere: drop (IPv6)",
    *[drop(error6(quoted6(answer() / payload()), source=source), "bad_source") for source in (ANY6, "::1", "ff02::1")])
row("error4-group-mac", "An error to F in a group frame: drop",
    drop(error4(quoted4(answer() / payload()), to_mac=BROADCAST_MAC), "group_mac"))
row("error4-ttl-1", "TTL 1: no error about an error", expired(error4(quoted4(answer(client_port=19003) / payload()), ttl=1), error=False,
                                                          flow=flow_of(quoted4(answer(client_port=19003))).reversed()))
row("error6-ttl-1", "Hop limit 1: no error about an error", expired(
    error6(quoted6(answer(client_port=19004) / payload()), hlim=1), error=False,
    flow=flow_of(quoted6(answer(client_port=19004))).reversed()))
row("error4-ttl-0", "TTL 0: drop", drop(error4(quoted4(answer() / payload()), ttl=0), "ttl_zero"))
row("error4-too-big", "Too big for the path: no error about an error",
    lambda world: [(error4(quoted4(answer() / payload(world.path_mtu)), flags="DF"), Drop("too_big"))])
row("error6-too-big-itself", "Too big for the path: no error about an error (IPv6)",
    lambda world: [(error6(quoted6(answer() / payload(world.path_mtu)), source="2001:db8:e::2"), Drop("too_big"))])
row("error4-cut", "ICMP header cut: drop",
    *[drop(ether() / IP(src=ROUTER4, dst=WEB4, proto=1, len=20 + size) / Raw(bytes(ICMP(type=3, code=4))), "bad_icmp")
      for size in range(8)])
