"""Turns a captured frame into one to a frontend (or, for nat, from a backend). Replaces addresses, and updates
checksums by the difference (RFC 1624): a right checksum stays right, a wrong one stays wrong. Frames that cannot be
read stay unchanged."""
import struct
import zlib

from modes import FRONTENDS4, FRONTENDS6, PORT_MAC, backend, packed

_MAC = bytes.fromhex(PORT_MAC.replace(":", ""))
_FRONTENDS = {4: [packed(address) for address in FRONTENDS4], 16: [packed(address) for address in FRONTENDS6]}
_BACKENDS = {size: [packed(backend(number, frontend, family)) for frontend in range(3) for number in range(5)]
             for size, family in ((4, 4), (16, 6))}
_EXTENSIONS = {0: 8, 43: 8, 60: 8, 51: 4}
_CHECKSUM_AT = {6: 16, 17: 6, 58: 2}  # protocol -> offset, where it covers the addresses


class _Frame:
    def __init__(self, frame):
        self.data = bytearray(frame)
        at, tags = 12, 0
        while tags < 2 and bytes(self.data[at:at + 2]) in (b"\x81\x00", b"\x88\xa8"):
            at, tags = at + 4, tags + 1
        self.ether_type = int.from_bytes(self.data[at:at + 2], "big")
        self.network = at + 2

    def replace(self, at, new, checksums):
        """Replaces the bytes at `at`. `checksums`: (offset, is UDP's) of each checksum that covers them."""
        before = bytes(self.data[at:at + len(new)])
        self.data[at:at + len(new)] = new
        for place, udp in checksums:
            self.update_checksum(place, before, new, udp)

    def update_checksum(self, place, before, after, udp):
        if place + 2 > len(self.data):
            return
        old = int.from_bytes(self.data[place:place + 2], "big")
        if udp and old == 0:
            return
        total = ~old & 0xFFFF
        for words, sign in ((before, True), (after, False)):
            total += sum((~word & 0xFFFF) if sign else word for word in struct.unpack(f"!{len(words) // 2}H", words))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        new = ~total & 0xFFFF
        self.data[place:place + 2] = (new or (0xFFFF if udp else 0)).to_bytes(2, "big")


def _transport(data, at):
    """(offset, protocol) after the IP header at `at`. (None, 0) if nothing follows: truncated, or a later fragment."""
    if data[at] >> 4 == 4:
        if int.from_bytes(data[at + 6:at + 8], "big") & 0x1FFF:
            return None, 0
        return at + max(5, data[at] & 15) * 4, data[at + 9]
    number, place = data[at + 6], at + 40
    for _ in range(9):
        if place + 8 > len(data):
            return None, 0
        if number == 44:
            if int.from_bytes(data[place + 2:place + 4], "big") & 0xFFF8:
                return None, 0
            size = 8
        elif number in _EXTENSIONS:
            size = (data[place + 1] + (2 if number == 51 else 1)) * _EXTENSIONS[number]
        else:
            return place, number
        number, place = data[place], place + size
    return None, 0


def _checksums(data, at):
    """The checksums that cover the addresses of the IP packet at `at`."""
    found = [(at + 10, False)] if data[at] >> 4 == 4 else []
    place, protocol = _transport(data, at)
    if place is not None and protocol in _CHECKSUM_AT and not (protocol == 58 and data[at] >> 4 == 4):
        found.append((place + _CHECKSUM_AT[protocol], protocol == 17))
    return found


def _addresses(data, at):
    """(bytes of an address, offset of the source, offset of the destination) of the IP packet at `at`, or None."""
    version = data[at] >> 4 if at < len(data) else 0
    if version == 4 and at + 20 <= len(data):
        return 4, at + 12, at + 16
    if version == 6 and at + 40 <= len(data):
        return 16, at + 8, at + 24
    return None


def _pick(choices, address):
    """Chooses one of `choices`. The same address gives the same choice, so that flows and datagrams stay together."""
    return choices[zlib.crc32(bytes(address)) % len(choices)]


def _quote_at(data, place, family):
    """Offset of the packet that the ICMP error at `place` quotes; None if it is no error."""
    errors = (3, 4, 5, 11, 12) if family == 4 else (1, 2, 3, 4)
    if place is None or place + 8 >= len(data) or data[place] not in errors:
        return None
    return place + 8


def to_frontend(frame):
    """The frame as a client would send it to a frontend through the port."""
    made = _Frame(frame)
    data = made.data
    if len(data) >= 6 and not data[0] & 1:
        data[0:6] = _MAC
    if made.ether_type == 0x0806 and made.network + 28 <= len(data):
        data[made.network + 24:made.network + 28] = _pick(_FRONTENDS[4], data[made.network + 24:made.network + 28])
    if made.ether_type not in (0x0800, 0x86DD):
        return bytes(data)
    addresses = _addresses(data, made.network)
    if addresses is None or (addresses[0] == 16 and data[addresses[2]] == 0xFF):
        return bytes(data)  # multicast, such as neighbour discovery, stays
    size, _, destination = addresses
    frontend = _pick(_FRONTENDS[size], data[destination:destination + size])
    _rewrite_quote(made, frontend, "source")
    made.replace(destination, frontend, _checksums(data, made.network))
    return bytes(data)


def from_backend(frame):
    """The frame as a backend would send it to a client: a reply that nat translates. None if it is not IP."""
    made = _Frame(frame)
    data = made.data
    if made.ether_type not in (0x0800, 0x86DD) or len(data) < 14 or data[0] & 1:
        return None
    addresses = _addresses(data, made.network)
    if addresses is None:
        return None
    data[0:6] = _MAC
    size, source, _ = addresses
    chosen = _pick(_BACKENDS[size], data[source:source + size])
    _rewrite_quote(made, chosen, "destination")
    made.replace(source, chosen, _checksums(data, made.network))
    return bytes(data)


def _rewrite_quote(made, address, side):
    """Changes the quoted packet of an ICMP error too, because it is about the frontend (or the backend). Updates the
    ICMP checksum."""
    data = made.data
    place, protocol = _transport(data, made.network)
    family = 4 if data[made.network] >> 4 == 4 else 6
    if protocol != (1 if family == 4 else 58):
        return
    quote = _quote_at(data, place, family)
    addresses = _addresses(data, quote) if quote is not None else None
    if addresses is None or addresses[0] != len(address):
        return
    at = addresses[1] if side == "source" else addresses[2]
    before = bytes(data[quote:])
    made.replace(at, address, _checksums(data, quote))
    after = bytes(data[quote:])
    if len(before) % 2:
        before, after = before + b"\0", after + b"\0"
    if place + 4 <= len(data):
        made.update_checksum(place + 2, before, after, False)
