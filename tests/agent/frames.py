"""Rows: a frame, the counter that it must raise, and the frame that the agent must pass on. Built by scapy alone."""
from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from tests.agent.host import (BACKEND4, BACKEND6, BACKEND_MAC, FRONTEND4, FRONTEND6, NEAR4, NEAR6, NEAR_MAC)

ETHER = Ether(src=NEAR_MAC, dst=BACKEND_MAC)
STRANGER4, STRANGER6 = "198.51.100.66", "2001:db8:bad::66"
PORT = 6080


@dataclass(frozen=True)
class Row:
    name: str
    frame: bytes
    counter: str
    after: bytes  # the frame that the kernel receives; not compared for a dropped frame
    hooks: tuple = ("xdp", "tc")


def inner4(**fields):
    return IP(src="198.51.100.7", dst=FRONTEND4, **{"ttl": 57, "id": 4711, **fields}) / UDP(sport=4000, dport=7) / \
        Raw(b"through the tunnel")


def inner6(**fields):
    return IPv6(src="2001:db8:c::7", dst=FRONTEND6, **{"hlim": 57, "fl": 0x12345, **fields}) / \
        UDP(sport=4000, dport=7) / Raw(b"through the tunnel")


def outer4(proto, **fields):
    return IP(**{"src": NEAR4, "dst": BACKEND4, "flags": "DF", "id": 0, "proto": proto, **fields})


def outer6(proto, **fields):
    return IPv6(**{"src": NEAR6, "dst": BACKEND6, "hlim": 64, "nh": proto, **fields})


def gue(inner, first=0, proto=None, flags=0, private=b""):
    """Packs the GUE header (draft-ietf-intarea-gue): variant, C and hlen; protocol; flags."""
    proto = proto if proto is not None else (4 if inner.version == 4 else 41)
    return bytes([first | len(private) // 4, proto]) + flags.to_bytes(2, "big") + private


def gue_packet(outer, inner, dport=PORT, udp=None, **fields):
    return outer / UDP(**{"sport": 50123, "dport": dport, "chksum": 0, **(udp or {})}) / \
        Raw(gue(inner, **fields) + bytes(inner))


def delivered(name, packet, inner, counter, ether=ETHER, **extra):
    return Row(name, bytes(ether / packet), counter, bytes(ether.copy() / inner), **extra)


def untouched(name, frame, counter, **extra):
    return Row(name, bytes(frame), counter, bytes(frame), **extra)


def dropped(name, packet, counter, **extra):
    return Row(name, bytes(packet) if isinstance(packet, bytes) else bytes(ETHER / packet), counter, b"", **extra)


def good_rows():
    for inner in (inner4(), inner6()):
        proto = 4 if inner.version == 4 else 41
        for outer in (outer4, outer6):
            of = outer(proto).version
            yield delivered(f"ipip {inner.version} in {of}", outer(proto) / inner, inner, "ipip_delivered")
            yield delivered(f"gue {inner.version} in {of}", gue_packet(outer(17), inner), inner, "gue_delivered")
            for words in (1, 2, 17, 31):
                yield delivered(f"gue {inner.version} in {of}, {words} words of private data",
                                gue_packet(outer(17), inner, private=b"\xa5" * 4 * words), inner, "gue_delivered")
            padded = bytes(ETHER / outer(proto) / inner) + b"\0" * 9
            yield Row(f"ethernet padding behind {inner.version} in {of}", padded, "ipip_delivered",
                      bytes(ETHER / inner) + b"\0" * 9)
        for tag in (Dot1Q(vlan=100, prio=3), Dot1AD(vlan=100)):
            yield delivered(f"{tag.name} tag, {inner.version} in 4", tag / outer4(proto) / inner, tag / inner,
                            "ipip_delivered", hooks=("xdp",))
            yield delivered(f"{tag.name} tag, gue {inner.version} in 6", tag / gue_packet(outer6(17), inner),
                            tag / inner, "gue_delivered", hooks=("xdp",))
    for ttl in (0, 1, 255):
        yield delivered(f"inner TTL {ttl} stays", outer4(4) / inner4(ttl=ttl), inner4(ttl=ttl), "ipip_delivered")
        yield delivered(f"inner hop limit {ttl} stays", outer6(41) / inner6(hlim=ttl), inner6(hlim=ttl),
                        "ipip_delivered")
    options = inner4(options=[IPOption_NOP()] * 40)
    yield delivered("inner options of 40 bytes", outer4(4) / options, options, "ipip_delivered")
    nested = outer4(4, dst=FRONTEND4) / inner4()
    yield delivered("a tunnel in a tunnel loses one layer", outer4(4) / nested, nested, "ipip_delivered")
    header = IP(src="198.51.100.7", dst=FRONTEND4, proto=59)
    yield delivered("inner header alone", outer4(4) / header, header, "ipip_delivered")
    wrong_sum = inner4(chksum=0x1234)
    yield delivered("a wrong inner checksum is left to the kernel", outer4(4) / wrong_sum, wrong_sum, "ipip_delivered")
    yield delivered("the outer UDP checksum is not verified",
                    gue_packet(outer4(17), inner4(), udp={"chksum": 0xbeef}), inner4(), "gue_delivered")


# RFC 6040, figure 4: rows are the inner field, columns the outer one; None = drop.
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
MERGED = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


def ecn_rows():
    dscp = 0xb8
    for inside, columns in MERGED.items():
        for outside, merged in columns.items():
            for make, field in ((inner4, "tos"), (inner6, "tc")):
                inner = make(**{field: dscp | inside})
                proto = 4 if make is inner4 else 41
                for outer, outer_field in ((outer4, "tos"), (outer6, "tc")):
                    packet = outer(proto, **{outer_field: outside}) / inner
                    name = f"ECN {inside} in {outside}, {inner.version} in {packet.version}"
                    if merged is None:
                        yield dropped(name, packet, "ecn_illegal")
                    else:
                        yield delivered(name, packet, make(**{field: dscp | merged}), "ipip_delivered")
    yield delivered("ECN through GUE", gue_packet(outer4(17, tos=CE), inner4(tos=ECT0)), inner4(tos=CE),
                    "gue_delivered")


def source_rows():
    for outer, proto, inner in ((outer4, 4, inner4()), (outer4, 41, inner6()), (outer6, 4, inner4()),
                                (outer6, 41, inner6())):
        source = STRANGER4 if outer is outer4 else STRANGER6
        yield untouched(f"IPIP of an unlisted source, {inner.version} in {outer(proto).version}",
                        ETHER / outer(proto, src=source) / inner, "foreign_ipip")
        yield dropped(f"GUE of an unlisted source, {inner.version} in {outer(proto).version}",
                      gue_packet(outer(17, src=source), inner), "not_a_balancer")
    for source, counter in (("10.9.0.0", "ipip_delivered"), ("10.9.255.255", "ipip_delivered"),
                            ("10.8.255.255", "foreign_ipip"), ("10.10.0.0", "foreign_ipip"),
                            ("10.0.0.2", "foreign_ipip")):
        frame = ETHER / outer4(4, src=source) / inner4()
        if counter == "ipip_delivered":
            yield Row(f"source {source}", bytes(frame), counter, bytes(ETHER / inner4()))
        else:
            yield untouched(f"source {source}", frame, counter)
    yield untouched("source just behind the IPv6 prefix", ETHER / outer6(41, src="2001:db8:a:1::1") / inner6(),
                    "foreign_ipip")
    yield dropped("malformed GUE of an unlisted source", gue_packet(outer4(17, src=STRANGER4), inner4(), first=0xc0),
                  "not_a_balancer")


def other_rows():
    yield untouched("TCP", ETHER / IP(src=NEAR4, dst=BACKEND4) / TCP(dport=22), "not_a_tunnel")
    yield untouched("UDP to another port", ETHER / gue_packet(outer4(17), inner4(), dport=6081), "not_a_tunnel")
    yield untouched("UDP from the GUE port", ETHER / outer4(17) / UDP(sport=PORT, dport=53), "not_a_tunnel")
    yield untouched("ICMP", ETHER / IP(src=NEAR4, dst=BACKEND4) / ICMP(), "not_a_tunnel")
    yield untouched("ARP", ETHER / ARP(pdst=BACKEND4), "not_a_tunnel")
    yield untouched("two VLAN tags", ETHER / Dot1AD(vlan=1) / Dot1Q(vlan=2) / outer4(4) / inner4(), "not_a_tunnel")
    yield untouched("GRE", ETHER / outer4(47) / Raw(b"\0\0\x08\0" + bytes(inner4())), "not_a_tunnel")
    yield untouched("cut in the IPv4 header", bytes(ETHER / outer4(4) / inner4())[:33], "not_a_tunnel", hooks=("xdp",))
    yield untouched("cut in the IPv6 header", bytes(ETHER / outer6(41) / inner6())[:53], "not_a_tunnel", hooks=("xdp",))
    yield untouched("cut in the UDP header", bytes(ETHER / outer4(17) / Raw(b"\0\0\x17\xc0")), "not_a_tunnel")
    for name, fields in (("first", {"flags": "MF"}), ("later", {"frag": 100})):
        yield untouched(f"{name} fragment of IPIP", ETHER / outer4(4, **fields) / inner4(), "outer_fragment")
        yield untouched(f"{name} fragment of GUE", ETHER / gue_packet(outer4(17, **fields), inner4()), "outer_fragment")
        yield untouched(f"{name} fragment of UDP of an unlisted source",
                        ETHER / gue_packet(outer4(17, src=STRANGER4, **fields), inner4()), "not_a_tunnel")
    for proto, name in ((41, "IPIP"), (17, "GUE")):
        for offset in (0, 100):
            yield untouched(f"fragment of {name} over IPv6, offset {offset}",
                            ETHER / outer6(44) / IPv6ExtHdrFragment(nh=proto, offset=offset, m=1) / inner6(),
                            "outer_fragment")
    yield untouched("outer options", ETHER / outer4(4, options=[IPOption_NOP()] * 4) / inner4(), "outer_options")
    yield untouched("outer options before GUE", ETHER / gue_packet(outer4(17, options=[IPOption_NOP()] * 4), inner4()),
                    "outer_options")


def malformed_rows():
    yield dropped("outer checksum", outer4(4, chksum=0x1234) / inner4(), "outer_malformed")
    yield dropped("outer length past the frame", outer4(4, len=200) / inner4(), "outer_malformed")
    yield dropped("outer length below the header", outer4(4, len=19) / inner4(), "outer_malformed")
    yield dropped("outer IHL 4", outer4(4, ihl=4) / inner4(), "outer_malformed")
    yield dropped("outer version 5", outer4(4, version=5) / inner4(), "outer_malformed")
    yield dropped("IPv6 length past the frame", outer6(41, plen=200) / inner6(), "outer_malformed")
    yield dropped("IPv6 version 4", outer6(41, version=4) / inner6(), "outer_malformed")
    yield dropped("UDP length past the outer packet", gue_packet(outer4(17), inner4(), udp={"len": 200}),
                  "outer_malformed")
    yield dropped("UDP length without GUE", gue_packet(outer4(17), inner4(), udp={"len": 11}), "outer_malformed")
    yield dropped("GUE cut", outer4(17) / UDP(dport=PORT) / Raw(b"\0\4"), "outer_malformed")
    yield dropped("GUE's private data past the packet",
                  outer4(17) / UDP(dport=PORT, chksum=0) / Raw(b"\x1f\4\0\0" + bytes(inner4())), "outer_malformed")
    for variant in (1, 2, 3):
        yield dropped(f"GUE variant {variant}", gue_packet(outer4(17), inner4(), first=variant << 6), "gue_variant")
    yield dropped("GUE control message", gue_packet(outer6(17), inner6(), first=0x20), "gue_control")
    for flags in (1, 0x8000):
        yield dropped(f"GUE flags {flags:#x}", gue_packet(outer4(17), inner4(), flags=flags), "gue_flags")
    for proto in (0, 6, 17, 47, 59):
        yield dropped(f"GUE protocol {proto}", gue_packet(outer4(17), inner4(), proto=proto), "gue_protocol")
    yield dropped("IPv6 declared as IPv4", outer4(4) / inner6(), "inner_malformed")
    yield dropped("IPv4 declared as IPv6", outer4(41) / inner4(len=46), "inner_malformed")
    yield dropped("GUE with IPv6 declared as IPv4", gue_packet(outer4(17), inner6(), proto=4), "inner_malformed")
    yield dropped("inner IHL 4", outer4(4) / inner4(ihl=4), "inner_malformed")
    yield dropped("inner length past the outer packet", outer4(4) / inner4(len=47), "inner_malformed")
    yield dropped("inner length below its header", outer4(4) / inner4(len=19), "inner_malformed")
    yield dropped("inner length below its options", outer4(4) / inner4(ihl=15, len=46), "inner_malformed")
    yield dropped("inner IPv6 length past the outer packet", outer4(41) / inner6(plen=27), "inner_malformed")
    yield dropped("inner IPv4 header cut", outer4(4) / Raw(bytes(inner4())[:19]), "inner_malformed")
    yield dropped("inner IPv6 header cut", outer4(41) / Raw(bytes(inner6())[:39]), "inner_malformed")
    yield dropped("no inner packet", outer4(4), "inner_malformed")
    hidden = bytes(ETHER / outer4(4, len=20 + 30) / inner4())
    yield dropped("inner packet reaches into the padding", hidden, "inner_malformed")


ROWS = [*good_rows(), *ecn_rows(), *source_rows(), *other_rows(), *malformed_rows()]
