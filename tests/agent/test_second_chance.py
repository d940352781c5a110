"""Second chance: a backend without a socket for a packet sends it on to the next candidate of the packet's list."""
import hashlib
import json
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from tests.agent.frames import ETHER, STRANGER4, STRANGER6, gue_packet, inner4, inner6, outer4, outer6
from tests.agent.host import (BACKEND4, BACKEND6, BACKEND_MAC, FRONTEND4, FRONTEND6, NEAR4, NEAR6, NEAR_MAC,
                              OFFLOADS_OFF, Host, counter_kinds)
from tests.agent.test_traffic import HERE, SIZE
from tests.lab.process import run, wait_until

KINDS = counter_kinds()
TC_ACT_SHOT, TC_ACT_REDIRECT, TC_ACT_UNSPEC = 2, 7, 0xFFFFFFFF
PEERS4, PEERS6 = ("10.0.0.12", "10.0.0.13"), ("2001:db8:a::12", "2001:db8:a::13")


def candidates(addresses, following=0, version=1, count=None, reserved=0):
    """Packs a candidate list (docs/second-chance.md)."""
    packed = b"".join(bytes(IPv6(dst=a))[24:40] if ":" in a else bytes(IP(dst=a))[16:20] for a in addresses)
    six = 8 if any(":" in a for a in addresses) else 0
    return bytes([0xFA, version << 4 | six | (len(addresses) if count is None else count), following, reserved]) + \
        b"\0\0\0\x2a" + packed


def tcp4(flags="A"):
    return IP(src="198.51.100.7", dst=FRONTEND4, ttl=57, id=4711) / TCP(sport=4000, dport=80, flags=flags) / \
        Raw(b"more")


def tcp6(flags="A"):
    return IPv6(src="2001:db8:c::7", dst=FRONTEND6, hlim=57) / TCP(sport=4000, dport=80, flags=flags) / Raw(b"more")


def packet(inner, data, six=False, **outer):
    if six:
        return bytes(ETHER / gue_packet(outer6(17, **outer), inner, private=data))
    return bytes(ETHER / gue_packet(outer4(17, **outer), inner, private=data))


def rows():
    """Yields (name, frame, counter, frame afterwards or None)."""
    both4, both6 = candidates(PEERS4), candidates(PEERS6)
    for inner in (tcp4, tcp6):
        for six, data, all_, own in ((False, both4, PEERS4, BACKEND4), (True, both6, PEERS6, BACKEND6)):
            family, ttl = ("v6", "hlim") if six else ("v4", "ttl")
            here = f"{inner.__name__} over {family}: "
            bare = bytes(ETHER / inner())
            yield here + "no socket", packet(inner(), data, six), "sent_on", \
                packet(inner(), candidates(all_, 1), six, src=own, dst=all_[0], **{ttl: 63})
            yield here + "sent on by a peer", packet(inner(), candidates(all_, 1), six, src=all_[1], **{ttl: 63}), \
                "sent_on", packet(inner(), candidates(all_, 2), six, src=own, dst=all_[1], **{ttl: 62})
            yield here + "no candidate is left", packet(inner(), candidates(all_, 2), six, src=all_[1]), \
                "gue_delivered", bare
            empty = candidates(()) if not six else b"\xfa\x18\0\0\0\0\0\x2a"
            yield here + "an empty list", packet(inner(), empty, six), "gue_delivered", bare
            yield here + "a SYN", packet(inner("S"), data, six), "gue_delivered", bytes(ETHER / inner("S"))
            yield here + "a SYN with ECN", packet(inner("SEC"), data, six), "gue_delivered", bytes(ETHER / inner("SEC"))
            yield here + "a SYN-ACK", packet(inner("SA"), data, six), "sent_on", \
                packet(inner("SA"), candidates(all_, 1), six, src=own, dst=all_[0], **{ttl: 63})
            yield here + "own address in the list", packet(inner(), candidates((own, all_[1])), six), "sent_on", \
                packet(inner(), candidates((own, all_[1]), 2), six, src=own, dst=all_[1], **{ttl: 63})
            yield here + "only the own address in the list", packet(inner(), candidates((own,)), six), \
                "gue_delivered", bare
            yield here + "TTL 1", packet(inner(), data, six, **{ttl: 1}), "send_on_failed", None
            yield here + "sent by a peer with next 0", packet(inner(), data, six, src=all_[1]), "not_a_balancer", None
            yield here + "a peer without a list", packet(inner(), b"", six, src=all_[1]), "not_a_balancer", None
            stranger = STRANGER6 if six else STRANGER4
            yield here + "an unlisted source", packet(inner(), candidates(all_, 1), six, src=stranger), \
                "not_a_balancer", None
            for name, wrong in (("five candidates", candidates(all_, count=5)), ("too short", data[:-4]),
                                ("version 2", candidates(all_, version=2)), ("next past the end", candidates(all_, 3)),
                                ("reserved field set", candidates(all_, reserved=1)), ("no header", data[:4]),
                                ("of the other family", both4 if six else both6)):
                yield here + f"invalid list: {name}", packet(inner(), wrong, six), "gue_delivered", bare
    for inner in (inner4(), inner6()):
        yield f"UDP {inner.version}", packet(inner, both4), "gue_delivered", bytes(ETHER / inner)
    fragment = tcp4()
    fragment.flags = "MF"
    yield "a fragment", packet(fragment, both4), "gue_delivered", bytes(ETHER / fragment)
    yield "IPIP of a peer", bytes(ETHER / outer4(4, src=PEERS4[0]) / tcp4()), "foreign_ipip", \
        bytes(ETHER / outer4(4, src=PEERS4[0]) / tcp4())
    summed = bytes(ETHER / gue_packet(outer4(17), tcp4(), private=both4, udp={"chksum": 0x1234}))
    yield "a UDP checksum", summed, "sent_on", \
        packet(tcp4(), candidates(PEERS4, 1), src=BACKEND4, dst=PEERS4[0], ttl=63)


ROWS = list(rows())
_VERDICTS = {"drop": TC_ACT_SHOT, "forward": TC_ACT_REDIRECT}


@pytest.fixture(scope="module")
def attached():
    with Host() as host:
        host.attach("--hook", "tc", *[word for peer in PEERS4 + PEERS6 for word in ("--peer", peer)],
                    balancers=(NEAR4, NEAR6))
        host.backend.ip("link set eth0 down")
        yield host
        host.agent("detach", "eth0")


@pytest.mark.parametrize("name,frame,counter,expected", ROWS, ids=[row[0] for row in ROWS])
def test_a_frame_raises_its_counter_and_leaves_as_the_row_says(attached, name, frame, counter, expected):
    before = attached.counters()
    verdict, after = attached.run_program(frame)
    changed = {key: value - before[key] for key, value in attached.counters().items() if value != before[key]}
    assert changed == {counter: 1}
    assert verdict & 0xFFFFFFFF == _VERDICTS.get(KINDS[counter], TC_ACT_UNSPEC)
    if expected is not None:
        assert after.hex() == expected.hex()


def test_without_peers_a_candidate_list_is_ignored():
    with Host() as host:
        host.attach("--hook", "tc", balancers=(NEAR4,))
        host.backend.ip("link set eth0 down")
        before = host.counters()
        host.run_program(packet(tcp4(), candidates(PEERS4)))
        host.run_program(packet(tcp4(), candidates(PEERS4, 1), src=PEERS4[0]))
        after = host.counters()
        assert after["gue_delivered"] - before["gue_delivered"] == 1
        assert after["not_a_balancer"] - before["not_a_balancer"] == 1


def test_peers_need_the_tc_hook():
    with Host() as host:
        refused = host.agent("attach", "eth0", "--balancer", NEAR4, "--peer", PEERS4[0], check=False)
        assert refused.returncode == 1 and "--hook tc" in refused.stderr


class TwoBackends(Host):
    """Two backends on one switch, 10.0.0.11 and 10.0.0.12. Each has an agent whose peer is the other backend."""

    def make_link(self):
        self.switch, self.other = self._namespace("switch"), self._namespace("other")
        self.switch.ip("link add name br0 type bridge mcast_snooping 0 forward_delay 0", "link set br0 up")
        for number, (namespace, mac, end) in enumerate(((self.near, NEAR_MAC, "1"), (self.backend, BACKEND_MAC, "11"),
                                                        (self.other, "02:00:00:00:00:12", "12"))):
            self.switch.ip(f"link add name port{number} type veth peer name eth0 address {mac} netns {namespace.name}",
                           f"link set port{number} master br0 up")
            self.switch.run("ethtool", "-K", f"port{number}", *OFFLOADS_OFF)
            namespace.run("ethtool", "-K", "eth0", *OFFLOADS_OFF)
            namespace.ip("link set eth0 up", f"address add 10.0.0.{end}/24 dev eth0",
                         f"address add 2001:db8:a::{end}/64 dev eth0 nodad")
        self.other.ip(f"address add {FRONTEND4}/32 dev lo", f"address add {FRONTEND6}/128 dev lo nodad")
        for namespace in (self.backend, self.other):  # as on backends of dsr: never answer ARP for frontends
            namespace.sysctl({"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2})

    def agent_of(self, namespace, *words):
        """Runs the namespace's agent. Each agent has its own BPF pins, below this run's folder."""
        return run(["nsenter", f"--net=/run/netns/{namespace.name}", self.agent_program, "--pins",
                    self.pins / namespace.name, *words])

    def attach_both(self):
        self.agent("status", check=False)  # makes the folder of the BPF pins
        self.pins.mkdir(exist_ok=True)
        for namespace, peers in ((self.backend, (PEERS4[0], PEERS6[0])), (self.other, (BACKEND4, BACKEND6))):
            self.agent_of(namespace, "attach", "eth0", "--hook", "tc", "--balancer", NEAR4, "--balancer", NEAR6,
                          "--peer", peers[0], "--peer", peers[1])

    def counters_of(self, namespace):
        return json.loads(self.agent_of(namespace, "status", "eth0", "--json").stdout)["interfaces"][0]["counters"]

    def web(self, namespace):
        folder = self.dir / f"files-{namespace.name}"
        folder.mkdir()
        content = bytes(range(256)) * (SIZE // 256)
        (folder / "file").write_bytes(content)
        command = ["/usr/bin/python3", "-m", "http.server", "80", "--bind", "::", "--directory", folder]
        server = self.spawn(f"web-{namespace.name}", command, namespace)
        server.wait_listening(80)
        return hashlib.sha256(content).hexdigest()

    def tunnel_to(self, destination, data=b""):
        """Sends the frontends' packets through GUE to that backend from now on. Returns the encapsulator's process."""
        source = NEAR6 if ":" in destination else NEAR4
        command = ["/usr/bin/python3", HERE / "encapsulator.py", "tun0", 1300, "gue", source, destination, data.hex()]
        process = self.spawn(f"encapsulator-{time.monotonic_ns()}", command, self.near)
        wait_until(lambda: "LOWER_UP" in self.near.run("ip", "-o", "link", "show", "tun0", check=False).stdout, 30,
                   lambda: f"tun0 is not up\n{process.tail()}")
        self.near.ip(f"route replace {FRONTEND4}/32 dev tun0 src {NEAR4}",
                     f"route replace {FRONTEND6}/128 dev tun0 src {NEAR6}")
        return process


@pytest.fixture
def two():
    with TwoBackends() as host:
        host.attach_both()
        yield host


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_an_established_connection_is_sent_on_to_the_backend_that_has_it(two, outer, inner):
    digest = two.web(two.other)
    two.web(two.backend)
    first, second = (BACKEND4, PEERS4[0]) if outer == 4 else (BACKEND6, PEERS6[0])
    encapsulator = two.tunnel_to(second)
    # A small receive buffer, so that the file does not fit in it before the other balancer takes over.
    two.near.sysctl({"net.ipv4.tcp_rmem": "4096 65536 131072"})
    out = two.dir / "download"
    url = f"http://{FRONTEND4}/file" if inner == 4 else f"http://[{FRONTEND6}]/file"
    download = two.spawn("curl", ["curl", "-sS", "-o", out, "--limit-rate", "1M", "--max-time", 60, url], two.near)
    wait_until(lambda: out.exists() and out.stat().st_size > 1 << 20, 20,
               lambda: f"curl does not receive 1 MiB\n{download.tail()}")
    # Another balancer takes over and sends the flow to the first backend.
    encapsulator.kill()
    two.tunnel_to(first, candidates((second,)))
    assert download.wait(60) == 0, download.tail()
    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest
    assert two.counters_of(two.backend)["sent_on"] > 10
    assert two.counters_of(two.other)["sent_on"] == 0
    # A new connection goes to the first backend and is not sent on.
    sent_on = two.counters_of(two.backend)["sent_on"]
    again = two.near.run("curl", "-sS", "-o", two.dir / "again", "--max-time", 30, url, check=False)
    assert again.returncode == 0, again.stderr
    assert two.counters_of(two.backend)["sent_on"] - sent_on < 20  # the end of the first connection


@pytest.mark.parametrize("inner", [4, 6])
def test_the_ack_of_a_syn_cookie_is_not_sent_on(two, inner):
    two.web(two.backend)
    two.backend.sysctl({"net.ipv4.tcp_syncookies": 2})  # always
    two.tunnel_to(BACKEND4, candidates((PEERS4[0],)))
    url = f"http://{FRONTEND4}/file" if inner == 4 else f"http://[{FRONTEND6}]/file"
    result = two.near.run("curl", "-sS", "-o", two.dir / "download", "--max-time", 30, url, check=False)
    assert result.returncode == 0, result.stderr
    assert two.counters_of(two.backend)["sent_on"] == 0
