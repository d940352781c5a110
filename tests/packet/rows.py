"""What a row is, and the words to write one with.

A row is a sentence of the packet rules, frames that go in, and for each frame what must become of it (expect.py). It is written once
and runs under each of its variants: every forwarding mode (variants.MODES) unless it says otherwise. So an expectation may be a
question to the variant's World (world.py), asked once for each:

    row("tcp4-syn", "...", forward(ether() / ip4() / tcp()))         the backend and the headers are the variant's
    row("ttl4-1", "...", expired(ether() / ip4(ttl=1) / tcp()))      dropped or not, as the mode's rules say
    row("mtu4", "...", lambda world: [forward(... world.path_mtu ...)])   steps that themselves depend on the variant

What leaves is made by scapy or by hand from the rules (oracle.py), the choice of backend by twin.py: nothing in an expectation comes
from Fairlead. Rows are written in rows_*.py with the functions below; all_rows() collects them. They do not depend on each other:
their flows differ, so any set of a variant's rows may run together, in any order.
"""
import dataclasses
import functools
import importlib
import itertools
import logging
import pathlib
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)  # it remarks on what rows break on purpose

from scapy.all import Dot1AD, Dot1Q, Ether, IP, IPv6, Raw, TCP, UDP

from tests.packet import oracle
from tests.packet.expect import Drop, Kernel, totals
from tests.packet.oracle import Frame
from tests.packet.variants import CLIENT4, CLIENT6, CLIENT_MAC, MODES, PORT_MAC, VARIANTS, WEB4, WEB6
from tests.packet.world import World, flow_of  # noqa: F401 (rows take flow_of from here)


@dataclasses.dataclass(frozen=True)
class Buffer:
    """What a frame lies in, where that matters; nothing of it shows in a pcap file."""
    headroom: int = 128
    linear: int = 0  # bytes that are contiguous; 0: all
    nic_bad_checksum: bool = False


class Framed(bytes):
    """A frame in a buffer of its own kind."""
    buffer = None


@dataclasses.dataclass
class Row:
    name: str
    rule: str
    variant: str
    steps: list  # of (frame bytes, expectation)
    records: int = None  # flows that must have been recorded; None: not judged
    source: str = ""  # the file that it is written in

    @property
    def in_pcap(self):
        """False for rows about buffers, which only the replay in C++ can make."""
        return not any(isinstance(frame, Framed) for frame, _ in self.steps)

    @property
    def kind(self):
        """Rows of the same kind may be judged in one run: its counters cannot hide one behind another."""
        if any(getattr(expectation, "late", False) for _, expectation in self.steps):
            return "fragments"
        kinds = {expectation.verdict for _, expectation in self.steps}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    def counters(self):
        return totals([expectation for _, expectation in self.steps])


_rows = []
_ports = itertools.count(20000)


@functools.lru_cache(maxsize=None)
def world(variant):
    return World(VARIANTS[variant])


def row(name, rule, *steps, variants=MODES, records=None):
    """Adds a row for each variant. `steps`: (frame, expectation or question) pairs, or functions from World to a list of them; frames
    are bytes or scapy packets. `records`: how many flows the row must leave recorded, judged in C++, where rows run alone."""
    source = pathlib.Path(sys._getframe(1).f_code.co_filename).stem
    built = [step if callable(step) else _built(step) for step in steps]
    for variant in variants:
        surroundings = world(variant)
        resolved = []
        for step in built:
            for data, expectation in map(_built, step(surroundings)) if callable(step) else [step]:
                resolved.append((data, expectation(surroundings, data) if callable(expectation) else expectation))
        _rows.append(Row(name, rule, variant, resolved, records, source))


def _built(step):
    frame, expectation = step
    return frame if isinstance(frame, bytes) else bytes(frame), expectation


def all_rows():
    """Every row of every rows_*.py beside this file, in order of the files' names."""
    if not _rows:
        for path in sorted(pathlib.Path(__file__).parent.glob("rows_*.py")):
            importlib.import_module(f"tests.packet.{path.stem}")
        names = [(one.variant, one.name) for one in _rows]
        assert len(names) == len(set(names)), f"rows named twice: {sorted({name for name in names if names.count(name) > 1})}"
    return _rows


def port():
    """A client port that no other row uses."""
    return next(_ports)


# ---- frames --------------------------------------------------------------------------------------------------------


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
    return TCP(sport=source_port or port(), dport=destination_port, flags=flags, **{"seq": 1000, **fields})


def udp(destination_port=53, source_port=None, **fields):
    return UDP(sport=source_port or port(), dport=destination_port, **fields)


def payload(size=20):
    return Raw(bytes((7 * i + 3) % 256 for i in range(size)))


# ---- steps ---------------------------------------------------------------------------------------------------------


def _check_by_scapy(surroundings, packet, data, expectation):
    """dsr and nat: what the oracle did by hand must be what scapy makes of the packet, where scapy can speak."""
    if surroundings.mode not in ("dsr", "nat") or len(expectation.frames) != 1 or not isinstance(packet, Ether):
        return
    _, backend, _ = surroundings.choose(flow_of(packet))
    translates = surroundings.mode == "nat" and not any(service.get("mss_clamp") for service in surroundings.variant.services)
    layer = packet.getlayer(TCP) or packet.getlayer(UDP)
    if surroundings.mode == "nat" and (layer.chksum is not None or not translates):
        return  # stated checksums follow by the difference, which scapy does not do

    def change(network):
        if translates:
            network.dst = backend["address"]
            if backend.get("port"):
                network[layer.__class__].dport = backend["port"]

    assert oracle.agrees(packet, Frame(expectation.frames[0]).network, change), f"the oracles disagree about {packet.summary()}"


def forward(packet, service=None, flow=None):
    """A step: the packet leaves, whole, for the backend that the twin says. `flow`: where scapy cannot find it in the packet."""
    def ask(surroundings, data):
        expectation = surroundings.forward(data, flow or flow_of(packet), service)
        assert len(expectation.frames) == 1, f"{len(data)} B were to be forwarded whole"
        if flow is None:
            _check_by_scapy(surroundings, packet, data, expectation)
        return expectation
    return packet, ask


def cut(packet, pieces, flow=None):
    """A step: the packet leaves in that many pieces."""
    def ask(surroundings, data):
        expectation = surroundings.forward(data, flow or flow_of(packet))
        assert len(expectation.frames) == pieces, f"{len(expectation.frames)} pieces, not {pieces}"
        return expectation
    return packet, ask


def error_about(packet, flow, service=None):
    """A step: an ICMP error goes to the backend of the flow that it is about. `flow`: in the direction from client to frontend."""
    return packet, lambda surroundings, data: surroundings.forward(data, flow, service, about=True)


def fragment_of(flow, frame, late=False):
    """A step: a fragment goes where its flow goes. `late`: it comes before the first one, and waits."""
    return frame, lambda surroundings, data: surroundings.forward(data, flow, late=late)


def expired(packet, error=True, flow=None):
    """A step: TTL or hop limit 1. `error`: whether time exceeded may be said."""
    return packet, lambda surroundings, data: surroundings.expired(data, flow or flow_of(packet), error)


def refused(packet):
    """A step: no backend, and the client is told so."""
    return packet, lambda surroundings, data: surroundings.refused(data)


def too_big(packet, error=True):
    """A step: larger than the path's MTU and not to be cut. `error`: whether that may be said."""
    return packet, lambda surroundings, data: surroundings.too_big(data, error)


def reply(packet, flow=None, late=False):
    """A step, nat: a backend's packet to a client leaves as the frontend's."""
    return packet, lambda surroundings, data: surroundings.reply(data, flow or flow_of(packet), late)


def reply_error(packet, flow):
    """A step, nat: an ICMP error on its way to a client. `flow`: what it quotes, client to backend."""
    return packet, lambda surroundings, data: surroundings.reply_error(data, flow)


def in_buffer(step, buffer):
    """The step, its frame in that buffer."""
    packet, expectation = step
    framed = Framed(bytes(packet))
    framed.buffer = buffer
    return framed, expectation


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
