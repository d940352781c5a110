"""Outer headers: what every tunnelled row has anyway, here one by one."""
from tests.packet.rows import cut, ether, forward, ip4, ip6, payload, row, tcp, udp
from tests.packet.rows_mtu import sized4
from tests.packet.variants import SOURCE4, TUNNELS

_SPREAD = ("spread-ipip4", "spread-ipip6")
_CHECKSUMMED = ("gue4-sum", "gue6-sum")
for ecn in range(4):
    row(f"tunnel-ecn-{ecn}", "DSCP and ECN copied (RFC 6040)",
        *[
        forward(ether() / ip4(tos=dscp << 2 | ecn) / tcp()) for dscp in (0, 10, 46, 63)] + [
        forward(ether() / ip6(tc=dscp << 2 | ecn) / tcp()) for dscp in (0, 10, 46, 63)], variants=TUNNELS)
row("tunnel-flow-label", "The inner flow label stays; the outer one is from the flow hash",
    *[forward(ether() / ip6(fl=label) / tcp()) for label in (0, 1, 0xFFFFF)], variants=TUNNELS)
row("tunnel-inner-ttl", "Tunnels leave the inner packet untouched",
    *[forward(ether() / ip4(ttl=ttl) / tcp()) for ttl in (1, 2, 255)] + [forward(ether() / ip6(hlim=ttl) / tcp()) for ttl in (1, 2, 255)],
    variants=TUNNELS)
row("tunnel-outer-df", "Outer IPv4: DF set, id 0, whatever the inner's",
    *[forward(ether() / ip4(flags=flags, id=number) / tcp()) for flags in (0, "DF") for number in (0, 1, 0xFFFF)], variants=TUNNELS)
row("tunnel-source-entropy", "Source port (or flow label) from the flow hash: a flow keeps its own",
    *[forward(ether() / ip4() / tcp(source_port=17001, flags=flags) / payload(size))
    for flags, size in (("S", 0), ("A", 0), ("PA", 300), ("FA", 0))] + [
    forward(ether() / ip4(f"198.51.100.{n}") / tcp(source_port=17002)) for n in range(1, 40)], variants=TUNNELS)
row("tunnel-policy-entropy", "... of the whole 5-tuple under every hash policy: each of a client's flows has its own",
    *[forward(ether() / ip4(destination=SOURCE4) / layer, "sticky") for layer in (tcp(), tcp(), udp(80))], variants=TUNNELS)
row("tunnel-trimmed", "Total length below the frame: trimmed before encapsulation",
    *[(bytes(packet) + b"\xee" * extra, forward(packet)[1])
    for extra, packet in ((1, ether() / ip4() / tcp()), (6, ether() / ip4() / udp() / payload(3)), (40, ether() / ip6() / tcp()))],
    variants=TUNNELS)
row("tunnel-inner-checksum", "A wrong inner checksum is none of the tunnel's",
    forward(ether() / ip4(chksum=0x1234) / tcp(chksum=0x4321)), forward(ether() / ip6() / udp(chksum=0x4321) / payload()),
    variants=TUNNELS)
row("gue-port", "GUE: port 6080 by default; configurable",
    forward(ether() / ip4() / tcp()), forward(ether() / ip6() / udp()), variants=("gue4-port",))
row("gue-checksum", "GUE: UDP checksum zero unless configured",
    *[forward(ether() / ip4() / layer / payload(size)) for size in (0, 1, 2, 63, 500, 1300) for layer in (tcp(flags="A"), udp())] + [
    forward(ether() / ip6() / layer / payload(size)) for size in (0, 1, 2, 63, 500, 1300) for layer in (tcp(flags="A"), udp())],
    variants=_CHECKSUMMED)
row("gue-checksum-cut", "GUE: UDP checksum of every piece",
    lambda world: [cut(sized4(world.path_mtu + 100, flags=0), 2), cut(sized4(2 * world.path_mtu + 100, udp(), flags=0), 3)],
    variants=_CHECKSUMMED)


def _checksum_of(world, packet):
    frame = forward(packet)[1](world, bytes(packet)).frames[0]
    at = 14 + (20 if frame[12:14] == b"\x08\x00" else 40) + 6
    return int.from_bytes(frame[at:at + 2], "big")


def _computed_zero(world):
    """A packet whose outer UDP checksum comes out as zero: its last word makes up for the rest, and the oracle (scapy) says 0xffff."""
    packet = ether() / ip4() / udp(source_port=17100, chksum=0x7777) / payload(20)
    before = bytes(packet)
    word = int.from_bytes(before[-2:], "big") + _checksum_of(world, packet)
    word = (word & 0xFFFF) + (word >> 16)
    changed = ether() / ip4() / udp(source_port=17100, chksum=0x7777) / (bytes(payload(18)) + word.to_bytes(2, "big"))
    assert _checksum_of(world, changed) == 0xFFFF
    return [forward(changed)]


row("gue-checksum-zero", "A computed zero is sent as 0xffff", _computed_zero, variants=_CHECKSUMMED)
row("ipip-spread", "Host bits of a configured prefix taken from the flow hash, so that the backend's RSS spreads",
    *[forward(ether() / ip4(f"198.51.100.{n}") / tcp()) for n in range(1, 60)] + [
    forward(ether() / ip6(f"2001:db8:c::{n}") / udp()) for n in range(1, 60)], variants=_SPREAD)


def _spreads(world):
    """Many sources, all of them within the prefix."""
    sources = {frame[26:30] if frame[12:14] == b"\x08\x00" else frame[22:38]
               for n in range(1, 60) for packet in [ether() / ip4(f"198.51.99.{n}") / tcp(source_port=17200)]
               for frame in forward(packet)[1](world, bytes(packet)).frames}
    assert len(sources) > 50
    return [forward(ether() / ip4(f"198.51.99.{n}") / tcp(source_port=17200)) for n in range(1, 60)]


row("ipip-spread-many", "Nearly every flow gets a source of its own", _spreads, variants=_SPREAD)
