"""Time exceeded: where the packet itself is forwarded, with TTL or hop limit 1 on arrival."""
from scapy.all import ICMP, IPOption_NOP, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN

from tests.packet.rows import drop, ether, expired, flow_of, ip4, ip6, payload, row, tcp, udp
from tests.packet.variants import ANY4, EMPTY4, EXTRA_MAC, TAGGED4, TAGGED6

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
_PAD = [PadN(optdata=b"\0" * 4)]
row("expired4-sizes", "Errors quote up to 576 bytes of an IPv4 packet",
    *[expired(ether() / ip4(ttl=1) / udp() / payload(size)) for size in (0, 1, 8, 100, 519, 520, 521, 600, 1400)])
row("expired6-sizes", "Errors quote up to 1280 bytes of an IPv6 packet",
    *[expired(ether() / ip6(hlim=1) / udp() / payload(size)) for size in (0, 1, 8, 100, 1183, 1184, 1185, 1300)])
row("expired4-tcp", "About TCP", *[expired(ether() / ip4(ttl=1) / tcp(flags=flags)) for flags in ("S", "A", "R", "FA")])
row("expired6-tcp", "About TCP (IPv6)", *[expired(ether() / ip6(hlim=1) / tcp(flags=flags)) for flags in ("S", "A", "R", "FA")])
row("expired4-tags", "Back to the MAC and tags that the packet came from",
    *[expired(ether(tags=tags, source="02:00:00:00:77:77") / ip4(ttl=1) / tcp()) for tags in _TAGS])
row("expired6-tags", "Back to the MAC and tags that the packet came from (IPv6)",
    *[expired(ether(tags=tags, source="02:00:00:00:77:77") / ip6(hlim=1) / tcp()) for tags in _TAGS])
row("expired-vlan", "... whatever the next hop's VLAN", expired(ether() / ip4(destination=TAGGED4, ttl=1) / tcp()),
    expired(ether() / ip6(destination=TAGGED6, hlim=1) / tcp()))
row("expired-extra-mac", "From the port's own MAC, whichever was asked", expired(ether(EXTRA_MAC) / ip4(ttl=1) / tcp()))
row("expired4-options", "Options are quoted, not copied", expired(ether() / ip4(ttl=1, options=[IPOption_NOP()] * 12) / tcp()))
row("expired6-extension", "Extension headers are quoted, not copied",
    *[expired(ether() / ip6(hlim=1, nh=60) / IPv6ExtHdrDestOpt(options=_PAD) / layer) for layer in (tcp(), udp())])
row("expired4-padding", "Padding is not quoted", *[
    (bytes(packet) + b"\xaa" * 12, expired(packet)[1]) for packet in [ether() / ip4(ttl=1) / tcp(chksum=7)]])
row("expired6-atomic", "About an atomic fragment", *[
    expired(ether() / ip6(hlim=1) / IPv6ExtHdrFragment(nh=6, id=5) / layer, flow=flow_of(ip6() / layer)) for layer in [tcp()]])
row("expired4-first-fragment", "About a first fragment", *[
    expired(ether() / ip4(ttl=1, flags="MF", id=0x3040) / layer / payload(24), flow=flow_of(ip4() / layer)) for layer in [udp(chksum=9)]])
row("expired4-source", "From the port's own address of that family, else from F",
    *[expired(ether() / ip4(destination=address, ttl=1) / tcp()) for address in (TAGGED4, ANY4)], variants=("nameless",))
row("expired6-source", "From the port's own address of that family, else from F (IPv6)",
    expired(ether() / ip6(destination=TAGGED6, hlim=1) / tcp()), variants=("nameless",))
row("expired4-limited", "Generated errors are rate-limited",
    *(
    [expired(ether() / ip4(ttl=1) / tcp())] * 2 + [expired(ether() / ip4(ttl=1) / tcp(), error=False)] * 20), variants=("limited",))
row("expired6-limited", "Generated errors are rate-limited (IPv6)",
    *(
    [expired(ether() / ip6(hlim=1) / tcp())] * 2 + [expired(ether() / ip6(hlim=1) / tcp(), error=False)] * 20),
    variants=("limited",))
row("expired-silent", "A rate of 0: no error at all", expired(ether() / ip4(ttl=1) / tcp(), error=False),
    expired(ether() / ip6(hlim=1) / tcp(), error=False), variants=("silent",))
row("expired-no-frontend", "To a port that no frontend has: no frontend, whatever the TTL",
    drop(ether() / ip4(ttl=1) / tcp(81), "no_frontend"), drop(ether() / ip6(hlim=1) / tcp(81), "no_frontend"))
row("expired-first-defect", "A malformed packet is not worth an error",
    drop(ether() / ip4(ttl=1) / tcp(dataofs=3), "bad_tcp_header"), drop(ether() / ip4(ttl=1) / udp(len=3) / payload(), "bad_udp_header"))
row("expired-own-answer", "Echo is answered, not forwarded: its TTL does not matter; errors about a reply of nobody do not leave",
    drop(ether() / ip4(ttl=1) / ICMP(type=0), "icmp_unsupported"), drop(ether() / ip4(destination=EMPTY4, ttl=1) / ICMP(type=5), "icmp_unsupported"))
