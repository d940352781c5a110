"""Forwarding in every mode, byte for byte."""
from scapy.all import (IP, IPOption_Router_Alert, IPOption_RR, IPOption_Timestamp, Raw, TCP, IPOption_NOP)

from tests.packet.rows import (drop, ether, expired, flow_of, forward, ip4, ip6, payload, port, row, tcp, udp, world)
from tests.packet.variants import ANY4, CLIENT4, EXTRA_MAC, RANGE4, RANGE6, SOURCE4, SOURCE6, TRIPLE4, TRIPLE6, WEB4

row("tcp4-syn", "The forwarded packet is exactly what the mode specifies",
    forward(ether() / ip4() / tcp(), service="web"))
row("tcp6-syn",
    "An IPv6 packet is forwarded; in dsr, the backend may have an IPv4 address, since only its MAC is needed",
    forward(ether() / ip6() / tcp(), service="web"))
row("udp4", "UDP over IPv4 is forwarded", forward(ether() / ip4() / udp() / payload(), service="dns"))
row("udp6", "UDP over IPv6 is forwarded", forward(ether() / ip6() / udp() / payload(), service="dns"))
row("udp4-empty", "A UDP datagram without payload is forwarded", forward(ether() / ip4() / udp()))
row("udp6-empty", "A UDP datagram without payload is forwarded (IPv6)", forward(ether() / ip6() / udp()))

for name, flags in (("none", ""), ("syn-ack", "SA"), ("ack", "A"), ("push", "PA"), ("fin", "FA"), ("reset", "R"),
                    ("everything", "FSRPAUEC"), ("syn-fin", "SF"), ("syn-ece", "SEC")):
    row(f"tcp4-flags-{name}", "TCP flags are not checked; that is left to the backend",
        forward(ether() / ip4() / tcp(flags=flags) / payload()))

_port = port()
row("tcp4-life", "All packets of a flow go to one backend",
    *[forward(ether() / ip4() / tcp(source_port=_port, flags=flags) / payload(size), service="web")
      for flags, size in (("S", 0), ("A", 0), ("PA", 100), ("S", 0), ("PA", 1), ("FA", 0), ("R", 0), ("A", 0))])
_port = port()
row("tcp6-life", "All packets of a flow go to one backend (IPv6)",
    *[forward(ether() / ip6() / tcp(source_port=_port, flags=flags) / payload(size), service="web")
      for flags, size in (("S", 0), ("A", 0), ("PA", 100), ("FA", 0), ("R", 0))])
row("tcp4-second-frontend", "Frontends of a service share its backends",
    *[forward(ether() / ip4() / tcp(443), service="web") for _ in range(20)])
row("tcp6-second-frontend", "Frontends of a service share its backends (IPv6)",
    *[forward(ether() / ip6() / tcp(443), service="web") for _ in range(20)])

# ---- TTL and hop limit ---------------------------------------------------------------------------------------------
for ttl in (2, 3, 64, 128, 255):
    row(f"ttl4-{ttl}", "TTL is decremented", forward(ether() / ip4(ttl=ttl) / tcp()))
    row(f"ttl6-{ttl}", "Hop limit is decremented", forward(ether() / ip6(hlim=ttl) / tcp()))
row("ttl4-1", "TTL 1: drop and ICMP time exceeded; tunnels forward the packet unchanged",
    expired(ether() / ip4(ttl=1) / tcp()))
row("ttl6-1", "Hop limit 1: drop and ICMP time exceeded; tunnels forward the packet unchanged",
    expired(ether() / ip6(hlim=1) / tcp()))
row("ttl4-0", "TTL 0: drop", drop(ether() / ip4(ttl=0) / tcp(), "ttl_zero"))
row("ttl6-0", "Hop limit 0: drop", drop(ether() / ip6(hlim=0) / tcp(), "ttl_zero"))
row("ttl4-1-udp", "TTL 1: the same for UDP", expired(ether() / ip4(ttl=1) / udp()))

# ---- checksums -----------------------------------------------------------------------------------------------------
# With these ids, the header's sum goes through every carry of the incremental update.
row("checksum4-carries", "The header checksum is right after the TTL's decrement, through every carry",
    *[forward(ether() / ip4(id=base + step, ttl=ttl) / tcp(source_port=30001))
      for base in (0x0000, 0x7FF8, 0xFFF0) for step in range(16) for ttl in (2, 64, 255)])


def _with_header_checksum(wanted, ttl=64):
    """A SYN whose id gives the right header checksum the value `wanted`."""
    packet = ether() / ip4(id=0, ttl=ttl) / tcp()
    checksum = IP(bytes(packet[IP])).chksum
    identification = (~wanted & 0xFFFF) + checksum - 0xFFFF
    packet[IP].id = identification % 0xFFFF
    assert IP(bytes(packet[IP])).chksum == wanted
    return packet


for wanted in (0x0001, 0x00FF, 0x0100, 0xFEFF, 0xFF00, 0xFFFE):
    row(f"checksum4-{wanted:04x}", "The header checksum is right at the limits of one's complement arithmetic",
        forward(_with_header_checksum(wanted)))
for wrong in (0x0000, 0xFFFF, 0x1234):
    row(f"checksum4-wrong-{wrong:04x}",
        "A bad header checksum that the NIC does not flag stays bad; it is never repaired",
        forward(ether() / ip4(chksum=wrong) / tcp()))
row("tcp4-wrong-checksum", "A bad L4 checksum stays bad", forward(ether() / ip4() / tcp(chksum=0xBEEF) / payload()))
row("tcp6-wrong-checksum", "A bad L4 checksum stays bad", forward(ether() / ip6() / tcp(chksum=0xBEEF) / payload()))
row("udp4-wrong-checksum", "A bad L4 checksum stays bad", forward(ether() / ip4() / udp(chksum=0xBEEF) / payload()))
row("udp4-zero-checksum", "UDP/IPv4 checksum zero stays zero", forward(ether() / ip4() / udp(chksum=0) / payload()))
row("udp4-ffff-checksum", "UDP/IPv4 checksum 0xffff stays 0xffff",
    forward(ether() / ip4() / udp(chksum=0xFFFF) / payload()))
row("udp6-zero-checksum", "UDP/IPv6 checksum zero from a client: drop",
    drop(ether() / ip6() / udp(chksum=0) / payload(), "zero_udp_checksum"))

# ---- padding, options, fields that stay ----------------------------------------------------------------------------
row("padding4", "Padding behind the total length: removed before encapsulation, kept in dsr and nat",
    forward(ether() / ip4(len=40) / tcp() / Raw(b"\0" * 6)),
    forward(ether() / ip4(len=44) / tcp() / payload(4) / Raw(b"\xaa" * 30)))
row("padding6", "Padding behind the payload length: removed before encapsulation, kept in dsr and nat",
    forward(ether() / ip6(plen=20) / tcp(chksum=0x1111) / Raw(b"\xaa" * 17)))
row("padding-udp4", "Padding behind the total length: removed before encapsulation, kept in dsr and nat (UDP)",
    forward(ether() / ip4(len=36) / udp(len=16, chksum=0) / payload(8) / Raw(b"\x55" * 11)))
for name, options in (("nop", [IPOption_NOP()] * 4), ("route", [IPOption_RR(routers=["0.0.0.0"] * 3)]),
                      ("alert", [IPOption_Router_Alert()]), ("timestamp", [IPOption_Timestamp(length=12, pointer=9)]),
                      ("longest", [IPOption_NOP()] * 40)):
    row(f"options4-{name}", "With IPv4 options, L4 is found by IHL",
        forward(ether() / ip4(options=options) / tcp(), service="web"),
        forward(ether() / ip4(options=options) / udp() / payload(), service="dns"))
row("tcp4-options-longest", "TCP options up to data offset 15 are forwarded",
    forward(ether() / ip4() / TCP(sport=port(), dport=80, flags="S", options=[("NOP", None)] * 40)))
row("tcp4-data-offset-exact", "A data offset that ends at the packet's end is valid",
    forward(ether() / ip4() / TCP(sport=port(), dport=80, flags="A", options=[("NOP", None)] * 12)))
row("fields4", "TOS, id, DF and the reserved flag are not changed",
    forward(ether() / ip4(tos=0xFF, id=0xFFFF, flags="DF") / tcp()),
    forward(ether() / ip4(tos=0x03, id=0, flags="evil") / tcp()))
row("fields6", "Traffic class and flow label are not changed",
    forward(ether() / ip6(tc=0xFF, fl=0xFFFFF) / tcp()), forward(ether() / ip6(tc=0x2E, fl=0x12345) / udp()))
row("sizes4", "Payloads of every length from 0 to 64 are forwarded",
    *[forward(ether() / ip4() / tcp(flags="A") / payload(size)) for size in range(0, 65)])
row("sizes6", "Payloads of every length from 0 to 64 are forwarded (IPv6)",
    *[forward(ether() / ip6() / udp() / payload(size)) for size in range(0, 65)])
row("udp4-short-length", "A UDP length below the IP payload's length is left to the backend",
    forward(ether() / ip4() / udp(len=8, chksum=0) / payload(20)))

# ---- destination MAC -----------------------------------------------------------------------------------------------
row("extra-mac", "A frame to an extra MAC of the port is forwarded, with the port's own MAC as its source",
    forward(ether(EXTRA_MAC) / ip4() / tcp()), forward(ether(EXTRA_MAC) / ip6() / udp()))

# ---- hash policies -------------------------------------------------------------------------------------------------


def _same_backend(packets, service):
    """Steps of packets that must all reach one backend."""
    def steps(its_world):
        backends = {its_world.choose(flow_of(packet), service)[1]["address"] for packet in packets}
        assert len(backends) == 1, backends
        return [forward(packet, service) for packet in packets]
    return steps


def _all_backends(packets, service):
    """Steps of packets that together must reach every backend of the service."""
    def steps(its_world):
        chosen = [its_world.choose(flow_of(packet), service) for packet in packets]
        reached = {backend["address"] for _, backend, _ in chosen}
        assert len(reached) == len(chosen[0][0]["backends"]), reached
        return [forward(packet, service) for packet in packets]
    return steps


row("hash5-ports4", "5-tuple: a client's flows spread over all backends",
    _all_backends([ether() / ip4() / tcp() for _ in range(40)], "web"))
row("hash5-ports6", "5-tuple: a client's flows spread over all backends (IPv6)",
    _all_backends([ether() / ip6() / tcp() for _ in range(40)], "web"))
row("hash5-addresses4", "5-tuple: clients spread over all backends",
    _all_backends([ether() / ip4(f"198.51.{n}.9") / tcp(source_port=40000) for n in range(60)], "web"))
row("source-ip4", "source-ip: all of a client's flows, of every protocol and port, reach one backend",
    _same_backend([ether() / ip4(destination=SOURCE4) / layer for layer in (tcp(), tcp(), udp(80), udp(80))], "sticky"))
row("source-ip6", "source-ip: all of a client's flows, of every protocol and port, reach one backend (IPv6)",
    _same_backend([ether() / ip6(destination=SOURCE6) / layer for layer in (tcp(), tcp(), udp(80), udp(80))], "sticky"))
row("source-ip4-clients", "source-ip: clients spread over all backends",
    _all_backends([ether() / ip4(f"198.51.{n}.1", SOURCE4) / tcp(source_port=40000) for n in range(60)], "sticky"))
row("source-ip6-clients", "source-ip: clients spread over all backends (IPv6)",
    _all_backends([ether() / ip6(f"2001:db8:c:{n:x}::1", SOURCE6) / tcp(source_port=40000) for n in range(60)],
                  "sticky"))
row("triple4-ports", "3-tuple: ports do not select the backend",
    _same_backend([ether() / ip4(destination=TRIPLE4) / tcp(n) for n in (1, 80, 443, 65535)], "triple"))
row("triple6-ports", "3-tuple: ports do not select the backend (IPv6)",
    _same_backend([ether() / ip6(destination=TRIPLE6) / udp(n) for n in (1, 53, 443, 65535)], "triple"))
row("triple4-clients", "3-tuple: client address and protocol select the backend",
    _all_backends([ether() / ip4(f"198.51.{n}.1", TRIPLE4) / layer(90, 40000)
                    for n in range(40) for layer in (tcp, udp)], "triple"))

# ---- the table -----------------------------------------------------------------------------------------------------
row("spread4", "1,000 flows: each reaches the backend that hash and Maglev select", variants=("base",),
    *[forward(ether() / ip4(f"198.18.{n % 250}.{1 + n // 250}") / tcp(source_port=1024 + 61 * n), service="web")
      for n in range(1000)])
row("spread6", "500 flows: each reaches the backend that hash and Maglev select (IPv6)", variants=("base",),
    *[forward(ether() / ip6(f"2001:db8:c:{n:x}::{n + 1:x}") / udp(source_port=1024 + 61 * n), service="dns")
      for n in range(500)])
for variant, rule in (("reversed", "The same intent gives the same table in any order of its entries"),
                      ("seed", "Another hash seed gives another table, the same on every balancer with that seed")):
    row("spread4", rule, variants=(variant,),
        *[forward(ether() / ip4(f"198.18.{n}.1") / tcp(source_port=1024 + 61 * n), "web") for n in range(250)])
    row("spread6", rule, variants=(variant,),
        *[forward(ether() / ip6(f"2001:db8:c:{n:x}::1") / udp(source_port=2000 + n), "dns") for n in range(250)])
row("spread4-mode", "100 flows in every other mode: each reaches the backend that hash and Maglev select",
    variants=("ipip4", "ipip6", "gue4", "gue6", "nat"),
    *[forward(ether() / ip4(f"198.18.{n}.1") / tcp(source_port=1024 + 61 * n), "web") for n in range(100)])
row("spread6-mode", "100 flows in every other mode: each reaches the backend that hash and Maglev select (IPv6)",
    variants=("ipip4", "ipip6", "gue4", "gue6", "nat"),
    *[forward(ether() / ip6(f"2001:db8:c:{n:x}::1") / udp(source_port=2000 + n), "dns") for n in range(100)])


def _in_base(packet):
    """A step: the packet's result must be that of the base variant."""
    return packet, lambda _, data: world("base").forward(data, flow_of(packet), "web")


row("order-of-backends", "Backends and frontends in another order: every flow keeps its backend",
    variants=("reversed",),
    *[_in_base(packet)
      for packet in (ether() / ip4(f"198.19.{n}.1", WEB4) / tcp(source_port=5000 + n) for n in range(200))])
row("client-addresses", "Private, link-local and public source addresses are accepted",
    *[forward(ether() / ip4(source) / tcp(), service="web")
      for source in ("10.0.0.9", "192.168.1.1", "172.16.5.5", "169.254.1.1", "1.1.1.1", "223.255.255.254", CLIENT4)],
    *[forward(ether() / ip6(source) / tcp(), service="web")
      for source in ("fe80::1", "fd00::1", "2001:db8::1", "64:ff9b::1")])
row("any-port4", "An any-port frontend serves every port of its protocol",
    *[forward(ether() / ip4(destination=ANY4) / tcp(n), service="any") for n in (1, 80, 442, 444, 65535)])
row("any-port4-exact", "An exact frontend has precedence over an any-port frontend",
    forward(ether() / ip4(destination=ANY4) / tcp(443), service="tls"))
row("any-port6-exact", "An exact frontend has precedence over an any-port frontend (IPv6)",
    forward(ether() / ip6(destination="2001:db8::20") / tcp(443), service="tls"),
    forward(ether() / ip6(destination="2001:db8::20") / tcp(80), service="any"))
row("range4", "A port range includes its first and last port, and no port outside",
    *[forward(ether() / ip4(destination=RANGE4) / tcp(n), service="range")
      for n in (8000, 8001, 8099, 8200, 8500, 8999)],
    *[forward(ether() / ip4(destination=RANGE4) / udp(n), service="range") for n in (8000, 8150, 8999)],
    *[drop(ether() / ip4(destination=RANGE4) / udp(n), "no_frontend") for n in (7999, 9000, 1, 65535)])
row("range6", "A port range includes its first and last port, and no port outside (IPv6)",
    *[forward(ether() / ip6(destination=RANGE6) / tcp(n), service="range") for n in (8000, 8099, 8200, 8999)],
    *[drop(ether() / ip6(destination=RANGE6) / udp(n), "no_frontend") for n in (7999, 9000)])
for family, made in ((4, lambda n: ip4(destination=RANGE4) / tcp(n)), (6, lambda n: ip6(destination=RANGE6) / tcp(n))):
    row(f"range{family}-order", "Precedence of frontends: exact port, narrower range, wider range, any port",
        *[forward(ether() / made(n), service="inner") for n in (8100, 8149, 8151, 8199)],
        forward(ether() / made(8150), service="exact"),
        *[forward(ether() / made(n), service="rest") for n in (1, 80, 7999, 9000, 65535)])
row("source-port-extremes", "Ports 1 and 65535 are valid",
    *[forward(ether() / ip4() / tcp(source_port=n), service="web") for n in (1, 65535)])
row("untracked", "tracking none: every packet goes to the slot's owner",
    *[forward(ether() / ip4(destination="203.0.113.70") / layer, service="untracked")
      for layer in (tcp(), tcp(flags="A"), tcp(flags="R"), udp(80))])
