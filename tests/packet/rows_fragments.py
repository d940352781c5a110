"""Fragments of both families: all go to the backend of their flow, in any order of arrival."""
from scapy.all import (IP, IPOption_NOP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN, Raw,
                       TCP, UDP)

from tests.packet.expect import Drop
from tests.packet.rows import drop, ether, expired, forward, fragment_of, ip4, ip6, payload, row, tcp, udp
from tests.packet.variants import ANY4, CLIENT4, EMPTY4, NONE4, SOURCE4, TAGGED4, TRIPLE4, TRIPLE6, WEB4, WEB6
from tests.packet.world import flow_of

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
_ids = iter(range(0x4000, 0x8000))


def fragments4(layer, pieces, ident=None, tags=(), ttl=64, **fields):
    """Returns (flow, frames): an IPv4 datagram in fragments. `pieces`: the payload sizes of all but the last."""
    ident = next(_ids) if ident is None else ident
    whole = ip4(id=ident, ttl=ttl, **fields) / layer
    data = bytes(whole)[len(bytes(ip4(**fields))):]
    frames, at = [], 0
    for number, size in enumerate([*pieces, None]):
        part = data[at:] if size is None else data[at:at + size]
        flags = "MF" if size is not None else 0
        head = ip4(id=ident, ttl=ttl, flags=flags, frag=at // 8, proto=whole.proto, **fields)
        frames.append(ether(tags=tags) / head / Raw(part))
        at += len(part)
        assert size is None or (size % 8 == 0 and part), number
    return flow_of(whole), frames


def fragments6(layer, pieces, ident=None, tags=(), hlim=64, extension=None, source=None, destination=WEB6):
    """As fragments4, for an IPv6 datagram. `extension`: headers before the fragment header."""
    ident = next(_ids) if ident is None else ident
    addresses = {"destination": destination, "hlim": hlim, **({"source": source} if source else {})}
    whole = ip6(**addresses) / layer
    number = 6 if isinstance(layer, TCP) else 17
    data = bytes(whole)[40:]
    frames, at = [], 0
    for size in [*pieces, None]:
        part = data[at:] if size is None else data[at:at + size]
        header = IPv6ExtHdrFragment(nh=number, id=ident, offset=at // 8, m=0 if size is None else 1)
        head = ip6(**addresses)
        frames.append(ether(tags=tags) / (head / extension if extension else head) / header / Raw(part))
        at += len(part)
    return flow_of(whole), frames


def in_order(made):
    flow, frames = made
    return [fragment_of(flow, frame) for frame in frames]


def arriving(made, order):
    """Steps in this order of arrival. Fragments that arrive before the first one wait for it."""
    flow, frames = made
    first = order.index(0)
    return [fragment_of(flow, frames[number], late=place < first) for place, number in enumerate(order)]


def datagrams4(pieces, size):
    return [fragments4(udp() / payload(size), pieces), fragments4(tcp(flags="PA") / payload(size), pieces)]


def datagrams6(pieces, size):
    return [fragments6(udp() / payload(size), pieces), fragments6(tcp(flags="PA") / payload(size), pieces)]


for name, pieces, size in (("two", [64], 100), ("three", [64, 64], 200), ("many", [24] * 13, 340),
                           ("uneven", [24, 400, 8], 500),
                           ("tiny-last", [96], 89), ("large", [1400] * 3, 4400)):
    row(f"fragments4-{name}", "All fragments of a datagram go to one backend, that of its flow",
        *[step for made in datagrams4(pieces, size) for step in in_order(made)])
    row(f"fragments6-{name}", "All fragments of a datagram go to one backend, that of its flow (IPv6)",
        *[step for made in datagrams6(pieces, size) for step in in_order(made)])
    last = len(pieces)
    orders = {"backwards": list(range(last, -1, -1)), "last-first": [last, *range(last)],
              "first-last": [*range(1, last + 1), 0]}
    for order_name, order in orders.items():
        if len(pieces) > 1 or order_name == "backwards":
            row(f"fragments4-{name}-{order_name}",
                "Fragments that arrive before the first one wait in a bounded store with a timeout",
                *[step for made in datagrams4(pieces, size) for step in arriving(made, order)])
            row(f"fragments6-{name}-{order_name}",
                "Fragments that arrive before the first one wait in a bounded store with a timeout (IPv6)",
                *[step for made in datagrams6(pieces, size) for step in arriving(made, order)])
row("fragments4-8kb", "A fragmented UDP datagram of 8 KB is forwarded",
    *in_order(fragments4(udp() / payload(8192), [1400] * 5)))
row("fragments6-8kb", "A fragmented UDP datagram of 8 KB is forwarded (IPv6)",
    *in_order(fragments6(udp() / payload(8192), [1400] * 5)))
row("fragments4-spread", "The first fragment is balanced by its ports",
    *[step for _ in range(30) for step in in_order(fragments4(udp() / payload(64), [48]))])
row("fragments6-spread", "The first fragment is balanced by its ports (IPv6)",
    *[step for _ in range(30) for step in in_order(fragments6(udp() / payload(64), [48]))])


def interleaved(*made):
    return [fragment_of(flow, frames[number]) for number in range(len(made[0][1])) for flow, frames in made]


row("fragments4-key-protocol", "Fragments are matched by source, destination, id, and for IPv4 the protocol",
    *interleaved(fragments4(udp() / payload(100), [64], ident=0x3001),
                 fragments4(tcp() / payload(100), [64], ident=0x3001)))
row("fragments4-key-source", "Fragments are matched by source, destination and id",
    *interleaved(*[fragments4(udp() / payload(100), [64], ident=0x3002, source=f"198.51.100.{n}")
                   for n in range(20, 28)]))
row("fragments4-key-destination", "Fragments are matched by source, destination and id", *interleaved(
    *[fragments4(tcp() / payload(100), [64], ident=0x3003, destination=address)
      for address in (WEB4, SOURCE4, NONE4, ANY4)]))
row("fragments4-key-id", "Fragments are matched by source, destination and id",
    *interleaved(*[fragments4(udp() / payload(100), [64], ident=0x3010 + n) for n in range(8)]))
row("fragments4-id-zero", "The ids 0 and 0xffff are valid",
    *interleaved(*[fragments4(udp() / payload(100), [64], ident=n) for n in (0, 0xFFFF)]))
row("fragments6-key-id", "Fragments are matched by source, destination and all 32 bits of the id (RFC 8200)",
    *interleaved(*[fragments6(udp() / payload(100), [64], ident=n << 24 | 7) for n in range(8)]))
row("fragments6-key-source", "Fragments are matched by source, destination and id (IPv6)",
    *interleaved(*[fragments6(udp() / payload(100), [64], ident=0x3002, source=f"2001:db8:c::{n}")
                   for n in range(20, 28)]))


def _other_next_header():
    """A later fragment with another next header. By RFC 8200, 4.5, the first fragment's counts."""
    flow, frames = fragments6(udp() / payload(100), [64])
    frames[1][IPv6ExtHdrFragment].nh = 59
    return [fragment_of(flow, frame) for frame in frames]


row("fragments6-next-header", "For IPv6, fragments are not matched by the next header", *_other_next_header())


def _twice(made, extra):
    """A datagram of which some fragments arrive twice."""
    flow, frames = made
    return [fragment_of(flow, frames[number]) for number in extra]


row("fragments4-duplicates", "Duplicate fragments are forwarded; they are left to the backend",
    *_twice(fragments4(udp() / payload(200), [64, 64]), [0, 1, 1, 0, 2, 2]))
row("fragments6-duplicates", "Duplicate fragments are forwarded; they are left to the backend (IPv6)",
    *_twice(fragments6(udp() / payload(200), [64, 64]), [0, 1, 1, 0, 2, 2]))


def _overlapping(maker, header):
    flow, frames = maker(udp() / payload(200), [64, 64])
    again = frames[1].copy()
    if header is IP:
        again[IP].frag -= 2
    else:
        again[IPv6ExtHdrFragment].offset -= 2
    return [fragment_of(flow, frame) for frame in (frames[0], again, frames[1], frames[2])]


row("fragments4-overlap", "Overlapping fragments are forwarded; they are left to the backend",
    *_overlapping(fragments4, IP))
row("fragments6-overlap", "Overlapping fragments are forwarded; they are left to the backend (IPv6)",
    *_overlapping(fragments6, IPv6))


def _second_first(maker, ident):
    """Two first fragments of one datagram with different flows. The routing decision of the earlier one stays."""
    flow, frames = maker(udp(source_port=18001) / payload(100), [64], ident=ident)
    _, others = maker(udp(source_port=18002) / payload(100), [64], ident=ident)
    return [fragment_of(flow, frame) for frame in (frames[0], others[0], frames[1])]


row("fragments4-second-first", "A second first fragment never changes the routing decision",
    *_second_first(fragments4, 0x3020))
row("fragments6-second-first", "A second first fragment never changes the routing decision (IPv6)",
    *_second_first(fragments6, 0x3021))
row("fragments4-tags", "Fragments with VLAN tags are forwarded",
    *[step for tags in _TAGS for step in in_order(fragments4(udp() / payload(100), [64], tags=tags))])
row("fragments6-tags", "Fragments with VLAN tags are forwarded (IPv6)",
    *[step for tags in _TAGS for step in in_order(fragments6(udp() / payload(100), [64], tags=tags))])
row("fragments4-vlan", "Fragments leave in the next hop's VLAN",
    *in_order(fragments4(tcp() / payload(100), [64], destination=TAGGED4)))
row("fragments4-policies", "Fragments follow the service's hash policy",
    *in_order(fragments4(tcp() / payload(100), [64], destination=SOURCE4)),
    *in_order(fragments4(udp(777) / payload(100), [64], destination=TRIPLE4)),
    *in_order(fragments4(udp(80) / payload(100), [64], destination=NONE4)))
row("fragments6-policies", "Fragments follow the service's hash policy (IPv6)",
    *in_order(fragments6(udp(777) / payload(100), [64], destination=TRIPLE6)))
row("fragments4-options", "Fragments with IPv4 options are forwarded",
    *in_order(fragments4(udp() / payload(100), [64], options=[IPOption_NOP()] * 8)))
_PAD = [PadN(optdata=b"\0" * 4)]
for name, extension in (("hop-by-hop", IPv6ExtHdrHopByHop(options=_PAD)),
                        ("destination", IPv6ExtHdrDestOpt(options=_PAD)),
                        ("both", IPv6ExtHdrHopByHop(options=_PAD) / IPv6ExtHdrDestOpt(options=_PAD))):
    row(f"fragments6-behind-{name}", "Extension headers before the fragment header are walked",
        *in_order(fragments6(udp() / payload(100), [64], extension=extension)),
        *arriving(fragments6(udp() / payload(100), [64], extension=extension), [1, 0]))


def _with_df():
    flow, frames = fragments4(udp() / payload(100), [64])
    frames[0][IP].flags = "MF+DF"
    frames[1][IP].flags = "DF"
    return [fragment_of(flow, frame) for frame in frames]


row("fragments4-df", "A fragment with DF that fits is forwarded", *_with_df())

# ---- fragments that are dropped ------------------------------------------------------------------------------------


def lost(frame):
    """A step: a fragment that waits until it times out."""
    return frame, Drop("fragment_timeout", late=True)


row("fragments4-no-first", "Fragments still held at exit are dropped as timed out",
    *[lost(frame) for frame in fragments4(udp() / payload(300), [64, 64, 64])[1][1:]])
row("fragments6-no-first", "Fragments still held at exit are dropped as timed out (IPv6)",
    *[lost(frame) for frame in fragments6(udp() / payload(300), [64, 64, 64])[1][1:]])
row("fragments4-no-frontend", "A first fragment to F without a frontend: drop; the later fragments time out",
    *[drop(frame, "no_frontend") for frame in fragments4(udp(80) / payload(100), [64], ident=0x3030)[1][:1]],
    *[lost(frame) for frame in fragments4(udp(80) / payload(100), [64], ident=0x3030)[1][1:]])
row("fragments4-no-backend", "A first fragment to a service without a backend: drop; the later fragments time out",
    *[drop(frame, "no_backend")
      for frame in fragments4(tcp(80) / payload(100), [64], ident=0x3031, destination=EMPTY4)[1][:1]],
    *[lost(frame) for frame in fragments4(tcp(80) / payload(100), [64], ident=0x3031, destination=EMPTY4)[1][1:]])
row("fragment4-first-short", "A first fragment without a complete TCP (20 bytes) or UDP (8 bytes) header: drop",
    drop(ether() / ip4(flags="MF", proto=6) / Raw(bytes(tcp())[:16]), "fragment"),
    *[drop(ether() / ip4(flags="MF", proto=17) / Raw(bytes(udp())[:size]), "fragment") for size in (0, 4, 7)])
row("fragment6-first-short", "A first fragment without a complete TCP (20 bytes) or UDP (8 bytes) header: drop (IPv6)",
    drop(ether() / ip6() / IPv6ExtHdrFragment(nh=6, m=1, offset=0, id=7) / Raw(bytes(tcp())[:16]), "fragment"),
    drop(ether() / ip6() / IPv6ExtHdrFragment(nh=17, m=1, offset=0, id=8) / Raw(bytes(udp())[:4]), "fragment"))
row("fragment4-offset-beyond", "Offset + length above 65,535: drop",
    drop(ether() / ip4(frag=8190, proto=17) / payload(100), "fragment"),
    drop(ether() / ip4(frag=8191, flags="MF", proto=6) / payload(8), "fragment"))
row("fragment6-offset-beyond", "Offset + length above 65,535: drop (IPv6)",
    drop(ether() / ip6() / IPv6ExtHdrFragment(nh=17, m=0, offset=8191, id=9) / payload(100), "fragment"))
row("fragment4-first-tcp-options", "A first fragment may end within the TCP options",
    *in_order(fragments4(TCP(sport=18010, dport=80, flags="S", options=[("NOP", None)] * 40) / payload(40), [24])))
row("fragment4-first-exact", "A first fragment of exactly the L4 header is enough",
    *in_order(fragments4(udp() / payload(40), [8])),
    *in_order(fragments4(TCP(sport=18011, dport=80) / payload(44), [24])))
row("fragment6-atomic", "An IPv6 atomic fragment is forwarded as an ordinary packet",
    *[forward(ether() / ip6() / IPv6ExtHdrFragment(nh=17, id=n) / layer, "dns", flow=flow_of(ip6() / layer))
      for n, layer in ((7, udp(source_port=18020) / payload(30)), (8, udp(source_port=18021)))])


def _ttl(maker, field):
    """A later fragment with TTL 1: drop without an error."""
    flow, frames = maker(udp() / payload(200), [64, 64])
    lives = (64, 1, 64)
    for frame, life in zip(frames, lives):
        setattr(frame[1], field, life)
    return [fragment_of(flow, frames[0]), expired(frames[1], error=False, flow=flow), fragment_of(flow, frames[2])]


def _ttl_of_first(maker, field):
    """The first fragment has TTL 1. In dsr and nat it is dropped, and later ones time out. Tunnels forward all."""
    flow, frames = maker(udp() / payload(100), [64], **{field: 1})

    def expect_later(world, data):
        return world.forward(data, flow) if world.mode in ("ipip", "gue") else lost(frames[1])[1]
    return [expired(frames[0], flow=flow), (frames[1], expect_later)]


row("fragments4-ttl-1", "No ICMP error is sent about a later fragment", *_ttl(fragments4, "ttl"))
row("fragments6-ttl-1", "No ICMP error is sent about a later fragment (IPv6)", *_ttl(fragments6, "hlim"))
row("fragments4-first-ttl-1", "A first fragment with TTL 1: drop and ICMP time exceeded",
    *_ttl_of_first(fragments4, "ttl"))
row("fragments6-first-ttl-1", "A first fragment with hop limit 1: drop and ICMP time exceeded",
    *_ttl_of_first(fragments6, "hlim"))
row("fragments4-ttl-0", "TTL 0: drop",
    *[drop(frame, "ttl_zero") for frame in fragments4(udp() / payload(100), [64], ttl=0)[1]])
row("fragments4-source", "Fragments with source F, or with an invalid source: drop",
    *[drop(frame, "bad_source") for source in (WEB4, "127.0.0.1")
      for frame in fragments4(udp() / payload(100), [64], source=source)[1]])
row("fragments4-client", "Fragments and unfragmented packets of a flow reach one backend",
    forward(ether() / ip4() / UDP(sport=18030, dport=53) / payload(), "dns"),
    *in_order(fragments4(UDP(sport=18030, dport=53) / payload(100), [64])),
    forward(ether() / ip4(CLIENT4) / UDP(sport=18030, dport=53)))
