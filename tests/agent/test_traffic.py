"""Real TCP through the agent: curl on the client, Python's web server on the backend, no kernel tunnel module.

The encapsulator takes the balancer's place. Replies go to the client directly.
"""
import hashlib
import itertools
import pathlib
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from tests.agent.frames import ETHER, NEAR_MAC, gue_packet, inner4, inner6, outer4, outer6
from tests.agent.host import BACKEND4, BACKEND6, FRONTEND4, FRONTEND6, NEAR4, NEAR6, Host
from tests.lab.process import wait_until

HERE = pathlib.Path(__file__).resolve().parent
SIZE = 8 << 20
KINDS = [(mode, outer, inner) for mode, outer, inner in itertools.product(("ipip", "gue"), (4, 6), (4, 6))]
# How the agent is attached: its options, and the MTU of the other end. veth refuses native XDP if that is 9000.
PLACES = {"native": ((), 1500), "generic": ((), 9000), "tc": (("--hook", "tc"), 1500)}


def web_server(host):
    folder = host.dir / "files"
    folder.mkdir()
    content = bytes(range(256)) * (SIZE // 256)
    (folder / "file").write_bytes(content)
    command = ["/usr/bin/python3", "-m", "http.server", "80", "--bind", "::", "--directory", folder]
    server = host.spawn("web", command, host.backend)
    server.wait_listening(80)
    return hashlib.sha256(content).hexdigest()


def encapsulate(host, mode, outer, mtu=1400):
    """Sends the frontends' packets through a tunnel from now on. Returns the encapsulator's process."""
    ends = (NEAR4, BACKEND4) if outer == 4 else (NEAR6, BACKEND6)
    process = host.spawn(f"encapsulator-{time.monotonic_ns()}",
                         ["/usr/bin/python3", HERE / "encapsulator.py", "tun0", mtu, mode, *ends], host.near)
    wait_until(lambda: "LOWER_UP" in host.near.run("ip", "-o", "link", "show", "tun0", check=False).stdout, 30,
               lambda: f"tun0 is not up\n{process.tail()}")
    # The client uses the addresses of eth0, so replies arrive there.
    host.near.ip(f"route replace {FRONTEND4}/32 dev tun0 src {NEAR4}",
                 f"route replace {FRONTEND6}/128 dev tun0 src {NEAR6}")
    return process


def curl(host, inner, *options, timeout_s=30):
    url = f"http://{FRONTEND4}/file" if inner == 4 else f"http://[{FRONTEND6}]/file"
    out = host.dir / "download"
    out.unlink(missing_ok=True)
    result = host.near.run("curl", "-sS", "-o", out, "--max-time", timeout_s, *options, url, check=False)
    return result, hashlib.sha256(out.read_bytes()).hexdigest() if out.exists() else None


@pytest.fixture(scope="module", params=PLACES)
def served(request):
    options, near_mtu = PLACES[request.param]
    with Host() as host:
        host.near.ip(f"link set eth0 mtu {near_mtu}")
        host.digest = web_server(host)
        said = host.attach(*options)
        assert request.param in said
        yield host
        host.agent("detach", "eth0")


@pytest.mark.parametrize("mode,outer,inner", KINDS, ids=[f"{m}-{i}in{o}" for m, o, i in KINDS])
def test_a_download_passes_through_each_kind_of_tunnel(served, mode, outer, inner):
    encapsulator = encapsulate(served, mode, outer)
    before = served.counters()
    try:
        result, digest = curl(served, inner)
    finally:
        encapsulator.kill()
    assert result.returncode == 0, result.stderr
    assert digest == served.digest
    after = served.counters()
    rose = {name for name in after if after[name] > before[name]}
    assert f"{mode}_delivered" in rose
    assert rose <= {f"{mode}_delivered", "not_a_tunnel"}  # ARP and ND are not_a_tunnel


@pytest.fixture
def host():
    with Host() as made:
        yield made


@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_only_tunnels_from_listed_balancers_are_accepted(host, hook):
    web_server(host)
    host.attach("--hook", hook, balancers=["10.0.0.2"])
    encapsulate(host, "gue", 4)
    assert curl(host, 4, timeout_s=1.5)[0].returncode == 28  # timed out
    stranger = host.counters()
    assert stranger["not_a_balancer"] > 0 and stranger["gue_delivered"] == 0
    host.agent("balancers", "add", NEAR4)
    assert host.agent("balancers", "list").stdout.split("\n")[:-1] == ["eth0 10.0.0.1", "eth0 10.0.0.2"]
    assert curl(host, 4)[0].returncode == 0
    host.agent("balancers", "remove", NEAR4)
    assert curl(host, 4, timeout_s=1.5)[0].returncode == 28
    assert host.counters()["not_a_balancer"] > stranger["not_a_balancer"]


def test_without_the_agent_the_kernel_accepts_no_tunnel(host):
    web_server(host)
    encapsulate(host, "ipip", 4)
    assert curl(host, 4, timeout_s=1.5)[0].returncode == 28
    host.attach()
    assert curl(host, 4)[0].returncode == 0
    host.agent("detach", "eth0")
    assert curl(host, 4, timeout_s=1.5)[0].returncode == 28


def test_replacing_the_agent_breaks_no_download(host):
    digest = web_server(host)
    host.attach()
    encapsulate(host, "gue", 6)
    out = host.dir / "slow"
    download = host.spawn("curl", ["curl", "-sS", "-o", out, "--limit-rate", "1M", "--max-time", 60,
                                   f"http://{FRONTEND4}/file"], host.near)
    wait_until(lambda: out.exists() and out.stat().st_size > 0, 30,
               lambda: f"curl receives nothing\n{download.tail()}")
    replaced = 0
    while download.running():
        # It also moves between the hooks. One program is attached at every moment.
        assert "replaced" in host.attach("--hook", ("xdp", "tc")[replaced % 2])
        replaced += 1
    assert download.wait(1) == 0, download.tail()
    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest
    assert replaced >= 2  # there and back
    assert host.counters()["not_a_balancer"] == 0


@pytest.mark.parametrize("inner", [4, 6])
def test_clamps_the_mss_of_frontends_only(host, inner):
    web_server(host)
    host.attach("--clamp-mss", "1234")
    encapsulate(host, "ipip", 4, mtu=1500)
    own = BACKEND4 if inner == 4 else BACKEND6
    frontend = FRONTEND4 if inner == 4 else FRONTEND6
    with host.packet_socket(host.near) as wire:  # only headers: a whole file would fill its buffer
        assert curl(host, inner, "--head")[0].returncode == 0
        syn_ack = next_syn_ack(wire, frontend)
        assert dict(syn_ack[TCP].options)["MSS"] == 1234
        assert checksum_is_right(syn_ack)
        clamped = host.counters()["mss_clamped"]
        assert clamped >= 1  # more if the SYN-ACK is retransmitted
        host.near.run("curl", "-sS", "--head", "-o", "/dev/null", f"http://{own if inner == 4 else f'[{own}]'}/file")
        assert dict(next_syn_ack(wire, own)[TCP].options)["MSS"] == (1460 if inner == 4 else 1440)
    assert host.counters()["mss_clamped"] == clamped


def test_clamp_never_raises_the_mss(host):
    web_server(host)
    host.attach("--clamp-mss", "8000")
    encapsulate(host, "ipip", 4, mtu=1500)
    with host.packet_socket(host.near) as wire:
        assert curl(host, 4, "--head")[0].returncode == 0
        assert dict(next_syn_ack(wire, FRONTEND4)[TCP].options)["MSS"] == 1460
    assert host.counters()["mss_clamped"] == 0


def next_syn_ack(wire, source):
    while True:
        packet = Ether(wire.recv(65536))
        if TCP in packet and packet[TCP].flags == "SA" and packet.payload.src == source:
            return packet


def checksum_is_right(packet):
    again = packet.copy()
    del again[TCP].chksum
    if IP in again:
        del again[IP].chksum
    return bytes(Ether(bytes(again)))[14:] == bytes(packet)[14:]


@pytest.mark.parametrize("place", PLACES)
def test_frames_on_the_wire_are_counted_once_each(host, place):
    """Also with VLAN tags. At TC they are in the packet's metadata, since the kernel has removed them."""
    options, near_mtu = PLACES[place]
    host.near.ip(f"link set eth0 mtu {near_mtu}")
    assert place in host.attach(*options)
    frames = [ETHER / Dot1Q(vlan=100) / outer4(4) / inner4(), ETHER / gue_packet(outer6(17), inner6()),
              ETHER / outer6(4) / inner4(), ETHER / Dot1Q(vlan=100) / gue_packet(outer4(17), inner6())]
    before = host.counters()
    with host.packet_socket(host.near) as wire:
        for frame in frames * 25:
            wire.send(bytes(frame))
    after = wait_until(lambda: (now := host.counters())["gue_delivered"] - before["gue_delivered"] >= 50 and now, 20,
                       lambda: f"50 GUE packets are not counted: {host.counters()}")
    assert after["ipip_delivered"] - before["ipip_delivered"] == 50
    assert after["gue_delivered"] - before["gue_delivered"] == 50
    assert after["adjust_failed"] == 0


@pytest.mark.parametrize("place", ["native", "generic"])
def test_the_kernel_sees_the_inner_packet_on_the_same_interface(host, place):
    options, near_mtu = PLACES[place]
    host.near.ip(f"link set eth0 mtu {near_mtu}")
    host.attach(*options)
    inner = inner4(tos=0xb8)
    with host.packet_socket(host.backend) as seen, host.packet_socket(host.near) as wire:
        wire.send(bytes(ETHER / Dot1Q(vlan=100) / outer6(4) / inner))
        wire.send(bytes(ETHER / gue_packet(outer4(17), inner)))
        found = []
        while len(found) < 2:
            packet = Ether(seen.recv(65536))
            if packet.src == NEAR_MAC and IP in packet and packet[IP].dst == FRONTEND4:
                found.append(packet)
    assert all(bytes(packet[IP]) == bytes(inner) for packet in found)
    assert all(IPv6 not in packet for packet in found)
