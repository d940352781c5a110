"""Path MTU, exact to the byte: ICMP errors about larger packets, and fragmentation without DF."""
from scapy.all import IPOption_NOP, IPOption_RR, IPOption_Security, IPv6ExtHdrDestOpt, PadN

from tests.packet.expect import Drop
from tests.packet.rows import cut, ether, fragment_of, forward, ip4, ip6, payload, row, tcp, too_big, udp
from tests.packet.rows_fragments import fragments4, fragments6
from tests.packet.variants import CLIENT4, CLIENT6, MODES, TAGGED4, TAGGED6

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
# 1500 bytes less the exact overhead: IPIP 20, IPv6 40, GUE 32 / 52.
PATH_MTU = {"base": 1500, "ipip4": 1480, "ipip6": 1460, "gue4": 1468, "gue6": 1448, "nat": 1500, "jumbo": 9000,
            "gue4-checksum": 1468, "gue6-checksum": 1448, "spread-ipip4": 1480, "spread-ipip6": 1460}
_SIZED = (*MODES, "jumbo", "gue4-checksum", "gue6-checksum", "spread-ipip4", "spread-ipip6")


def sized4(size, layer=None, tags=(), options=(), flags="DF", **fields):
    """An IPv4 packet of exactly that many bytes."""
    head = ip4(options=list(options), flags=flags, **fields) / (tcp(flags="A") if layer is None else layer)
    return ether(tags=tags) / head / payload(size - len(bytes(head)))


def sized6(size, layer=None, tags=(), extension=None, **fields):
    head = ip6(**fields)
    head = (head / extension if extension else head) / (tcp(flags="A") if layer is None else layer)
    return ether(tags=tags) / head / payload(size - len(bytes(head)))


def _limit(world):
    """The path MTU. The table above is the rule, and the world's arithmetic must agree with it."""
    assert world.path_mtu == PATH_MTU[world.variant.name], world.variant.name
    return world.path_mtu


for family, sized in ((4, sized4), (6, sized6)):
    row(f"mtu{family}", "A packet of exactly the MTU less the mode's overhead is forwarded",
        lambda world, sized=sized: [forward(sized(_limit(world))), forward(sized(_limit(world) - 1)),
                                    forward(sized(_limit(world), udp()))], variants=_SIZED)
    row(f"mtu{family}-above",
        "One byte more, with DF or IPv6: drop and ICMP error with the MTU less the mode's overhead",
        lambda world, sized=sized: [too_big(sized(_limit(world) + 1)), too_big(sized(_limit(world) + 1, udp()))],
        variants=_SIZED)
    row(f"mtu{family}-far-above", "Much larger than the egress MTU: the same ICMP error",
        lambda world, sized=sized: [too_big(sized(_limit(world) + more)) for more in (2, 7, 100, 499)])
    row(f"mtu{family}-tags", "VLAN tags do not count towards the MTU; the ICMP error has them, too",
        lambda world, sized=sized: [forward(sized(_limit(world), tags=tags)) for tags in _TAGS]
        + [too_big(sized(_limit(world) + 1, tags=tags)) for tags in _TAGS])
row("mtu4-padding", "Padding does not count towards the MTU",
    lambda world: [(bytes(packet) + b"\xaa" * 25, forward(packet)[1])
                   for packet in [sized4(_limit(world), tcp(flags="A", chksum=1))]])
row("mtu6-padding", "Padding does not count towards the MTU (IPv6)",
    lambda world: [(bytes(packet) + b"\xaa" * 25, forward(packet)[1])
                   for packet in [sized6(_limit(world), tcp(flags="A", chksum=1))]])
row("mtu4-vlan", "The VLAN of a next hop does not change the MTU",
    lambda world: [forward(sized4(_limit(world), destination=TAGGED4)),
                   too_big(sized4(_limit(world) + 1, destination=TAGGED4))])
row("mtu6-vlan", "The VLAN of a next hop does not change the MTU (IPv6)",
    lambda world: [forward(sized6(_limit(world), destination=TAGGED6)),
                   too_big(sized6(_limit(world) + 1, destination=TAGGED6))])
row("mtu4-options", "Too big, with IPv4 options: the error quotes the packet unchanged",
    lambda world: [too_big(sized4(_limit(world) + 1, options=[IPOption_NOP()] * 40))])
row("mtu6-extension", "Too big, with extension headers: the error quotes the packet unchanged",
    lambda world: [too_big(sized6(_limit(world) + 1, extension=IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])))])
row("mtu4-source", "A port without an address of the family sends errors from F",
    lambda world: [too_big(sized4(1501)), too_big(sized4(1501, destination=TAGGED4))], variants=("no-port-address",))
row("mtu6-source", "A port without an address of the family sends errors from F (IPv6)",
    lambda world: [too_big(sized6(1501)), too_big(sized6(1501, destination=TAGGED6))], variants=("no-port-address",))
row("mtu4-source-group", "No error goes to a multicast or broadcast source: its packets are dropped before",
    lambda world: [(sized4(_limit(world) + 1, source=source), Drop("bad_source"))
                   for source in ("224.0.0.1", "255.255.255.255")])
row("mtu4-limited", "ICMP errors are rate-limited; the packet is dropped in any case",
    lambda world: [too_big(sized4(1501))] * 2 + [too_big(sized4(1501), error=False)] * 20, variants=("limited",))
row("mtu6-limited", "ICMP errors are rate-limited (IPv6)",
    lambda world: [too_big(sized6(1501))] * 2 + [too_big(sized6(1501), error=False)] * 20, variants=("limited",))
row("mtu4-silent", "With a rate of 0, no ICMP error is sent", too_big(sized4(1501), error=False),
    variants=("errors-off",))
row("mtu6-silent", "With a rate of 0, no ICMP error is sent (IPv6)", too_big(sized6(1501), error=False),
    variants=("errors-off",))



def _fragment_payload(world):
    """The payload bytes of a fragment that is not the last."""
    return (_limit(world) - 20) // 8 * 8


# ---- fragmentation -------------------------------------------------------------------------------------------------
row("cut4", "An IPv4 packet without DF is fragmented before encapsulation",
    lambda world: [cut(sized4(_limit(world) + more, flags=0), 2) for more in (1, 2, 8, 100)]
    + [cut(sized4(_limit(world) + 50, udp(), flags=0), 2)], variants=_SIZED)
row("cut4-exact", "A packet of exactly the MTU is not fragmented",
    lambda world: [forward(sized4(_limit(world), flags=0))])
row("cut4-three", "A packet is cut into as many fragments as needed", lambda world: [
    cut(sized4(2 * _limit(world) + 60, flags=0), 3), cut(sized4(2 * _fragment_payload(world) + 20, udp(), flags=0), 2),
    cut(sized4(2 * _fragment_payload(world) + 21, udp(), flags=0),
        3 if _fragment_payload(world) == _limit(world) - 20 else 2),
    cut(sized4(3 * _limit(world) + 60, udp(), flags=0), 4)])
row("cut4-every-size", "Every size just above the MTU: fragments are multiples of 8 bytes",
    lambda world: [cut(sized4(_limit(world) + more, flags=0), 2) for more in range(1, 33)])
row("cut4-id", "Every fragment has the packet's id, TOS, TTL and reserved flag", lambda world: [
    cut(sized4(_limit(world) + 9, flags=0, id=0xFFFF, tos=0xB9, ttl=3), 2),
    cut(sized4(_limit(world) + 9, flags="evil", id=0), 2)])
row("cut4-options", "Options with the copied flag go into every fragment, others only into the first", lambda world: [
    cut(sized4(_limit(world) + 40, flags=0, options=[IPOption_RR(routers=["0.0.0.0"] * 3)]), 2),
    cut(sized4(_limit(world) + 40, flags=0, options=[IPOption_Security()]), 2),
    cut(sized4(_limit(world) + 40, flags=0,
               options=[IPOption_NOP()] * 3 + [IPOption_Security(), IPOption_RR(routers=["0.0.0.0"])]), 2)])
row("cut4-tags", "Every fragment has the packet's VLAN tags",
    lambda world: [cut(sized4(_limit(world) + 30, flags=0, tags=tags), 2) for tags in _TAGS])
row("cut4-vlan", "Every fragment has the next hop's VLAN tag",
    lambda world: [cut(sized4(_limit(world) + 30, flags=0, destination=TAGGED4), 2)])
row("cut4-padding", "Fragments contain no padding", lambda world: [
    (bytes(packet) + b"\xaa" * 25, cut(packet, 2)[1])
    for packet in [sized4(_limit(world) + 12, tcp(flags="A", chksum=1), flags=0)]])
row("cut4-wrong-checksum", "A wrong header checksum stays wrong in every fragment",
    lambda world: [cut(sized4(_limit(world) + 12, flags=0, chksum=0x1234), 2)])


def _cut_again(world):
    """A fragmented datagram whose fragments are too large."""
    size = (_limit(world) + 40) // 8 * 8
    flow, frames = fragments4(udp() / payload(2 * size + 100), [size, size])
    return [cut(frames[0], 2, flow), cut(frames[1], 2, flow), fragment_of(flow, frames[2])]


def _with_df(frames):
    for frame in frames:
        frame[1].flags |= "DF"
    return frames


row("cut4-fragments", "A fragment that is too large is fragmented again", _cut_again)
row("fragments4-too-big",
    "A fragment with DF that is too big: drop; an ICMP error is sent about the first, never about a later one",
    lambda world: [
    too_big(frame, error=number == 0) for number, frame in enumerate(_with_df(fragments4(
        udp() / payload(2 * _limit(world)), [_limit(world) // 8 * 8, _limit(world) // 8 * 8])[1][:2]))])
row("fragments6-too-big",
    "An IPv6 fragment that is too big: drop; an ICMP error is sent about the first, never about a later one",
    lambda world: [
    too_big(frame, error=number == 0) for number, frame in enumerate(fragments6(
        udp() / payload(2 * _limit(world)), [_limit(world) // 8 * 8, _limit(world) // 8 * 8])[1][:2])])


for variant in ("drop-big", "drop-big-ipip"):
    row("too-big4-dropped",
        "With `too_big: drop`, a packet without DF is dropped without an error; with DF an error is sent",
        lambda world: [forward(sized4(world.path_mtu, flags=0)),
                       too_big(sized4(world.path_mtu + 1, flags=0), error=False),
                       too_big(sized4(world.path_mtu + 1))], variants=(variant,))
row("quote4", "An ICMP error is at most 576 bytes long (RFC 1812)",
    lambda world: [too_big(sized4(_limit(world) + 1, layer)) for layer in (tcp(flags="A"), udp())])
row("quote6", "An ICMPv6 error is at most 1280 bytes long (RFC 4443)",
    lambda world: [too_big(sized6(_limit(world) + 1, layer)) for layer in (tcp(flags="A"), udp())])
row("clients-too-big", "The error goes to the client that sent the packet", lambda world: [
    too_big(sized4(_limit(world) + 1, source=source)) for source in ("10.9.8.7", "1.1.1.1", CLIENT4)] + [
    too_big(sized6(_limit(world) + 1, source=source)) for source in ("fd00::9", "2001:db8:77::1", CLIENT6)])
