"""`on_no_backend: reset`: answers to clients of a service without a usable backend."""
from scapy.all import IPOption_NOP, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN

from tests.packet.rows import Buffer, drop, ether, in_buffer, ip4, ip6, payload, refused, row, tcp, udp
from tests.packet.variants import BROADCAST_MAC, EMPTY4, REFUSED4, REFUSED6

_TAGS = (((0x8100, 5),), ((0x88A8, 5), (0x8100, 6)))
_PAD = [PadN(optdata=b"\0" * 4)]


def to4(layer, **fields):
    return ip4(destination=REFUSED4, **fields) / layer


def to6(layer, **fields):
    return ip6(destination=REFUSED6, **fields) / layer


for family, to in ((4, to4), (6, to6)):
    row(f"refused{family}-syn", "A SYN is answered with a reset", refused(ether() / to(tcp())))
    row(f"refused{family}-segments",
        "A reset takes its sequence number from the segment's ACK; without ACK, it acknowledges the whole segment",
        *[refused(ether() / to(tcp(flags=flags, ack=77)) / payload(size))
          for flags in ("A", "PA", "FA", "SA", "P", "F", "SF", "S") for size in (1, 20, 1000)])
    row(f"refused{family}-sequence", "Sequence numbers wrap around",
        *[refused(ether() / to(tcp(seq=2**32 - 1)) / payload(size)) for size in (0, 3)])
    row(f"refused{family}-options", "TCP options do not count as payload",
        refused(ether() / to(tcp(options=[("MSS", 1460), ("SAckOK", b"")]))),
        refused(ether() / to(tcp(flags="P", options=[("NOP", None)] * 8)) / payload(5)))
    row(f"refused{family}-udp", "UDP is answered with ICMP port unreachable from the frontend",
        *[refused(ether() / to(udp(80)) / payload(size)) for size in (0, 1, 600, 1300)])
    row(f"refused{family}-tags", "Answers go to the packet's source MAC, with its VLAN tags",
        *[refused(ether(tags=tags, source="02:00:00:00:77:77") / to(layer)) for tags in _TAGS
          for layer in (tcp(), udp(80))])
    row(f"refused{family}-reset-is-not-answered", "A reset is never answered", *[
        drop(ether() / to(tcp(flags=flags)), "no_backend") for flags in ("R", "RA", "RS")])
    row(f"refused{family}-bad-checksums", "A packet with a bad L4 checksum is never answered",
        *[drop(ether() / to(layer) / payload(), "no_backend")
          for layer in (tcp(chksum=1), tcp(flags="A", chksum=0), udp(80, chksum=7))])
    row(f"refused{family}-several-buffers",
        "The checksum of a packet in several buffers is verified over all of them",
        in_buffer(refused(ether() / to(tcp()) / payload(900)), Buffer(linear=128)),
        in_buffer(refused(ether() / to(udp(80)) / payload(900)), Buffer(linear=128)),
        in_buffer(drop(ether() / to(tcp(chksum=9)) / payload(900), "no_backend"), Buffer(linear=128)))
    row(f"refused{family}-limited", "Resets are rate-limited",
        *([refused(ether() / to(tcp()))] * 2 + [drop(ether() / to(tcp()), "no_backend")] * 20), variants=("limited",))
    row(f"refused{family}-udp-limited", "ICMP port unreachable is rate-limited",
        *([refused(ether() / to(udp(80)))] * 2 + [drop(ether() / to(udp(80)), "no_backend")] * 20),
        variants=("limited",))
    row(f"refused{family}-silent", "With a rate of 0, no answer is sent", drop(ether() / to(tcp()), "no_backend"),
        drop(ether() / to(udp(80)), "no_backend"), variants=("errors-off",))
row("refused4-headers", "IPv4 options are skipped, and padding does not count as payload",
    refused(ether() / to4(tcp(), options=[IPOption_NOP()] * 8)),
    *[(bytes(packet) + b"\xaa" * 6, refused(packet)[1]) for packet in [ether() / to4(tcp())]])
row("refused4-no-checksum", "UDP without a checksum is answered", refused(ether() / to4(udp(80, chksum=0)) / payload()))
row("refused6-headers", "Extension headers are skipped",
    refused(ether() / to6(IPv6ExtHdrDestOpt(options=_PAD) / tcp())))
row("refused4-fragments", "Fragments are not answered, since their checksum cannot be verified",
    drop(ether() / to4(tcp() / payload(80), flags="MF", id=0x4040), "no_backend"),
    drop(ether() / to4(udp(80, chksum=5) / payload(80), flags="MF", id=0x4041), "no_backend"))
row("refused6-fragments", "Fragments are not answered, since their checksum cannot be verified (IPv6)",
    drop(ether() / to6(IPv6ExtHdrFragment(m=1, id=0x4042) / tcp() / payload(80)), "no_backend"))
row("refused-not-configured", "Without `on_no_backend: reset`, no answer is sent",
    drop(ether() / ip4(destination=EMPTY4) / tcp(), "no_backend"),
    drop(ether() / ip4(destination=EMPTY4) / tcp(81), "no_backend"))
row("refused-group", "A packet to a group MAC is not answered", drop(ether(BROADCAST_MAC) / to4(tcp()), "group_mac"))
