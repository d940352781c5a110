"""Malformed packets to a frontend: each is dropped under its reason."""
from scapy.all import IP, IPv6, Raw, TCP, UDP

from tests.packet.rows import drop, ether, ip4, ip6, payload, port, row, tcp, udp
from tests.packet.variants import ANY4, TRIPLE4, WEB4, WEB6


def _cuts(packet, readable_from):
    """The frame truncated at every byte.

    With fewer than `readable_from` bytes, its destination address cannot be read. With more, the IP packet is shorter
    than its header says.
    """
    frame = bytes(packet)
    return [drop(frame[:size], "truncated" if size < readable_from else "bad_ip_length")
            for size in range(1, len(frame))]


_Q, _QINQ = ((0x8100, 5),), ((0x88A8, 5), (0x8100, 6))
for name, tags in (("", ()), ("-tag", _Q), ("-two-tags", _QINQ)):
    more = 4 * len(tags)
    row(f"cut-tcp4{name}", "A frame truncated at any byte: drop",
        *_cuts(ether(tags=tags) / ip4() / tcp() / payload(10), 34 + more))
    row(f"cut-udp6{name}", "A frame truncated at any byte: drop (IPv6)",
        *_cuts(ether(tags=tags) / ip6() / udp() / payload(10), 54 + more))
row("cut-udp4", "A frame truncated at any byte: drop (UDP)", *_cuts(ether() / ip4() / udp() / payload(10), 34))
row("cut-tcp6", "A frame truncated at any byte: drop (TCP, IPv6)", *_cuts(ether() / ip6() / tcp() / payload(10), 54))

# ---- IPv4 ----------------------------------------------------------------------------------------------------------
row("version4", "An IP version that does not match the ethertype: drop",
    *[drop(ether(type=0x0800) / ip4(version=version) / tcp(), "bad_ip_version") for version in (0, 1, 5, 6, 7, 15)])
row("version6", "An IP version that does not match the ethertype: drop (IPv6)",
    *[drop(ether(type=0x86DD) / ip6(version=version) / tcp(), "bad_ip_version") for version in (0, 4, 5, 7, 15)])
row("ihl-short", "IHL below 5: drop", *[drop(ether() / ip4(ihl=ihl) / tcp(), "bad_ip_header") for ihl in range(5)])
row("ihl-past-frame", "IHL past the end of the frame: drop",
    *[drop(bytes(ether() / ip4(ihl=ihl, len=34) / Raw(b"x" * 14)), "bad_ip_header") for ihl in range(9, 16)])
row("total-length-below-header", "Total length below the header: drop",
    *[drop(ether() / ip4(len=size) / tcp(), "bad_ip_length") for size in (0, 1, 19)],
    drop(ether() / ip4(ihl=6, len=23) / Raw(b"\1" * 4) / tcp(), "bad_ip_length"))
row("total-length-past-frame", "Total length past the frame: drop",
    *[drop(ether() / ip4(len=size) / tcp(), "bad_ip_length") for size in (41, 60, 1500, 65535)])
row("payload-length-past-frame", "Payload length past the frame: drop",
    *[drop(ether() / ip6(plen=size) / tcp(), "bad_ip_length") for size in (21, 60, 1500, 65535)])
row("source4-not-a-client", "A source that is loopback, multicast, broadcast or unspecified: drop",
    *[drop(ether() / ip4(source) / tcp(), "bad_source")
      for source in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1",
                     "255.255.255.255")])
row("source4-F", "Source F: drop",
    *[drop(ether() / ip4(source) / tcp(), "bad_source") for source in (WEB4, ANY4, TRIPLE4)],
    drop(ether() / ip4(WEB4, WEB4) / tcp(80, 80), "bad_source"))
row("source6-not-a-client", "A source that is loopback, multicast, unspecified or v4-mapped: drop",
    *[drop(ether() / ip6(source) / tcp(), "bad_source")
      for source in ("::", "::1", "ff02::1", "ff0e::1", "::ffff:198.51.100.7")])
row("source6-F", "Source F: drop (IPv6)",
    *[drop(ether() / ip6(source) / tcp(), "bad_source") for source in (WEB6, "2001:db8::20")])

# ---- TCP and UDP ---------------------------------------------------------------------------------------------------
row("tcp4-header-cut", "A TCP header truncated by the total length: drop",
    *[drop(ether() / IP(src="198.51.100.7", dst=WEB4, proto=6, len=20 + size) / Raw(bytes(TCP(sport=9, dport=80))),
           "bad_tcp_header") for size in range(20)])
row("tcp6-header-cut", "A TCP header truncated by the payload length: drop",
    *[drop(ether() / IPv6(src="2001:db8:c::7", dst=WEB6, nh=6, plen=size) / Raw(bytes(TCP(sport=9, dport=80))),
           "bad_tcp_header") for size in range(20)])
row("tcp4-data-offset-short", "TCP data offset below 5: drop",
    *[drop(ether() / ip4() / tcp(dataofs=offset), "bad_tcp_header") for offset in range(5)])
row("tcp4-data-offset-past-end", "TCP data offset past the end: drop",
    *[drop(ether() / ip4() / tcp(dataofs=offset) / payload(3), "bad_tcp_header") for offset in range(6, 16)])
row("tcp4-data-offset-in-padding", "TCP data offset past the packet's end but inside the frame: drop",
    drop(ether() / ip4(len=40) / tcp(dataofs=6) / Raw(b"\0" * 6), "bad_tcp_header"))
row("tcp6-data-offset", "TCP data offset below 5 or past the end: drop (IPv6)",
    *[drop(ether() / ip6() / tcp(dataofs=offset), "bad_tcp_header") for offset in (0, 4, 6, 15)])
row("udp4-header-cut", "A UDP header truncated by the total length: drop",
    *[drop(ether() / IP(src="198.51.100.7", dst=WEB4, proto=17, len=20 + size) / Raw(bytes(UDP(sport=9, dport=53))),
           "bad_udp_header") for size in range(8)])
row("udp4-length-short", "UDP length below 8: drop",
    *[drop(ether() / ip4() / udp(len=size) / payload(), "bad_udp_header") for size in range(8)])
row("udp4-length-past-payload", "UDP length past the payload: drop",
    *[drop(ether() / ip4() / udp(len=size) / payload(20), "bad_udp_header") for size in (29, 100, 65535)],
    drop(ether() / ip4(len=36) / udp(len=20) / payload(20), "bad_udp_header"))
row("udp6-length", "UDP length below 8 or past the payload: drop (IPv6)",
    *[drop(ether() / ip6() / udp(len=size, chksum=1) / payload(20), "bad_udp_header") for size in (0, 7, 29)])
row("port-zero", "Port 0: drop, also for an any-port frontend",
    drop(ether() / ip4() / TCP(sport=0, dport=80), "port_zero"),
    drop(ether() / ip4() / TCP(sport=port(), dport=0), "port_zero"),
    drop(ether() / ip4(destination=ANY4) / TCP(sport=port(), dport=0), "port_zero"),
    drop(ether() / ip4(destination=TRIPLE4) / UDP(sport=port(), dport=0), "port_zero"),
    drop(ether() / ip6() / UDP(sport=0, dport=53), "port_zero"),
    drop(ether() / ip6() / UDP(sport=0, dport=0), "port_zero"))

# ---- no frontend, no known protocol --------------------------------------------------------------------------------
row("no-frontend", "A packet to F whose protocol and port no frontend has: drop",
    *[drop(ether() / layers, "no_frontend") for layers in (
        ip4() / tcp(81), ip4() / udp(80), ip4() / tcp(53), ip6() / tcp(81), ip6() / udp(443),
        ip4(destination=ANY4) / udp(80),
        ip4(ttl=1) / tcp(81))])
row("unknown-protocol4", "Unknown protocol to F (IPIP, GRE, AH over IPv4, ...): drop, no port is read",
    *[drop(ether() / ip4(proto=protocol) / Raw(bytes(tcp())), "unsupported_protocol")
      for protocol in (0, 2, 4, 41, 43, 44, 47, 50, 51, 58, 59, 60, 89, 132, 136, 255)])
row("unknown-protocol6", "Unknown protocol to F over IPv6: drop",
    *[drop(ether() / ip6(nh=protocol) / Raw(bytes(tcp())), "unsupported_protocol")
      for protocol in (1, 2, 4, 41, 47, 50, 89, 132, 255)])
row("tunnel-to-F", "A tunnel packet to F: drop, since the balancer never decapsulates",
    drop(ether() / ip4() / ip4() / tcp(), "unsupported_protocol"),
    drop(ether() / ip6() / ip4() / tcp(), "unsupported_protocol"),
    drop(ether() / ip4() / ip6() / tcp(), "unsupported_protocol"),
    drop(ether() / ip4() / udp(6080) / ip4() / tcp(), "no_frontend"))
