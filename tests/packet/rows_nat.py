"""nat: replies from backends, ICMP errors to clients, checksums, and MSS clamping."""
from scapy.all import (ICMP, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IP,
                       IPOption_NOP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw, TCP, UDP)

from tests.packet.expect import Drop
from tests.packet.rows import (drop, ether, flow_of, forward, ip4, ip6, kernel, payload, port, reply, reply_error, row,
                               tcp, udp)
from tests.packet.rows_fragments import fragments4, fragments6
from tests.packet.variants import (CLIENT4, CLIENT6, FOREIGN4, MODES, PORT4, PORT6, WEB4, WEB6, backend_address,
                                   backend_mac)

_NAT = ("nat",)
_CLAMP = ("nat-clamp",)
_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
ROUTER4, ROUTER6 = "10.0.0.250", "2001:db8:b::fa"  # between the balancer and its backends


def from4(number, layer, destination=CLIENT4, tags=(), **fields):
    """A packet from an IPv4 backend to a client."""
    return ether(source=backend_mac(number), tags=tags) / ip4(backend_address(number), destination, **fields) / layer


def from6(number, layer, destination=CLIENT6, tags=(), extension=None, **fields):
    head = ip6(backend_address(number, 6), destination, **fields)
    return ether(source=backend_mac(number), tags=tags) / (head / extension if extension else head) / layer


def answer(source_port=80, protocol=TCP, **fields):
    if protocol is TCP:
        return TCP(sport=source_port, dport=port(), seq=5, ack=6, **{"flags": "A", **fields})
    return UDP(sport=source_port, dport=port(), **fields)


# ---- replies -------------------------------------------------------------------------------------------------------
for family, made in ((4, from4), (6, from6)):
    row(f"reply{family}-tcp", "Replies are translated from (backend, port, protocol) to the frontend",
        *[
        reply(made(11, answer(flags=flags) / payload(size)))
        for flags, size in (("SA", 0), ("A", 0), ("PA", 100), ("PA", 1), ("FA", 0), ("R", 0))], variants=_NAT)
    row(f"reply{family}-every-backend", "Replies from every backend of the service are translated",
        *[reply(made(number, answer())) for number in (11, 12, 13)],
        *[reply(made(number, answer(443))) for number in (11, 12, 13)],
        variants=_NAT)
    row(f"reply{family}-udp", "The port of UDP replies is translated back",
        *[reply(made(number, answer(5353, UDP) / payload(size))) for number in (21, 22) for size in (0, 1, 40)],
        variants=_NAT)
    row(f"reply{family}-port", "The port of TCP replies is translated back", reply(made(41, answer(8443) / payload())),
        variants=_NAT)
    row(f"reply{family}-any-port", "For a frontend with all ports, replies from any port are translated",
        *[reply(made(31, answer(number))) for number in (1, 80, 443, 8080, 65535)], variants=_NAT)
    row(f"reply{family}-policies", "Replies are translated under every hash policy, without a flow lookup",
        *[reply(made(number, answer(80, protocol))) for number in (51, 54) for protocol in (TCP, UDP)],
        *[reply(made(61, answer(number, UDP))) for number in (53, 6000)], variants=_NAT)
    row(f"reply{family}-tags", "Replies keep their VLAN tags",
        *[reply(made(11, answer() / payload(), tags=tags)) for tags in _TAGS], variants=_NAT)
    row(f"reply{family}-checksums", "A bad L4 checksum of a reply stays bad",
        *[reply(made(11, answer(chksum=wrong) / payload())) for wrong in (0x1234, 0, 0xFFFF)],
        reply(made(21, answer(5353, UDP, chksum=0xBEEF) / payload())), variants=_NAT)
    row(f"reply{family}-other-port", "Packets from other ports of a backend: to_kernel",
        *[kernel(made(11, answer(number))) for number in (22, 8080, 8443)], kernel(made(21, answer(53, UDP))),
        kernel(made(11, answer(80, UDP))),
        variants=_NAT)
    row(f"reply{family}-no-gateway", "Without a next hop to the clients, replies: drop",
        (made(11, answer()), Drop("no_next_hop")), variants=("nat-no-gateway",))
    row(f"reply{family}-sizes", "Replies with payloads of every length from 0 to 19 are translated",
        *[reply(made(11, answer() / payload(size))) for size in range(0, 20)],
        *[reply(made(21, answer(5353, UDP) / payload(size))) for size in range(0, 20)], variants=_NAT)
row("reply4-udp-zero", "A UDP/IPv4 checksum of zero stays zero in replies",
    reply(from4(21, answer(5353, UDP, chksum=0) / payload())), variants=_NAT)
row("reply4-unknown-host", "Packets from a host that is not a backend: to_kernel",
    kernel(ether() / ip4("10.0.0.99", CLIENT4) / answer()), kernel(ether() / ip4(FOREIGN4, CLIENT4) / answer()),
    variants=_NAT)
row("reply4-to-port", "Packets to the port's own address, such as replies to health checks: to_kernel",
    kernel(from4(11, answer(), PORT4)), kernel(from6(11, answer(), PORT6)), variants=_NAT)


def _as_client(made, frontend, layer, to_itself):
    """Three packets of backend 11 to a frontend of its own service. Their flows belong to itself, or to others."""
    def steps(world):
        found = []
        for source_port in range(17000, 17500):
            packet = made(11, layer(source_port=source_port), frontend)
            _, backend, _ = world.choose(flow_of(packet))
            if (backend["address"] == packet.getlayer(IP if made is from4 else IPv6).src) == to_itself:
                found.append(drop(packet, "hairpin") if to_itself else forward(packet, "web"))
        assert len(found) >= 3
        return found[:3]
    return steps


for family, made, frontend in ((4, from4, WEB4), (6, from6, WEB6)):
    row(f"reply{family}-to-frontend", "A backend that connects to a frontend is a client; its packets are not replies",
        _as_client(made, frontend, tcp, False), variants=_NAT)
    row(f"reply{family}-hairpin", "A backend's packet to a frontend whose flow belongs to the same backend: drop",
        _as_client(made, frontend, tcp, True),
        _as_client(made, frontend, lambda **ports: tcp(flags="A", **ports), True), variants=_NAT)
    row(f"reply{family}-syn", "A SYN without ACK from a backend's port is not a reply: to_kernel",
        *[kernel(made(11, answer(flags=flags))) for flags in ("S", "SE", "SC")], reply(made(11, answer(flags="SA"))),
        variants=_NAT)
row("reply4-syn-fragments", "A fragmented SYN without ACK is not a reply: to_kernel",
    *[kernel(frame)
      for frame in fragments4(TCP(sport=80, dport=4322, flags="S") / payload(200), [64, 64], source=backend_address(11),
                                            destination=CLIENT4)[1]], variants=_NAT)
row("reply-to-group", "A backend's packets to multicast or broadcast: to_kernel",
    kernel(from4(11, answer(), "224.0.0.5")), kernel(from4(11, answer(), "255.255.255.255")),
    kernel(from6(11, answer(), "ff02::5")),
    variants=_NAT)
row("reply-options", "Replies keep their IPv4 options and extension headers",
    reply(from4(11, answer() / payload(), options=[IPOption_NOP()] * 8)),
    reply(from6(11, answer() / payload(), extension=IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]))),
    variants=_NAT)
row("reply-padding", "Replies keep their padding",
    *[(bytes(packet) + b"\0" * 6, reply(packet)[1])
      for packet in [from4(11, answer(chksum=3)), from6(11, answer(chksum=3))]],
    variants=_NAT)
row("reply-other-modes", "In other modes, a backend's packets to clients: to_kernel",
    kernel(from4(11, answer() / payload())), kernel(from6(11, answer() / payload())),
    variants=[mode for mode in MODES if mode != "nat"])

# ---- replies: TTL, MTU, fragments ----------------------------------------------------------------------------------


def _reply_error(packet, reason, kind):
    """A step: a reply that is dropped, and the error to the backend from the port's own address."""
    def expect(world, data):
        return Drop(reason, world.error(data, kind, world.variant.mtu))
    return packet, expect


for family, made, field in ((4, from4, "ttl"), (6, from6, "hlim")):
    row(f"reply{family}-ttl", "The TTL of a reply is decremented",
        *[reply(made(11, answer(), **{field: ttl})) for ttl in (2, 64, 255)], variants=_NAT)
    row(f"reply{family}-ttl-1", "A reply with TTL 1: drop and ICMP time exceeded",
        _reply_error(made(11, answer(), **{field: 1}), "ttl_expired", "ttl"), variants=_NAT)
    row(f"reply{family}-ttl-0", "A reply with TTL 0: to_kernel",
        kernel(made(11, answer(), **{field: 0})), variants=_NAT)
row("reply4-mtu", "A reply of exactly the MTU is forwarded; a larger one with DF: drop and ICMP error",
    reply(from4(11, answer() / payload(1460), flags="DF")),
    _reply_error(from4(11, answer() / payload(1461), flags="DF"), "too_big", "big"),
    variants=_NAT)
row("reply6-mtu", "A reply of exactly the MTU is forwarded; a larger one: drop and ICMP error (IPv6)",
    reply(from6(11, answer() / payload(1440))), _reply_error(from6(11, answer() / payload(1441)), "too_big", "big"),
    variants=_NAT)
row("reply4-cut", "A larger reply without DF is fragmented",
    *[reply(from4(11, answer() / payload(size))) for size in (1461, 2000, 4000)], variants=_NAT)


def _reply_fragments(made, order):
    flow, frames = made
    first = order.index(0)
    return [reply(frames[number], flow, late=place < first) for place, number in enumerate(order)]


for name, order in (("", [0, 1, 2]), ("-backwards", [2, 1, 0])):
    row(f"reply4-fragments{name}", "Fragmented replies are translated, in any order of arrival",
        *[
        step
        for made in (fragments4(UDP(sport=5353, dport=4321) / payload(200), [64, 64], source=backend_address(21),
                                destination=CLIENT4),
                          fragments4(TCP(sport=80, dport=4321, flags="A") / payload(200), [64, 64],
                                     source=backend_address(11), destination=CLIENT4))
        for step in _reply_fragments(made, order)], variants=_NAT)
    row(f"reply6-fragments{name}", "Fragmented replies are translated, in any order of arrival (IPv6)",
        *[
        step
        for made in (fragments6(UDP(sport=5353, dport=4321) / payload(200), [64, 64], source=backend_address(21, 6),
                                     destination=CLIENT6),)
        for step in _reply_fragments(made, order)], variants=_NAT)

# ---- checksums of packets to backends ------------------------------------------------------------------------------


def _computed_zero(head, service):
    """A datagram whose right checksum in nat's output is zero. Its last word is chosen for that."""
    def steps(world):
        def out_checksum(word):
            packet = ether() / head.copy() / udp(source_port=16001) / (bytes(payload(18)) + word.to_bytes(2, "big"))
            frame = forward(packet, service)[1](world, bytes(packet)).frames[0]
            at = 14 + (20 if frame[12:14] == b"\x08\x00" else 40) + 6
            return packet, int.from_bytes(frame[at:at + 2], "big")
        _, checksum = out_checksum(0)
        packet, found = out_checksum(checksum)
        assert found == 0xFFFF, hex(found)
        return [forward(packet, service)]
    return steps


row("nat4-udp-computed-zero", "A computed UDP checksum of zero is sent as 0xffff", _computed_zero(ip4(), "dns"),
    variants=_NAT)
row("nat6-udp-computed-zero", "A computed UDP checksum of zero is sent as 0xffff (IPv6)", _computed_zero(ip6(), "dns"),
    variants=_NAT)
row("nat-every-checksum", "nat's incremental checksum update is right through every carry",
    *[forward(ether() / ip4(id=number) / udp(source_port=16002) / (bytes(payload(8)) + number.to_bytes(2, "big")))
    for base in (0, 0x7FF0, 0xFFE0) for number in range(base, base + 32)], *[
    forward(ether() / ip6() / tcp(source_port=16003) / (bytes(payload(8)) + number.to_bytes(2, "big")))
    for base in (0, 0x7FF0, 0xFFE0) for number in range(base, base + 32)], variants=_NAT)

# ---- errors to clients ---------------------------------------------------------------------------------------------


def request4(number, layer, **fields):
    """A packet from nat to a backend, as a router or the backend saw it."""
    return IP(bytes(ip4(CLIENT4, backend_address(number), ttl=62, **fields) / layer))


def request6(number, layer, extension=None, **fields):
    head = IPv6(src=CLIENT6, dst=backend_address(number, 6), hlim=62, **fields)
    return (head / extension if extension else head) / layer


def question(destination_port=80, protocol=TCP):
    if protocol is TCP:
        return TCP(sport=port(), dport=destination_port, flags="S")
    return UDP(sport=port(), dport=destination_port)


def error4(quote, source, type=3, code=4, size=None, icmp=None, tags=(), **fields):
    return (ether(tags=tags) / ip4(source, CLIENT4, **fields) / ICMP(type=type, code=code, **(icmp or {}))
            / Raw(bytes(quote)[:size]))


_ERRORS6 = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded}


def error6(quote, source, type=2, code=0, size=None, icmp=None, tags=(), **fields):
    return (ether(tags=tags) / ip6(source, CLIENT6, **fields) / _ERRORS6[type](code=code, **(icmp or {}))
            / Raw(bytes(quote)[:size]))


def outward4(number, layer, source, size=None, **arguments):
    quote = request4(number, layer / payload(60))
    return reply_error(error4(quote, source, size=size, **arguments), flow_of(quote))


def outward6(number, layer, source, size=None, extension=None, **arguments):
    quote = request6(number, layer / payload(60), extension)
    return reply_error(error6(quote, source, size=size, **arguments), flow_of(quote))


row("outward4-router", "Errors from a router behind the balancer keep the router's address",
    *[outward4(11, question(), ROUTER4, type=kind, code=code) for kind,
      code in ((3, 0), (3, 1), (3, 4), (3, 13), (11, 0), (12, 0))],
    variants=_NAT)
row("outward6-router", "Errors from a router behind the balancer keep the router's address (IPv6)",
    *[outward6(11, question(), ROUTER6, type=kind) for kind in (1, 2, 3)], variants=_NAT)
row("outward4-backend", "Errors from the backend itself get F as their source",
    *[outward4(number, question(5353, UDP), backend_address(number), code=3) for number in (21, 22)], variants=_NAT)
row("outward6-backend", "Errors from the backend itself get F as their source (IPv6)",
    *[outward6(number, question(5353, UDP), backend_address(number, 6), type=1, code=4) for number in (21, 22)],
    variants=_NAT)
row("outward4-port", "The quoted port is translated back",
    outward4(41, question(8443), ROUTER4), outward4(31, question(7777), ROUTER4),
    outward4(12, question(443), backend_address(12)),
    variants=_NAT)
row("outward6-port", "The quoted port is translated back (IPv6)",
    outward6(41, question(8443), ROUTER6), outward6(31, question(7777), ROUTER6),
    outward6(12, question(443), backend_address(12, 6)),
    variants=_NAT)
row("outward4-sizes", "The quoted L4 checksum is translated if the quote contains it",
    *[outward4(11, question(), ROUTER4, size=20 + size) for size in (8, 9, 16, 17, 18, 19, 20, 40)], *[
    outward4(21, question(5353, UDP), ROUTER4, size=20 + size) for size in (8, 9, 20)], variants=_NAT)
row("outward6-sizes", "The quoted L4 checksum is translated if the quote contains it (IPv6)",
    *[outward6(11, question(), ROUTER6, size=40 + size) for size in (8, 9, 16, 17, 18, 19, 20, 40)], *[
    outward6(21, question(5353, UDP), ROUTER6, size=40 + size) for size in (8, 9, 20)], variants=_NAT)
row("outward4-tags", "Errors with VLAN tags are translated",
    *[outward4(11, question(), ROUTER4, tags=tags) for tags in _TAGS], variants=_NAT)
row("outward6-extension", "Extension headers of the quoted packet are walked",
    outward6(11, question(), ROUTER6, extension=IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])),
    outward6(11, question(), ROUTER6, extension=IPv6ExtHdrFragment(id=4, m=1)), variants=_NAT)
row("outward4-udp-zero", "A quoted UDP checksum of zero stays zero",
    outward4(21, UDP(sport=16100, dport=5353, chksum=0), ROUTER4), variants=_NAT)
row("outward-wrong", "Errors that are malformed, or not about packets that nat sent: to_kernel",
    kernel(error4(request4(11, question(22)), ROUTER4)), kernel(error4(request4(99, question()), ROUTER4)),
    kernel(error4(request4(11, question()), ROUTER4, icmp={"chksum": 0x1234})),
    kernel(error4(request4(11, question()), ROUTER4, size=27)),
    kernel(error4(request4(11, question(), frag=9), ROUTER4)),
    kernel(error4(request4(11, question()), ROUTER4, type=5)),
    kernel(error6(request6(11, question(22)), ROUTER6)),
    kernel(error6(request6(11, question()), ROUTER6, icmp={"cksum": 0x1234})),
    variants=_NAT)
row("outward-other-client", "A quoted source that is not the error's destination: to_kernel",
    kernel(error4(IP(bytes(ip4("198.51.100.99", backend_address(11)) / question())), ROUTER4)), variants=_NAT)
row("outward-echo", "Other ICMP from a backend: to_kernel",
    kernel(from4(11, ICMP(type=0) / payload())), kernel(from6(11, ICMPv6EchoReply(data=b"abcd"))), variants=_NAT)
row("outward-ttl-1", "TTL 1: drop, and no error is sent about an error",
    drop(error4(request4(11, question()), ROUTER4, ttl=1), "ttl_expired"),
    drop(error6(request6(11, question()), ROUTER6, hlim=1), "ttl_expired"), variants=_NAT)

# ---- MSS -----------------------------------------------------------------------------------------------------------


def _mss(value, flags="S", before=(), **fields):
    return TCP(sport=port(), dport=80, flags=flags, options=[*before, ("MSS", value)], **fields)


_NOP = ("NOP", None)
_OTHERS = [("Timestamp", (1, 2)), ("SAckOK", b""), ("WScale", 7)]
row("mss4", "`mss_clamp` lowers the MSS option of a SYN to what fits, and never raises it",
    *[forward(ether() / ip4() / _mss(value)) for value in (1460, 1361, 1360, 1359, 536, 0, 65535)], variants=_CLAMP)
row("mss6", "`mss_clamp` lowers the MSS option of a SYN to what fits, and never raises it (IPv6)",
    *[forward(ether() / ip6() / _mss(value)) for value in (1440, 1341, 1340, 1339, 536, 0, 65535)], variants=_CLAMP)
row("mss-syn-ack", "`mss_clamp` lowers the MSS option of a SYN-ACK, too",
    *[reply(made(11, TCP(sport=80, dport=port(), flags="SA", options=[("MSS", value)])))
    for made in (from4, from6) for value in (1460, 1360, 1340, 500)], variants=_CLAMP)
row("mss-options", "`mss_clamp` finds the MSS option at any position",
    *[forward(ether() / head / _mss(1460, before=before))
    for head in (ip4(), ip6()) for before in ([_NOP], [_NOP] * 2, [_NOP] * 3, _OTHERS, [_NOP, *_OTHERS])],
    variants=_CLAMP)
row("mss-none", "`mss_clamp` never adds an MSS option",
    forward(ether() / ip4() / tcp(flags="S")),
    forward(ether() / ip4() / TCP(sport=port(), dport=80, flags="S", options=_OTHERS)),
    variants=_CLAMP)
row("mss-other-flags", "`mss_clamp` changes no packet without SYN",
    *[forward(ether() / ip4() / _mss(1460, flags=flags)) for flags in ("A", "PA", "FA", "R")], variants=_CLAMP)
row("mss-malformed", "`mss_clamp` stops at a malformed TCP option",
    *[forward(ether() / ip4(proto=6) / Raw(bytes(TCP(sport=16200, dport=80, flags="S", dataofs=7, chksum=9)) + options),
            flow=flow_of(ip4() / TCP(sport=16200, dport=80)))
    for options in (b"\x09\x00\x02\x04\x05\xb4\0\0", b"\x09\x01\x02\x04\x05\xb4\0\0", b"\x09\x09\x02\x04\x05\xb4\0\0",
                    b"\x00\x02\x04\x05\xb4\0\0\0", b"\x02\x03\x05\xb4\0\0\0\0", b"\x01\x01\x01\x01\x01\x01\x02\x04")],
                    variants=_CLAMP)
row("mss-not-clamped", "Without `mss_clamp`, the MSS option is not changed",
    forward(ether() / ip4() / _mss(1460)), forward(ether() / ip6() / _mss(9000)),
    reply(from4(11, TCP(sport=80, dport=port(), flags="SA", options=[("MSS", 9000)]))), variants=_NAT)
