"""Packet rows, and the functions to write them.

A row is a packet rule, input frames, and the expected result of each frame (expect.py). It runs under each of its
variants. The default is every forwarding mode (variants.MODES). An expectation can be a function of the variant's World
(world.py), which is called for each variant:

    row("tcp4-syn", "...", forward(ether() / ip4() / tcp()))         backend and headers depend on the variant
    row("ttl4-1", "...", expired(ether() / ip4(ttl=1) / tcp()))      dropped or not, by the mode's rules
    row("mtu4", "...", lambda world: [forward(... world.path_mtu ...)])   steps that depend on the variant

Expected frames are made by scapy, or by hand from the rules (oracle.py). twin.py selects the backend. No expectation
comes from Fairlead. The files rows_*.py contain the rows; all_rows() collects them. All rows have different flows, so
any rows of a variant can run together in any order.
"""
import dataclasses
import fcntl
import functools
import hashlib
import importlib
import itertools
import logging
import pathlib
import pickle
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)  # scapy warns about frames that are malformed on purpose

import scapy
from scapy.all import Dot1AD, Dot1Q, Ether, IP, IPv6, Raw, TCP, UDP

from tests.packet import oracle
from tests.packet.expect import Drop, Kernel, totals
from tests.packet.oracle import Frame
from tests.packet.variants import CLIENT4, CLIENT6, CLIENT_MAC, MODES, PORT_MAC, VARIANTS, WEB4, WEB6
from tests.packet.world import World, flow_of  # noqa: F401 (rows take flow_of from here)


@dataclasses.dataclass(frozen=True)
class Buffer:
    """The buffer of a frame, for rows that depend on it. pcap files do not have this information."""
    headroom: int = 128
    linear: int = 0  # contiguous bytes; 0: all
    nic_bad_checksum: bool = False


class Framed(bytes):
    """A frame with a given buffer."""
    buffer = None


@dataclasses.dataclass
class Row:
    name: str
    rule: str
    variant: str
    steps: list  # of (frame bytes, expectation)
    records: int = None  # how many flows must be recorded; None: not checked
    source: str = ""  # the file that contains it

    @property
    def in_pcap(self):
        """False for rows about buffers. Only the replay in C++ can run them."""
        return not any(isinstance(frame, Framed) for frame, _ in self.steps)

    @property
    def kind(self):
        """Rows of the same kind can share a run: one row's counters cannot hide an error of another's."""
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
    """Adds a row for each variant.

    `steps`: pairs (frame, expectation or function that returns it), or functions from World to a list of such pairs.
    Frames are bytes or scapy packets. `records`: how many flows must be recorded after the row. Only the replay in C++
    checks it, because rows run alone there.
    """
    source = pathlib.Path(sys._getframe(1).f_code.co_filename).stem
    built = [step if callable(step) else _built(step) for step in steps]
    for variant in variants:
        its_world = world(variant)
        resolved = []
        for step in built:
            for data, expectation in map(_built, step(its_world)) if callable(step) else [step]:
                resolved.append((data, expectation(its_world, data) if callable(expectation) else expectation))
        _rows.append(Row(name, rule, variant, resolved, records, source))


def _built(step):
    frame, expectation = step
    return frame if isinstance(frame, bytes) else bytes(frame), expectation


def all_rows():
    """The rows of all files rows_*.py, in the order of the files' names.

    Making them takes half a minute of CPU time, and several suites need them. So they are kept in `.cache/`, until a
    file of this folder changes that is not a test. Two processes that need them at the same time make them once.
    """
    if not _rows:
        try:
            _CACHE.parent.mkdir(exist_ok=True)
            lock = open(_CACHE.with_suffix(".lock"), "wb")
        except OSError:  # a clone that this user cannot write to
            _make_rows()
            return _rows
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _read_cache():
                _make_rows()
                _write_cache()
    return _rows


def _make_rows():
    for path in sorted(_FOLDER.glob("rows_*.py")):
        importlib.import_module(f"tests.packet.{path.stem}")
    names = [(one.variant, one.name) for one in _rows]
    assert len(names) == len(
        set(names)), f"row names used twice: {sorted({name for name in names if names.count(name) > 1})}"


_FOLDER = pathlib.Path(__file__).resolve().parent
_CACHE = _FOLDER.parents[1] / ".cache/packet-rows.pickle"


def _digest():
    """Of all that the rows depend on."""
    digest = hashlib.sha256(f"{sys.version} {scapy.VERSION}".encode())
    for path in sorted(path for path in _FOLDER.glob("*.py") if not path.name.startswith("test_")):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.digest()


def _read_cache():
    """False if there is no cache, or that of other files. Rows of the cache are then not taken."""
    global _ports
    try:
        with open(_CACHE, "rb") as file:
            if file.read(32) != _digest():
                return False
            rows, next_port = pickle.load(file)
    except (OSError, EOFError, pickle.UnpicklingError):
        return False
    _rows.extend(rows)
    _ports = itertools.count(next_port)
    return True


def _write_cache():
    global _ports
    next_port = next(_ports)
    _ports = itertools.count(next_port)
    made = _CACHE.with_suffix(".new")
    with open(made, "wb") as file:
        file.write(_digest())
        pickle.dump((_rows, next_port), file, pickle.HIGHEST_PROTOCOL)
    made.replace(_CACHE)


def port():
    """A client port that no other row uses."""
    return next(_ports)


# ---- frames --------------------------------------------------------------------------------------------------------


def ether(destination=PORT_MAC, source=CLIENT_MAC, tags=(), type=None):
    """The Ethernet header with tags: ((0x8100, vlan), ...), outermost first."""
    header = Ether(dst=destination, src=source)
    if type is not None and not tags:
        header = Ether(dst=destination, src=source, type=type)
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


def _check_by_scapy(its_world, packet, data, expectation):
    """dsr and nat: scapy must make the same packet as the oracle made by hand, where scapy can."""
    if its_world.mode not in ("dsr", "nat") or len(expectation.frames) != 1 or not isinstance(packet, Ether):
        return
    _, backend, _ = its_world.choose(flow_of(packet))
    translates = its_world.mode == "nat" and \
        not any(service.get("mss_clamp") for service in its_world.variant.services)
    layer = packet.getlayer(TCP) or packet.getlayer(UDP)
    if its_world.mode == "nat" and (layer.chksum is not None or not translates):
        return  # nat corrects checksums that the packet sets by the difference, which scapy cannot do

    def change(network):
        if translates:
            network.dst = backend["address"]
            if backend.get("port"):
                network[layer.__class__].dport = backend["port"]

    assert oracle.agrees(packet, Frame(expectation.frames[0]).network, change), \
        f"scapy and the oracle make different packets of {packet.summary()}"


def forward(packet, service=None, flow=None):
    """A step: the packet is forwarded unfragmented to the backend that the twin selects.

    `flow`: the packet's flow, if scapy cannot find it in the packet.
    """
    def expect(its_world, data):
        expectation = its_world.forward(data, flow or flow_of(packet), service)
        assert len(expectation.frames) == 1, f"a row expects that {len(data)} bytes need no fragmentation"
        if flow is None:
            _check_by_scapy(its_world, packet, data, expectation)
        return expectation
    return packet, expect


def cut(packet, pieces, flow=None):
    """A step: the packet leaves in that many fragments."""
    def expect(its_world, data):
        expectation = its_world.forward(data, flow or flow_of(packet))
        assert len(expectation.frames) == pieces, \
            f"a row expects {pieces} fragments, the oracle makes {len(expectation.frames)}"
        return expectation
    return packet, expect


def error_about(packet, flow, service=None):
    """A step: an ICMP error goes to the backend of the quoted flow. `flow`: its direction from client to frontend."""
    return packet, lambda its_world, data: its_world.forward(data, flow, service, about=True)


def fragment_of(flow, frame, late=False):
    """A step: a fragment goes to its flow's backend. `late`: it arrives before the first fragment, and waits."""
    return frame, lambda its_world, data: its_world.forward(data, flow, late=late)


def expired(packet, error=True, flow=None):
    """A step: TTL or hop limit 1. `error`: an ICMP time exceeded may be sent."""
    return packet, lambda its_world, data: its_world.expired(data, flow or flow_of(packet), error)


def refused(packet):
    """A step: no backend, and the client gets a reset or an ICMP error."""
    return packet, lambda its_world, data: its_world.refused(data)


def too_big(packet, error=True):
    """A step: larger than the path's MTU, and must not be fragmented. `error`: an ICMP error may be sent."""
    return packet, lambda its_world, data: its_world.too_big(data, error)


def reply(packet, flow=None, late=False):
    """A step, nat: a backend's packet to a client leaves with the frontend as its source."""
    return packet, lambda its_world, data: its_world.reply(data, flow or flow_of(packet), late)


def reply_error(packet, flow):
    """A step, nat: an ICMP error to a client. `flow`: the quoted flow, from client to backend."""
    return packet, lambda its_world, data: its_world.reply_error(data, flow)


def in_buffer(step, buffer):
    """The step with its frame in that buffer."""
    packet, expectation = step
    framed = Framed(bytes(packet))
    framed.buffer = buffer
    return framed, expectation


def drop(packet, reason):
    return packet, Drop(reason)


def kernel(packet):
    return packet, Kernel()


def describe(frame):
    """One line about a frame, for failure messages."""
    frame = bytes(frame)
    try:
        summary = Ether(frame).summary()
    except Exception as error:  # scapy may fail on frames that are malformed on purpose
        summary = f"(scapy: {error})"
    return f"{len(frame)} B {summary} {frame[:54].hex()}{'...' if len(frame) > 54 else ''}"
