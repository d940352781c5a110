"""Buffers: headroom, segments, and the NIC's checksum flag. These rows are replayed in C++ only."""
from scapy.all import ICMP

from tests.packet.expect import Drop
from tests.packet.rows import Buffer, drop, ether, forward, in_buffer, ip4, ip6, payload, row, tcp, udp
from tests.packet.variants import TAGGED4, TUNNELS

_TAGS = ((0x88A8, 5), (0x8100, 6))
row("headroom-exact", "Headroom of exactly the outer headers' size is enough",
    lambda world: [in_buffer(forward(ether(tags=tags) / head / tcp()), Buffer(headroom=world.overhead()))
                   for tags in ((), _TAGS) for head in (ip4(), ip6())], variants=TUNNELS)
row("headroom-short", "Less headroom than the outer headers need: drop",
    lambda world: [in_buffer((ether(tags=tags) / head / tcp(), Drop("no_headroom")), Buffer(headroom=headroom))
                   for headroom in (0, 4, world.overhead() - 1) for tags in ((), _TAGS) for head in (ip4(), ip6())],
                   variants=TUNNELS)
row("headroom-none-needed", "dsr and nat need no headroom",
    *[in_buffer(forward(ether() / head / tcp()), Buffer(headroom=0)) for head in (ip4(), ip6())],
    variants=("base", "nat"))
row("headroom-vlan", "Adding a VLAN tag needs 4 bytes of headroom",
    in_buffer(drop(ether() / ip4(destination=TAGGED4) / tcp(), "no_headroom"), Buffer(headroom=3)),
    in_buffer(forward(ether() / ip4(destination=TAGGED4) / tcp()), Buffer(headroom=4)),
    in_buffer(forward(ether(tags=_TAGS) / ip4(destination=TAGGED4) / tcp()), Buffer(headroom=0)),
    variants=("base", "nat"))
row("nic-bad-checksum", "A bad header checksum that the NIC flags: drop", *[
    in_buffer(drop(ether() / ip4(chksum=0x1234) / layer, "bad_ip_checksum"), Buffer(nic_bad_checksum=True))
    for layer in (tcp(), udp(), ICMP(), tcp(81))])
row("segments", "Frames in several mbuf segments are forwarded", *[
    in_buffer(forward(ether() / head / tcp(flags="A") / payload(1000)), Buffer(linear=382)) for head in (ip4(), ip6())])
