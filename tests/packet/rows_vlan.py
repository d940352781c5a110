"""VLAN tags, other Ethernet types, and destination MACs."""
from scapy.all import ARP, Dot1Q, Ether, Raw

from tests.packet.rows import drop, ether, forward, ip4, ip6, kernel, payload, row, tcp, udp
from tests.packet.variants import (BROADCAST_MAC, CLIENT_MAC, EMPTY4, FOREIGN4, FOREIGN6, PORT_MAC, STRANGER_MAC,
                                   TAGGED4, TAGGED6, WEB4)

_TAGS = {"q": ((0x8100, 5),), "ad": ((0x88A8, 5),), "qinq": ((0x88A8, 5), (0x8100, 6)),
         "q-q": ((0x8100, 5), (0x8100, 6)),
         "ad-ad": ((0x88A8, 5), (0x88A8, 6)), "priority": ((0x8100, 0),), "highest": ((0x8100, 4094),)}
for name, tags in _TAGS.items():
    row(f"tag-{name}-4", "A packet with one or two tags of either type is forwarded with its tags",
        forward(ether(tags=tags) / ip4() / tcp(), service="web"),
        forward(ether(tags=tags) / ip4() / udp() / payload(), service="dns"))
    row(f"tag-{name}-6", "A packet with one or two tags of either type is forwarded with its tags (IPv6)",
        forward(ether(tags=tags) / ip6() / tcp() / payload(), service="web"))
row("tag-priority-bits", "Priority and DEI bits stay",
    forward(Ether(dst=PORT_MAC, src=CLIENT_MAC) / Dot1Q(vlan=5, prio=7, id=1) / ip4() / tcp()))
row("tags-three", "More than two tags: drop",
    drop(ether(tags=((0x88A8, 5), (0x8100, 6), (0x8100, 7))) / ip4() / tcp(), "vlan_depth"),
    drop(ether(tags=((0x8100, 5),) * 3) / ip6() / tcp(), "vlan_depth"),
    drop(ether(tags=((0x8100, 5),) * 3) / ip4(destination=FOREIGN4) / tcp(), "vlan_depth"))
row("tag-other-types", "Other tag types: to_kernel",
    *[kernel(ether(type=kind) / Raw(b"\x00\x05\x08\x00") / ip4() / tcp()) for kind in (0x9100, 0x9200, 0x88E7)])


for name, tags in {"none": (), **_TAGS}.items():
    row(f"next-hop-vlan-{name}", "The `vlan` of a next hop replaces the tags",
        forward(ether(tags=tags) / ip4(destination=TAGGED4) / tcp() / payload(), "tagged"),
        forward(ether(tags=tags) / ip6(destination=TAGGED6) / tcp(), "tagged"))
row("next-hop-vlan-priority-bits", "The `vlan` of a next hop replaces the tag, but keeps its priority",
    forward(Ether(dst=PORT_MAC, src=CLIENT_MAC) / Dot1Q(vlan=5, prio=7, id=1) / ip4(destination=TAGGED4) / tcp(),
            "tagged"))

# ---- frames to other hosts and to groups ---------------------------------------------------------------------------
row("other-mac", "Destination MAC of another host: drop, whatever the frame contains",
    *[drop(ether(STRANGER_MAC) / layers, "other_mac")
      for layers in (ip4() / tcp(), ip6() / tcp(), ip4(destination=FOREIGN4) / tcp(), ip4(ttl=0) / tcp(),
                     ARP(op=1, pdst=WEB4), Raw(b"\x88\xcc" * 20), Raw(b""))])
_OWN = int(PORT_MAC.replace(":", ""), 16)
row("other-mac-near", "Destination MAC that differs in one bit, except the group bit: drop",
    *[drop(ether(":".join(f"{byte:02x}" for byte in (_OWN ^ (1 << bit)).to_bytes(6, "big"))) / ip4() / tcp(),
           "other_mac")
      for bit in range(48) if bit != 40])
row("group-mac", "Unicast IP to F inside a broadcast or multicast frame: drop",
    *[drop(ether(mac) / layers, "group_mac") for mac in (BROADCAST_MAC, "01:00:5e:00:00:01", "33:33:00:00:00:01")
      for layers in (ip4() / tcp(), ip6() / tcp(), ip4(ttl=0) / tcp(), ip4(proto=47) / payload())])
row("group-mac-foreign", "Broadcast and multicast that is not for F: to_kernel",
    kernel(ether(BROADCAST_MAC) / ip4("0.0.0.0", "255.255.255.255") / udp(67, 68) / payload(300)),
    kernel(ether("01:00:5e:00:00:fb") / ip4(destination="224.0.0.251") / udp(5353, 5353)),
    kernel(ether("33:33:00:00:00:02") / ip6("fe80::1", "ff02::2") / payload()))

# ---- not to F ------------------------------------------------------------------------------------------------------
row("foreign4", "Packets that are not to F: to_kernel without further checks",
    *[kernel(ether() / layers) for layers in (
        ip4(destination=FOREIGN4) / tcp(), ip4(destination=FOREIGN4, ttl=0) / tcp(),
        ip4(destination=FOREIGN4, chksum=1) / tcp(),
        ip4(destination=FOREIGN4, len=9999) / tcp(), ip4(destination=FOREIGN4, ihl=3) / tcp(),
        ip4(destination=FOREIGN4, proto=47) / payload(), ip4("127.0.0.1", FOREIGN4) / tcp(),
        ip4(WEB4, FOREIGN4) / tcp(), ip4(destination=FOREIGN4, flags="MF") / tcp())])
row("foreign6", "Packets that are not to F: to_kernel without further checks (IPv6)",
    *[kernel(ether() / layers) for layers in (
        ip6(destination=FOREIGN6) / tcp(), ip6(destination=FOREIGN6, hlim=0) / tcp(),
        ip6(destination=FOREIGN6, plen=9999) / tcp(),
        ip6("::1", FOREIGN6) / udp(), ip6(destination=FOREIGN6, nh=59))])
row("neighbours-of-F", "An address next to a frontend's address is not F: to_kernel",
    *[kernel(ether() / ip4(destination=address) / tcp())
      for address in ("203.0.113.9", "203.0.113.11", "10.113.0.203")],
    *[kernel(ether() / ip6(destination=address) / tcp()) for address in ("2001:db8::11", "2001:db8::1:10", "::10")])
row("other-ethertypes", "LLDP and other Ethernet types: to_kernel",
    kernel(ether("01:80:c2:00:00:0e", type=0x88CC) / payload(40)),  # LLDP
    kernel(ether(type=0x8847) / payload(40)),  # MPLS
    kernel(ether(type=0x8864) / payload(40)),  # PPPoE
    kernel(ether("01:80:c2:00:00:00", type=0x0026) / payload(46)),  # 802.3 length: spanning tree
    kernel(ether(type=0x88B5) / payload(1)), kernel(ether(type=0xFFFF)),
    kernel(ether(tags=((0x8100, 5),), type=0x88CC) / payload(40)))

# ---- no usable backend ---------------------------------------------------------------------------------------------
row("no-backend", "A service without a usable backend: drop as no_backend",
    drop(ether() / ip4(destination=EMPTY4) / tcp(80), "no_backend"))
row("all-weights-zero", "All weights 0: drop as no_backend",
    drop(ether() / ip4(destination=EMPTY4) / tcp(81), "no_backend"))
row("no-next-hop", "A backend whose MAC is unknown: drop as no_next_hop",
    drop(ether() / ip4(destination=EMPTY4) / tcp(82), "no_next_hop"))
