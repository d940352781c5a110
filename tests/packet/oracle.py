"""The frames that the forwarding modes must send, from the packet rules alone, by hand and by scapy.

By hand: bytes are replaced, and checksums corrected by the difference (RFC 1624), so that a wrong checksum stays wrong
by the same amount. By scapy: all checksums are computed again, if the packet sets none explicitly. Where both apply,
they must agree.
"""
import dataclasses
import ipaddress
import struct

from scapy.all import ICMP, IP, IPv6, Raw, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, in6_chksum
from scapy.utils import checksum

ICMP4, TCP_NUMBER, UDP_NUMBER, ICMP6 = 1, 6, 17, 58
_TAG_TYPES = (b"\x81\x00", b"\x88\xa8")
_EXTENSIONS = {0: 8, 43: 8, 60: 8, 51: 4}  # number -> unit of the length byte


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


@dataclasses.dataclass(frozen=True)
class Flow:
    """A 5-tuple in one direction."""
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int

    def reversed(self):
        return Flow(self.destination, self.source, self.protocol, self.destination_port, self.source_port)


class Frame:
    """The parts of an IP frame with or without VLAN tags."""

    def __init__(self, frame):
        frame = bytes(frame)
        at = 12
        while frame[at:at + 2] in _TAG_TYPES:
            at += 4
        self.macs, self.tags, self.network = frame[:12], frame[12:at], frame[at + 2:]
        self.version = self.network[0] >> 4

    @property
    def length(self):
        """The length of the IP packet by its header."""
        if self.version == 4:
            return int.from_bytes(self.network[2:4], "big")
        return 40 + int.from_bytes(self.network[4:6], "big")

    @property
    def packet(self):
        """The IP packet without padding."""
        return self.network[:self.length]

    @property
    def traffic_class(self):
        return self.network[1] if self.version == 4 else (self.network[0] << 4 | self.network[1] >> 4) & 0xFF


def ether_type(network):
    return b"\x08\x00" if network[0] >> 4 == 4 else b"\x86\xdd"


def transport(network):
    """Returns (offset of L4, its protocol, fragment offset or None). L4 follows IPv4's header or IPv6's extensions."""
    if network[0] >> 4 == 4:
        field = int.from_bytes(network[6:8], "big")
        fragment = (field & 0x1FFF) * 8 if field & 0x3FFF else None
        return (network[0] & 15) * 4, network[9], fragment
    at, number, fragment = 40, network[6], None
    while number in _EXTENSIONS or number == 44:
        if number == 44:
            field = int.from_bytes(network[at + 2:at + 4], "big")
            fragment = field & 0xFFF8 if field & 0xFFF9 else None
            size = 8
        else:
            size = (network[at + 1] + (2 if number == 51 else 1)) * _EXTENSIONS[number]
        number, at = network[at], at + size
        if fragment:
            break
    return at, number, fragment


def corrected(old_checksum, before, after):
    """The checksum after `before` was replaced by `after` (RFC 1624, equation 3)."""
    total = ~old_checksum & 0xFFFF
    for word in struct.unpack(f"!{len(before) // 2}H", before):
        total += ~word & 0xFFFF
    for word in struct.unpack(f"!{len(after) // 2}H", after):
        total += word
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class _Patch:
    """An IP packet in which bytes are replaced and checksums corrected."""

    def __init__(self, network):
        self.data = bytearray(network)

    def set(self, at, new, checksums=(), udp=False):
        """`checksums`: the offsets of the checksums that cover these bytes. `at` may be odd."""
        begin, end = at & ~1, at + len(new) + (at + len(new) & 1)
        before = bytes(self.data[begin:end])
        self.data[at:at + len(new)] = new
        for place in checksums:
            self.correct(place, before, bytes(self.data[begin:end]), udp)

    def correct(self, place, before, after, udp=False):
        old = int.from_bytes(self.data[place:place + 2], "big")
        if udp and old == 0:
            return
        new = corrected(old, before, after)
        self.data[place:place + 2] = (new or (0xFFFF if udp else 0)).to_bytes(2, "big")


def hop(network):
    """The IP packet with TTL or hop limit decremented, and the header checksum corrected."""
    patch = _Patch(network)
    if network[0] >> 4 == 4:
        patch.set(8, bytes([network[8] - 1]), [10])
    else:
        patch.set(7, bytes([network[7] - 1]))
    return bytes(patch.data)


def _l4_checksum(network):
    """Returns (offset of the TCP, UDP or ICMPv6 checksum or None, is it UDP). Later fragments have none."""
    at, protocol, fragment = transport(network)
    if fragment:
        return None, False
    place = {TCP_NUMBER: at + 16, UDP_NUMBER: at + 6, ICMP6: at + 2}.get(protocol)
    return (place, protocol == UDP_NUMBER) if place is not None and place + 2 <= len(network) else (None, False)


def readdress(network, side, address, port):
    """The IP packet with its 'source' or 'destination' address replaced, and its port unless `port` is 0."""
    version = network[0] >> 4
    size = 4 if version == 4 else 16
    place = (12 if version == 4 else 8) + (size if side == "destination" else 0)
    l4, udp = _l4_checksum(network)
    patch = _Patch(network)
    new = ipaddress.ip_address(address).packed
    before = bytes(network[place:place + size])
    patch.set(place, new, [10] if version == 4 else [])
    if l4 is not None:
        patch.correct(l4, before, new, udp)
    at, protocol, fragment = transport(network)
    if port and not fragment and protocol in (TCP_NUMBER, UDP_NUMBER):
        patch.set(at + (2 if side == "destination" else 0), port.to_bytes(2, "big"), [l4] if l4 is not None else [],
                  udp)
    return bytes(patch.data)


def readdress_error(network, outer_side, inner_side, old, address, port):
    """An ICMP error through nat.

    The quoted packet's `inner_side` becomes (address, port). The outer packet's `outer_side` becomes `address` if it is
    `old`. The ICMP checksum is computed again: errors with a wrong one are dropped.
    """
    at, protocol, _ = transport(network)
    quote = network[at + 8:]
    quote = readdress(quote, inner_side, address, port)
    version = network[0] >> 4
    head = network[:at]
    size, first = (4, 12) if version == 4 else (16, 8)
    place = first + (size if outer_side == "destination" else 0)
    if head[place:place + size] == ipaddress.ip_address(old).packed:
        patch = _Patch(head)
        patch.set(place, ipaddress.ip_address(address).packed, [10] if version == 4 else [])
        head = bytes(patch.data)
    message = network[at:at + 2] + b"\0\0" + network[at + 4:at + 8] + quote
    total = (checksum(message) if version == 4
             else in6_chksum(ICMP6, IPv6(head[:40]), message))
    return head + message[:2] + total.to_bytes(2, "big") + message[4:]


def outer(kind, source, destination, inner, traffic_class, entropy, gue_port=6080, prefix=None, checksummed=False,
          data=b""):
    """The IP packet `inner` encapsulated by scapy."""
    version = inner[0] >> 4
    number = 4 if version == 4 else 41
    body = Raw(inner)
    if kind == "gue":
        header = struct.pack("!BBH", len(data) // 4, number, 0) + data
        layer = UDP(sport=0xC000 | entropy >> 50, dport=gue_port, len=8 + len(header) + len(inner))
        if not checksummed:
            layer.chksum = 0
        body = layer / Raw(header + inner)
        number = 17
    if prefix:
        source = spread_source(prefix, entropy)
    if ipaddress.ip_address(destination).version == 4:
        return bytes(IP(src=source, dst=destination, id=0, flags="DF", ttl=64, tos=traffic_class, proto=number) / body)
    label = entropy >> 44 or 1
    return bytes(IPv6(src=source, dst=destination, hlim=64, tc=traffic_class, fl=label, nh=number) / body)


def spread_source(prefix, entropy):
    """The prefix with host bits from the flow's entropy: from its low 4 (IPv4) or 8 bytes, in little-endian order."""
    network = ipaddress.ip_network(prefix)
    size = 4 if network.version == 4 else 8
    mask = int(network.hostmask) & (2**(8 * size) - 1)
    bits = int.from_bytes((entropy & (2**(8 * size) - 1)).to_bytes(size, "little"), "big") & mask
    return str(ipaddress.ip_address(int(network.network_address) | bits))


def cut(network, mtu):
    """The fragments of an IPv4 packet, at most `mtu` bytes each (RFC 791, 3.2).

    A wrong header checksum is wrong by the same amount in every fragment.
    """
    if len(network) <= mtu:
        return [network]
    size = (network[0] & 15) * 4
    header, data = network[:size], network[size:]
    field = int.from_bytes(header[6:8], "big")
    wrong = header[10:12], _header_checksum(header).to_bytes(2, "big")
    pieces, at, copied = [], 0, header
    while at < len(data):
        space = (mtu - len(copied)) // 8 * 8
        part = data[at:at + space] if at + mtu - len(copied) < len(data) else data[at:]
        more = field & 0x2000 if at + len(part) == len(data) else 0x2000
        offset = (field & 0x1FFF) + at // 8
        head = bytearray(copied)
        head[2:4] = (len(copied) + len(part)).to_bytes(2, "big")
        head[6:8] = (field & 0x8000 | more | offset).to_bytes(2, "big")
        right = _header_checksum(bytes(head))
        # corrected() adds `before` and subtracts `after`: here, the amount by which the packet's checksum was wrong.
        head[10:12] = corrected(right, *wrong).to_bytes(2, "big")
        pieces.append(bytes(head) + part)
        at += len(part)
        copied = _copied_header(header)
    return pieces


def _header_checksum(header):
    return checksum(header[:10] + b"\0\0" + header[12:])


def _copied_header(header):
    """The header of later fragments: it has only the options with the copied flag (RFC 791, 3.1)."""
    options, at, kept = header[20:], 0, b""
    while at < len(options) and options[at] != 0:
        size = 1 if options[at] == 1 else options[at + 1]
        if options[at] & 0x80:
            kept += options[at:at + size]
        at += size
    kept += b"\0" * (-len(kept) % 4)
    return bytes([0x40 | 5 + len(kept) // 4]) + header[1:20] + kept


def icmp_error(frame, kind, source, port_mac, mtu=0):
    """Fairlead's ICMP error about a frame: 'ttl', 'big' or 'port'. It goes to the frame's source MAC, with its tags."""
    cause = Frame(frame)
    quote = cause.packet
    if cause.version == 4:
        icmp = {"ttl": ICMP(type=11, code=0), "big": ICMP(type=3, code=4, nexthopmtu=mtu),
                "port": ICMP(type=3, code=3)}[kind]
        # TOS: internetwork control (RFC 1812, 4.3.2.5).
        packet = (IP(src=source, dst=str(ipaddress.ip_address(quote[12:16])), ttl=64, id=0, tos=0xC0)
                  / icmp / Raw(quote[:576 - 28]))
    else:
        icmp = {"ttl": ICMPv6TimeExceeded(code=0), "big": ICMPv6PacketTooBig(mtu=mtu),
                "port": ICMPv6DestUnreach(code=4)}[kind]
        packet = (IPv6(src=source, dst=str(ipaddress.ip_address(quote[8:24])), hlim=64) / icmp / Raw(quote[:1280 - 48]))
    network = bytes(packet)
    return cause.macs[6:12] + mac_bytes(port_mac) + cause.tags + ether_type(network) + network


def tcp_reset(frame, port_mac):
    """The reset of a segment without a connection (RFC 9293, 3.10.7.1). It goes to the source MAC, with the tags."""
    cause = Frame(frame)
    network = IP(cause.packet) if cause.version == 4 else IPv6(cause.packet)
    segment = network[TCP]
    if segment.flags.A:
        number = {"seq": segment.ack, "ack": 0, "flags": "R"}
    else:
        occupied = len(segment.payload) + segment.flags.S + segment.flags.F
        number = {"seq": 0, "ack": (segment.seq + occupied) % 2**32, "flags": "RA"}
    reset = TCP(sport=segment.dport, dport=segment.sport, window=0, **number)
    if cause.version == 4:
        packet = IP(src=network.dst, dst=network.src, ttl=64, id=0, flags="DF") / reset
    else:
        packet = IPv6(src=network.dst, dst=network.src, hlim=64) / reset
    answer = bytes(packet)
    return cause.macs[6:12] + mac_bytes(port_mac) + cause.tags + ether_type(answer) + answer


def agrees(packet, data, change):
    """True if scapy makes the same bytes: `packet` with TTL or hop limit decremented, `change` applied, and all
    checksums computed again that the packet does not set.

    `data`: the bytes behind the Ethernet header. Padding may follow. True also if the packet sets its header checksum.
    """
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    if isinstance(network, IP) and network.chksum is not None:
        return True
    network = network.copy()
    if isinstance(network, IP):
        network.ttl -= 1
    else:
        network.hlim -= 1
    change(network)
    return data.startswith(bytes(network))


def clamp_mss(network, mtu):
    """The packet with the MSS option of a SYN or SYN-ACK lowered to fit `mtu` (RFC 6691: without options)."""
    version = network[0] >> 4
    largest = mtu - (40 if version == 4 else 60)
    at, protocol, fragment = transport(network)
    if protocol != TCP_NUMBER or fragment or not network[at + 13] & 2:
        return network
    place, end = at + 20, at + (network[at + 12] >> 4) * 4
    while place < end and network[place] != 0:
        if network[place] == 1:
            place += 1
            continue
        if place + 1 >= end or network[place + 1] < 2 or place + network[place + 1] > end:
            return network
        if network[place] == 2 and network[place + 1] == 4:
            if int.from_bytes(network[place + 2:place + 4], "big") <= largest:
                return network
            patch = _Patch(network)
            patch.set(place + 2, largest.to_bytes(2, "big"), [at + 16])
            return bytes(patch.data)
        place += network[place + 1]
    return network
