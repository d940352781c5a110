"""What a row is, and the words to write one with.

A row is a sentence of the packet rules, frames that go in, and for each frame what must become of it:

    Forward(bytes)   leaves as exactly these bytes
    Reply(bytes)     is consumed (drop reason `answered`), and exactly these bytes leave
    Drop(reason)     is dropped and counted under that reason; nothing leaves
    Kernel()         is counted as to_kernel; nothing leaves

What leaves is made by scapy or by hand from the rules, the choice of backend by twin.py: nothing in an expectation comes from
Fairlead. Rows are written in rows_*.py with the functions below; all_rows() collects them. They do not depend on each other: their
flows differ, so any set of a variant's rows may run together, in any order.
"""
import collections
import dataclasses
import functools
import importlib
import itertools
import logging
import pathlib

logging.getLogger("scapy").setLevel(logging.ERROR)  # it remarks on what rows break on purpose

from scapy.all import Dot1AD, Dot1Q, Ether, IP, IPv6, Raw, TCP, UDP

from tests.packet.twin import Twin
from tests.packet.variants import CLIENT4, CLIENT6, CLIENT_MAC, PORT_MAC, VARIANTS, WEB4, WEB6


@dataclasses.dataclass(frozen=True)
class Forward:
    frame: bytes
    kind = "forward"


@dataclasses.dataclass(frozen=True)
class Reply:
    frame: bytes
    kind = "reply"


@dataclasses.dataclass(frozen=True)
class Drop:
    reason: str

    @property
    def kind(self):
        return "drop " + self.reason


@dataclasses.dataclass(frozen=True)
class Kernel:
    kind = "to_kernel"


@dataclasses.dataclass
class Row:
    name: str
    rule: str
    variant: str
    steps: list  # of (frame bytes, expectation)

    @property
    def kind(self):
        """Rows of the same kind may be judged in one run: its counters cannot hide one behind another. 'mixed' rows run alone."""
        kinds = {expectation.kind for _, expectation in self.steps}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    def counters(self):
        """rx, tx, generated, to_kernel and drops that the row must lead to."""
        return totals([expectation for _, expectation in self.steps])


def totals(expectations):
    drops = collections.Counter(e.reason for e in expectations if isinstance(e, Drop))
    forwarded = sum(isinstance(e, Forward) for e in expectations)
    replies = sum(isinstance(e, Reply) for e in expectations)
    if replies:
        drops["answered"] += replies
    return {"rx": len(expectations), "tx": forwarded + replies, "generated": replies,
            "to_kernel": sum(isinstance(e, Kernel) for e in expectations), "drops": dict(drops)}


_rows = []
_ports = itertools.count(20000)


def row(name, rule, *steps, variant="base"):
    """Adds a row. `steps`: (frame, expectation) pairs; frames are bytes or scapy packets."""
    _rows.append(Row(name, rule, variant, [(bytes(frame), expectation) for frame, expectation in steps]))


def all_rows():
    """Every row of every rows_*.py beside this file, in order of the files' names."""
    if not _rows:
        for path in sorted(pathlib.Path(__file__).parent.glob("rows_*.py")):
            importlib.import_module(f"tests.packet.{path.stem}")
        names = [one.name for one in _rows]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"rows named twice: {twice}"
    return _rows


def port():
    """A client port that no other row uses."""
    return next(_ports)


def ether(destination=PORT_MAC, source=CLIENT_MAC, tags=(), type=None):
    """The Ethernet header with tags: ((0x8100, vlan), ...), outermost first."""
    header = Ether(dst=destination, src=source) if type is None or tags else Ether(dst=destination, src=source, type=type)
    for tag_type, vlan in tags:
        tag = Dot1AD(vlan=vlan) if tag_type == 0x88A8 else Dot1Q(vlan=vlan)
        header.lastlayer().type = tag_type
        header = header / tag
    if tags and type is not None:
        header.lastlayer().type = type
    return header


def ip4(source=CLIENT4, destination=WEB4, **fields):
    return IP(src=source, dst=destination, **{"id": 0x1234, **fields})


def ip6(source=CLIENT6, destination=WEB6, **fields):
    return IPv6(src=source, dst=destination, **fields)


def tcp(destination_port=80, source_port=None, flags="S", **fields):
    return TCP(sport=source_port or port(), dport=destination_port, flags=flags, seq=1000, **fields)


def udp(destination_port=53, source_port=None, **fields):
    return UDP(sport=source_port or port(), dport=destination_port, **fields)


def payload(size=20):
    return Raw(bytes((7 * i + 3) % 256 for i in range(size)))


@functools.lru_cache(maxsize=None)
def twin(variant):
    return Twin(VARIANTS[variant])


def chosen_backend(packet, variant="base", service=None):
    """The backend that the twin gives a scapy packet (TCP or UDP, not tunnelled). `service`: asserts that it is this one's."""
    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    transport = packet.getlayer(TCP) or packet.getlayer(UDP)
    protocol = 6 if isinstance(transport, TCP) else 17
    found, backend = twin(variant).backend(network.src, network.dst, protocol, transport.sport, transport.dport)
    assert service is None or found["name"] == service, f"a row expects {service}, the twin says {found['name']}"
    assert backend is not None, "a row expects a backend where there is none"
    return backend


def fix_ttl_checksum(header):
    """20 or more bytes of an IPv4 header with TTL decremented; the checksum is corrected by the same amount (RFC 1624, eqn. 3), so
    that a wrong one stays as wrong as it was."""
    header = bytearray(header)
    before = header[8] << 8 | header[9]
    header[8] -= 1
    after = header[8] << 8 | header[9]
    total = (~(header[10] << 8 | header[11]) & 0xFFFF) + (~before & 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(header)


def dsr_bytes(frame, backend_mac, port_mac=PORT_MAC):
    """What dsr makes of a frame, by hand: both MAC addresses, TTL or hop limit, IPv4 checksum, nothing else."""
    frame = bytes(frame)
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    head = bytes.fromhex(backend_mac.replace(":", "") + port_mac.replace(":", "")) + frame[12:at + 2]
    network = frame[at + 2:]
    if network[0] >> 4 == 4:
        size = (network[0] & 15) * 4
        return head + fix_ttl_checksum(network[:size]) + network[size:]
    return head + network[:7] + bytes([network[7] - 1]) + network[8:]


def dsr_scapy(packet, backend_mac, port_mac=PORT_MAC):
    """The same by scapy: every checksum that the packet does not state is computed anew."""
    packet = packet.copy()
    packet[Ether].dst, packet[Ether].src = backend_mac, port_mac
    if IP in packet:
        packet[IP].ttl -= 1
    else:
        packet[IPv6].hlim -= 1
    return bytes(packet)


def forward(packet, variant="base", service=None):
    """A step: the scapy packet is forwarded to the backend that the twin says. Both oracles must agree where both can speak."""
    mac = chosen_backend(packet, variant, service)["mac"]
    by_hand = dsr_bytes(packet, mac, VARIANTS[variant].macs[0])
    if IP not in packet or packet[IP].chksum is None:
        by_scapy = dsr_scapy(packet, mac, VARIANTS[variant].macs[0])
        assert by_scapy == by_hand, f"the oracles disagree about {packet.summary()}"
    return packet, Forward(by_hand)


def drop(packet, reason):
    return packet, Drop(reason)


def kernel(packet):
    return packet, Kernel()


def describe(frame):
    """One readable line about a frame, for failures."""
    frame = bytes(frame)
    try:
        summary = Ether(frame).summary()
    except Exception as error:  # scapy may choke on what a row deliberately breaks
        summary = f"(scapy: {error})"
    return f"{len(frame)} B {summary} {frame[:54].hex()}{'...' if len(frame) > 54 else ''}"

