"""Outer headers of tunnels, field by field."""
from tests.packet.rows import cut, ether, forward, ip4, ip6, payload, row, tcp, udp
from tests.packet.rows_mtu import sized4
from tests.packet.variants import SOURCE4, TUNNELS

_SPREAD = ("spread-ipip4", "spread-ipip6")
_CHECKSUMMED = ("gue4-checksum", "gue6-checksum")
for ecn in range(4):
    row(f"tunnel-ecn-{ecn}", "DSCP and ECN are copied to the outer header (RFC 6040)",
        *[
        forward(ether() / ip4(tos=dscp << 2 | ecn) / tcp()) for dscp in (0, 10, 46, 63)] + [
        forward(ether() / ip6(tc=dscp << 2 | ecn) / tcp()) for dscp in (0, 10, 46, 63)], variants=TUNNELS)
row("tunnel-flow-label", "The inner flow label stays; the outer one comes from the flow hash",
    *[forward(ether() / ip6(fl=label) / tcp()) for label in (0, 1, 0xFFFFF)], variants=TUNNELS)
row("tunnel-inner-ttl", "Tunnels leave the inner packet untouched",
    *[forward(ether() / ip4(ttl=ttl) / tcp()) for ttl in (1, 2, 255)],
    *[forward(ether() / ip6(hlim=ttl) / tcp()) for ttl in (1, 2, 255)], variants=TUNNELS)
row("tunnel-outer-df", "The outer IPv4 header has DF and id 0, whatever the inner header has",
    *[forward(ether() / ip4(flags=flags, id=number) / tcp()) for flags in (0, "DF") for number in (0, 1, 0xFFFF)],
    variants=TUNNELS)
row("tunnel-source-entropy",
    "The outer source port (or flow label) comes from the flow hash, and is the same for all packets of a flow",
    *[forward(ether() / ip4() / tcp(source_port=17001, flags=flags) / payload(size))
    for flags, size in (("S", 0), ("A", 0), ("PA", 300), ("FA", 0))] + [
    forward(ether() / ip4(f"198.51.100.{n}") / tcp(source_port=17002)) for n in range(1, 40)], variants=TUNNELS)
row("tunnel-policy-entropy",
    "The outer source port (or flow label) comes from the whole 5-tuple under every hash policy",
    *[forward(ether() / ip4(destination=SOURCE4) / layer, "sticky") for layer in (tcp(), tcp(), udp(80))],
    variants=TUNNELS)
row("tunnel-trimmed", "Padding behind the total length is removed before encapsulation",
    *[(bytes(packet) + b"\xee" * extra, forward(packet)[1])
    for extra,
    packet in ((1, ether() / ip4() / tcp()), (6, ether() / ip4() / udp() / payload(3)), (40, ether() / ip6() / tcp()))],
    variants=TUNNELS)
row("tunnel-inner-checksum", "A wrong inner checksum is not changed",
    forward(ether() / ip4(chksum=0x1234) / tcp(chksum=0x4321)),
    forward(ether() / ip6() / udp(chksum=0x4321) / payload()),
    variants=TUNNELS)
row("gue-port", "GUE: the port is configurable (default: 6080)",
    forward(ether() / ip4() / tcp()), forward(ether() / ip6() / udp()), variants=("gue4-port",))
row("gue-checksum", "GUE: the UDP checksum is zero, unless `gue_checksum` is set",
    *[forward(ether() / ip4() / layer / payload(size)) for size in (0, 1, 2, 63, 500, 1300)
      for layer in (tcp(flags="A"), udp())] + [
    forward(ether() / ip6() / layer / payload(size)) for size in (0, 1, 2, 63, 500, 1300)
    for layer in (tcp(flags="A"), udp())],
    variants=_CHECKSUMMED)
row("gue-checksum-cut", "GUE: every fragment has its UDP checksum",
    lambda world: [cut(sized4(world.path_mtu + 100, flags=0), 2),
                   cut(sized4(2 * world.path_mtu + 100, udp(), flags=0), 3)],
    variants=_CHECKSUMMED)


def _checksum_of(world, packet):
    frame = forward(packet)[1](world, bytes(packet)).frames[0]
    at = 14 + (20 if frame[12:14] == b"\x08\x00" else 40) + 6
    return int.from_bytes(frame[at:at + 2], "big")


def _computed_zero(world):
    """A packet whose outer UDP checksum is computed as zero. Its last word is chosen for that. scapy sends 0xffff."""
    packet = ether() / ip4() / udp(source_port=17100, chksum=0x7777) / payload(20)
    before = bytes(packet)
    word = int.from_bytes(before[-2:], "big") + _checksum_of(world, packet)
    word = (word & 0xFFFF) + (word >> 16)
    changed = ether() / ip4() / udp(source_port=17100, chksum=0x7777) / (bytes(payload(18)) + word.to_bytes(2, "big"))
    assert _checksum_of(world, changed) == 0xFFFF
    return [forward(changed)]


row("gue-checksum-zero", "GUE: a computed UDP checksum of zero is sent as 0xffff", _computed_zero,
    variants=_CHECKSUMMED)
row("ipip-spread",
    "With `ipip_source`, the source's host bits come from the flow hash, so that the backend's RSS spreads the flows",
    *[forward(ether() / ip4(f"198.51.100.{n}") / tcp()) for n in range(1, 60)] + [
    forward(ether() / ip6(f"2001:db8:c::{n}") / udp()) for n in range(1, 60)], variants=_SPREAD)


def _spreads(world):
    """Many flows, which must get more than 50 different sources."""
    sources = {frame[26:30] if frame[12:14] == b"\x08\x00" else frame[22:38]
               for n in range(1, 60) for packet in [ether() / ip4(f"198.51.99.{n}") / tcp(source_port=17200)]
               for frame in forward(packet)[1](world, bytes(packet)).frames}
    assert len(sources) > 50
    return [forward(ether() / ip4(f"198.51.99.{n}") / tcp(source_port=17200)) for n in range(1, 60)]


row("ipip-spread-many", "With `ipip_source`, nearly every flow gets a different source", _spreads, variants=_SPREAD)
