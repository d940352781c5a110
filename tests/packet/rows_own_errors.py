"""ICMP time exceeded, in dsr and nat: about packets that arrive with TTL or hop limit 1."""
from scapy.all import ICMP, IPOption_NOP, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN

from tests.packet.rows import drop, ether, expired, flow_of, ip4, ip6, payload, row, tcp, udp
from tests.packet.variants import ANY4, EMPTY4, EXTRA_MAC, TAGGED4, TAGGED6

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
_PAD = [PadN(optdata=b"\0" * 4)]
row("expired4-sizes", "An ICMP error is at most 576 bytes long (RFC 1812)",
    *[expired(ether() / ip4(ttl=1) / udp() / payload(size)) for size in (0, 1, 8, 100, 519, 520, 521, 600, 1400)])
row("expired6-sizes", "An ICMPv6 error is at most 1280 bytes long (RFC 4443)",
    *[expired(ether() / ip6(hlim=1) / udp() / payload(size)) for size in (0, 1, 8, 100, 1183, 1184, 1185, 1300)])
row("expired4-tcp", "Errors are sent about TCP packets with any flags",
    *[expired(ether() / ip4(ttl=1) / tcp(flags=flags)) for flags in ("S", "A", "R", "FA")])
row("expired6-tcp", "Errors are sent about TCP packets with any flags (IPv6)",
    *[expired(ether() / ip6(hlim=1) / tcp(flags=flags)) for flags in ("S", "A", "R", "FA")])
row("expired4-tags", "Errors go to the packet's source MAC, with its VLAN tags",
    *[expired(ether(tags=tags, source="02:00:00:00:77:77") / ip4(ttl=1) / tcp()) for tags in _TAGS])
row("expired6-tags", "Errors go to the packet's source MAC, with its VLAN tags (IPv6)",
    *[expired(ether(tags=tags, source="02:00:00:00:77:77") / ip6(hlim=1) / tcp()) for tags in _TAGS])
row("expired-vlan", "Errors do not use the next hop's VLAN", expired(ether() / ip4(destination=TAGGED4, ttl=1) / tcp()),
    expired(ether() / ip6(destination=TAGGED6, hlim=1) / tcp()))
row("expired-extra-mac", "Errors have the port's own MAC, also if the packet was to an extra MAC",
    expired(ether(EXTRA_MAC) / ip4(ttl=1) / tcp()))
row("expired4-options", "IPv4 options are quoted, not copied to the error",
    expired(ether() / ip4(ttl=1, options=[IPOption_NOP()] * 12) / tcp()))
row("expired6-extension", "Extension headers are quoted, not copied to the error",
    *[expired(ether() / ip6(hlim=1, nh=60) / IPv6ExtHdrDestOpt(options=_PAD) / layer) for layer in (tcp(), udp())])
row("expired4-padding", "Padding is not quoted", *[
    (bytes(packet) + b"\xaa" * 12, expired(packet)[1]) for packet in [ether() / ip4(ttl=1) / tcp(chksum=7)]])
row("expired6-atomic", "An error is sent about an atomic fragment", *[
    expired(ether() / ip6(hlim=1) / IPv6ExtHdrFragment(nh=6, id=5) / layer, flow=flow_of(ip6() / layer))
    for layer in [tcp()]])
row("expired4-first-fragment", "An error is sent about a first fragment", *[
    expired(ether() / ip4(ttl=1, flags="MF", id=0x3040) / layer / payload(24), flow=flow_of(ip4() / layer))
    for layer in [udp(chksum=9)]])
row("expired4-source", "Errors are sent from the port's own address of the family, or from F if the port has none",
    *[expired(ether() / ip4(destination=address, ttl=1) / tcp()) for address in (TAGGED4, ANY4)],
    variants=("no-port-address",))
row("expired6-source",
    "Errors are sent from the port's own address of the family, or from F if the port has none (IPv6)",
    expired(ether() / ip6(destination=TAGGED6, hlim=1) / tcp()), variants=("no-port-address",))
row("expired4-limited", "ICMP errors are rate-limited",
    *(
    [expired(ether() / ip4(ttl=1) / tcp())] * 2 + [expired(ether() / ip4(ttl=1) / tcp(), error=False)] * 20),
    variants=("limited",))
row("expired6-limited", "ICMP errors are rate-limited (IPv6)",
    *(
    [expired(ether() / ip6(hlim=1) / tcp())] * 2 + [expired(ether() / ip6(hlim=1) / tcp(), error=False)] * 20),
    variants=("limited",))
row("expired-silent", "With a rate of 0, no ICMP error is sent", expired(ether() / ip4(ttl=1) / tcp(), error=False),
    expired(ether() / ip6(hlim=1) / tcp(), error=False), variants=("errors-off",))
row("expired-no-frontend", "A packet to a port that no frontend has: drop as no_frontend, with any TTL",
    drop(ether() / ip4(ttl=1) / tcp(81), "no_frontend"), drop(ether() / ip6(hlim=1) / tcp(81), "no_frontend"))
row("expired-first-defect", "No error is sent about a malformed packet",
    drop(ether() / ip4(ttl=1) / tcp(dataofs=3), "bad_tcp_header"),
    drop(ether() / ip4(ttl=1) / udp(len=3) / payload(), "bad_udp_header"))
row("expired-own-answer", "ICMP that is never forwarded: drop as icmp_unsupported, with any TTL",
    drop(ether() / ip4(ttl=1) / ICMP(type=0), "icmp_unsupported"),
    drop(ether() / ip4(destination=EMPTY4, ttl=1) / ICMP(type=5), "icmp_unsupported"))
