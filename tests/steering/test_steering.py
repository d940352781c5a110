"""The steering program and FrontendSteering, with the real net_af_xdp PMD over veth."""
import ipaddress
import queue

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, IPOption_NOP, UDPerror
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr,
                                ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from tests.agent.frames import ETHER
from tests.agent.host import (BACKEND4, BACKEND6, BPFTOOL, BUILD, FRONTEND4, FRONTEND6, NEAR4, NEAR6, NEAR_MAC,
                              mount_bpf_files)
from tests.lab.process import run, wait_until
from tests.steering.port import SharedNic, arrives_at_kernel, arrives_at_socket

OTHER4, OTHER6 = "203.0.113.11", "2001:db8::11"
BROADCAST = Ether(src=NEAR_MAC, dst="ff:ff:ff:ff:ff:ff")
MULTICAST = Ether(src=NEAR_MAC, dst="33:33:ff:00:00:10")


def stacked(layer, count):
    packet = layer()
    for _ in range(count - 1):
        packet = packet / layer()
    return packet


def to4(destination=FRONTEND4, **fields):
    return IP(src="198.51.100.7", dst=destination, **fields)


def to6(destination=FRONTEND6, **fields):
    return IPv6(src="2001:db8:c::7", dst=destination, **fields)


def error4():
    return to4() / ICMP(type=3, code=4) / IPerror(src=FRONTEND4, dst="198.51.100.7") / UDPerror(sport=7, dport=4000)


def solicitation(target, destination="ff02::1:ff00:10"):
    return IPv6(src=NEAR6, dst=destination, hlim=255) / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=NEAR_MAC)


TO_DATAPLANE = {
    "TCP": ETHER / to4() / TCP(dport=80),
    "TCP over IPv6": ETHER / to6() / TCP(dport=80),
    "UDP": ETHER / to4() / UDP(dport=53) / Raw(b"x"),
    "echo": ETHER / to4() / ICMP(),
    "echo over IPv6": ETHER / to6() / ICMPv6EchoRequest(),
    "ICMP error": ETHER / error4(),
    "ICMPv6 error": ETHER / to6() / ICMPv6PacketTooBig(mtu=1400) / Raw(b"\0" * 48),
    "first fragment": ETHER / to4(flags="MF") / UDP(dport=53) / Raw(b"\0" * 32),
    "later fragment": ETHER / to4(frag=100, proto=17) / Raw(b"\0" * 32),
    "IPv6 fragment": ETHER / to6() / IPv6ExtHdrFragment(nh=17, offset=100) / Raw(b"\0" * 32),
    "unknown protocol": ETHER / to4(proto=47) / Raw(b"\0" * 32),
    "IPv4 options": ETHER / to4(options=[IPOption_NOP()] * 8) / TCP(dport=80),
    "IPv6 extension header": ETHER / to6() / IPv6ExtHdrHopByHop() / TCP(dport=80),
    "one tag": ETHER / Dot1Q(vlan=5) / to4() / TCP(dport=80),
    "a service tag": ETHER / Dot1AD(vlan=5) / to6() / TCP(dport=80),
    "two tags": ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / to4() / TCP(dport=80),
    "ARP request": BROADCAST / ARP(op=1, hwsrc=NEAR_MAC, psrc=NEAR4, pdst=FRONTEND4),
    "ARP announcement": BROADCAST / ARP(op=1, hwsrc=NEAR_MAC, psrc=FRONTEND4, pdst=FRONTEND4),
    "ARP reply from the frontend": ETHER / ARP(op=2, hwsrc=NEAR_MAC, psrc=FRONTEND4, pdst=BACKEND4),
    "ARP with a tag": BROADCAST / Dot1Q(vlan=5) / ARP(op=1, hwsrc=NEAR_MAC, psrc=NEAR4, pdst=FRONTEND4),
    "solicitation": MULTICAST / solicitation(FRONTEND6),
    "solicitation by unicast": ETHER / solicitation(FRONTEND6, BACKEND6),
    "advertisement": MULTICAST / IPv6(src=NEAR6, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=FRONTEND6),
}
TO_KERNEL = {
    "TCP to the host": ETHER / to4(BACKEND4) / TCP(dport=22),
    "TCP to the host over IPv6": ETHER / to6(BACKEND6) / TCP(dport=22),
    "TCP to an address next to the frontend": ETHER / to4(OTHER4) / TCP(dport=80),
    "IPv6 to an address next to the frontend": ETHER / to6(OTHER6) / TCP(dport=80),
    "from the frontend": ETHER / IP(src=FRONTEND4, dst=BACKEND4) / TCP(dport=80),
    "tag, to the host": ETHER / Dot1Q(vlan=5) / to4(BACKEND4) / TCP(dport=22),
    "three tags": ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / Dot1Q(vlan=7) / to4() / TCP(dport=80),
    "ARP about the host": BROADCAST / ARP(op=1, hwsrc=NEAR_MAC, psrc=NEAR4, pdst=BACKEND4),
    "ARP of another hardware type": BROADCAST / ARP(hwtype=6, op=1, hwsrc=NEAR_MAC, psrc=NEAR4, pdst=FRONTEND4),
    "solicitation of the host": ETHER / solicitation(BACKEND6, BACKEND6),
    "router advertisement": MULTICAST / IPv6(src=NEAR6, dst="ff02::1", hlim=255) / ICMPv6ND_RA() / Raw(b"\0" * 24),
    "LLDP": Ether(src=NEAR_MAC, dst="01:80:c2:00:00:0e", type=0x88cc) / Raw(b"\2\7\4" + b"\0" * 60),
    "IPv4 cut": Ether(bytes(ETHER / to4())[:33]),
    "IPv6 cut": Ether(bytes(ETHER / to6())[:53]),
    "IPv4 in an IPv6 frame": Ether(src=NEAR_MAC, dst=ETHER.dst, type=0x86dd) / Raw(bytes(to4() / TCP(dport=80))),
}


# Backends of nat services answer clients through the balancer.
NAT4, NAT6, CLIENT4, CLIENT6 = "10.0.0.21", "2001:db8:a::21", "198.51.100.7", "2001:db8:c::7"
ANY_PORT4, ROUTER4 = "10.0.0.22", "192.0.2.1"
RANGE4, RANGE6, MANY4 = "10.0.0.24", "2001:db8:a::24", "10.0.0.25"
MANY = tuple(range(1000, 1200, 20))  # more ranges than an entry holds; the last ones are narrower
NAT_SOURCES = (f"{NAT4}:8080/tcp", f"{NAT4}:53/udp", f"[{NAT6}]:8080/tcp", f"{ANY_PORT4}:0/tcp", f"{RANGE4}:8000-8999/tcp",
               f"[{RANGE6}]:8000-8999/tcp", *[f"{MANY4}:{first}-{first + 9 - n // 8}/tcp" for n, first in enumerate(MANY)])


def reply4(source=NAT4, destination=CLIENT4, **fields):
    return IP(src=source, dst=destination, **fields)


def reply6(source=NAT6, destination=CLIENT6):
    return IPv6(src=source, dst=destination)


def quoting4(port=8080, protocol=TCP, to=NAT4, **fields):
    return Raw(bytes(IP(src=CLIENT4, dst=to, **fields) / protocol(sport=4000, dport=port))[:28])


NAT_TO_DATAPLANE = {
    "TCP": ETHER / reply4() / TCP(sport=8080, dport=4000),
    "TCP with options": ETHER / reply4(options=[IPOption_NOP()] * 12) / TCP(sport=8080),
    "TCP in a VLAN": ETHER / Dot1Q(vlan=5) / reply4() / TCP(sport=8080),
    "UDP": ETHER / reply4() / UDP(sport=53) / Raw(b"x"),
    "TCP over IPv6": ETHER / reply6() / TCP(sport=8080),
    "TCP behind extension headers": ETHER / reply6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=8080),
    "any port": ETHER / reply4(ANY_PORT4) / TCP(sport=12345),
    **{f"port {port} of a range": ETHER / reply4(RANGE4) / TCP(sport=port) for port in (8000, 8500, 8999)},
    **{f"port {port} of a range over IPv6": ETHER / reply6(RANGE6) / TCP(sport=port) for port in (8000, 8999)},
    **{f"port {port} of one range of ten": ETHER / reply4(MANY4) / TCP(sport=port) for port in (1000, 1149, 1160, 1168, 1180, 1188)},
    "later fragment of a range": ETHER / reply4(RANGE4, frag=100, proto=6) / Raw(b"\0" * 32),
    "error about a port of a range": ETHER / reply4(RANGE4) / ICMP(type=3, code=3) / quoting4(8500, to=RANGE4),
    "first fragment": ETHER / reply4(flags="MF") / UDP(sport=53) / Raw(b"\0" * 32),
    "later fragment": ETHER / reply4(frag=100, proto=17) / Raw(b"\0" * 32),
    "later fragment over IPv6": ETHER / reply6() / IPv6ExtHdrFragment(nh=6, offset=100) / Raw(b"\0" * 32),
    "first fragment over IPv6": ETHER / reply6() / IPv6ExtHdrFragment(nh=6, m=1) / TCP(sport=8080) / Raw(b"\0" * 32),
    "error from the backend": ETHER / reply4() / ICMP(type=3, code=3) / quoting4(53, UDP),
    "error from a router": ETHER / reply4(ROUTER4) / ICMP(type=11, code=0) / quoting4(),
    "error that quotes options": ETHER / reply4() / ICMP(type=3, code=1) / Raw(
        bytes(IP(src=CLIENT4, dst=NAT4, options=[IPOption_NOP()] * 4) / TCP(dport=8080))),
    "error over IPv6": ETHER / reply6() / ICMPv6TimeExceeded() / IPv6(src=CLIENT6, dst=NAT6) / TCP(dport=8080),
    "error over IPv6 that quotes an extension header": ETHER / reply6() / ICMPv6PacketTooBig(mtu=1400) / IPv6(
        src=CLIENT6, dst=NAT6) / IPv6ExtHdrDestOpt() / TCP(dport=8080),
}
NAT_TO_KERNEL = {
    "another port": ETHER / reply4() / TCP(sport=22, dport=4000),
    "another protocol": ETHER / reply4() / UDP(sport=8080),
    "no port of that protocol": ETHER / reply4(ANY_PORT4) / UDP(sport=12345),
    "another address": ETHER / reply4("10.0.0.23") / TCP(sport=8080),
    **{f"port {port} beside a range": ETHER / reply4(RANGE4) / TCP(sport=port) for port in (1, 7999, 9000, 65535)},
    **{f"port {port} between ten ranges": ETHER / reply4(MANY4) / TCP(sport=port) for port in (999, 1010, 1159, 1169, 1189)},
    "another protocol at a range's port": ETHER / reply4(RANGE4) / UDP(sport=8500),
    "to the port, not from it": ETHER / IP(src=CLIENT4, dst=NAT4) / TCP(dport=8080),
    "health check's answer": ETHER / reply4(destination=BACKEND4) / TCP(sport=8080, dport=51000),
    "health check's answer over IPv6": ETHER / reply6(destination=BACKEND6) / TCP(sport=8080, dport=51000),
    "fragment for the host": ETHER / reply4(destination=BACKEND4, frag=100, proto=17) / Raw(b"\0" * 32),
    "fragment of another address": ETHER / reply4("10.0.0.23", frag=100, proto=17) / Raw(b"\0" * 32),
    "fragment of another protocol": ETHER / reply4(ANY_PORT4, frag=100, proto=17) / Raw(b"\0" * 32),
    "echo of the backend": ETHER / reply4() / ICMP(),
    "error about another port": ETHER / reply4() / ICMP(type=3, code=3) / quoting4(22),
    "error about what came from it": ETHER / reply4() / ICMP(type=3, code=3) / Raw(
        bytes(IP(src=NAT4, dst=CLIENT4) / TCP(sport=8080))),
    "error that quotes a later fragment": ETHER / reply4() / ICMP(type=3, code=3) / quoting4(53, UDP, frag=100),
    "error about a health check": ETHER / reply4(destination=BACKEND4) / ICMP(type=3, code=3) / quoting4(),
    "broadcast": BROADCAST / reply4(destination="10.0.0.255") / UDP(sport=53),
    "ports cut": Ether(bytes(ETHER / reply4() / TCP(sport=8080))[:36]),
    "extension header cut": Ether(bytes(ETHER / reply6() / IPv6ExtHdrDestOpt(options=[]) / TCP(sport=8080))[:57]),
    "nine extension headers": ETHER / reply6() / stacked(IPv6ExtHdrDestOpt, 9) / TCP(sport=8080),
    "quoted ports cut": Ether(bytes(ETHER / reply4() / ICMP(type=3, code=3) / quoting4())[:64]),
}


@pytest.fixture(scope="module")
def nat():
    with SharedNic() as nic:
        nic.port = nic.start_ready(FRONTEND4, *NAT_SOURCES)
        assert nic.port.ask("host", BACKEND4, BACKEND6) == "set host"
        with nic.packet_socket(nic.near) as nic.wire, nic.packet_socket(nic.backend) as nic.kernel:
            yield nic


@pytest.fixture(scope="module")
def shared():
    with SharedNic() as nic:
        nic.port = nic.start_ready(FRONTEND4, FRONTEND6)
        with nic.packet_socket(nic.near) as nic.wire, nic.packet_socket(nic.backend) as nic.kernel:
            yield nic


@pytest.fixture
def nic():
    with SharedNic() as made:
        yield made


@pytest.mark.parametrize("name", TO_DATAPLANE)
def test_the_dataplane_gets_frames_for_frontends(shared, name):
    frame = bytes(TO_DATAPLANE[name])
    before = shared.port.ask("counts").split()
    shared.wire.send(frame)
    assert arrives_at_socket(shared.port, frame)
    after = shared.port.ask("counts").split()
    assert int(after[1]) == int(before[1]) + 1
    assert after[3] == before[3] == "0"


@pytest.mark.parametrize("name", TO_KERNEL)
def test_the_kernel_gets_all_other_frames(shared, name):
    frame = bytes(TO_KERNEL[name])
    before = shared.port.ask("counts").split()
    shared.wire.send(frame)
    assert arrives_at_kernel(shared.kernel, frame)
    after = shared.port.ask("counts").split()
    assert after[1] == before[1]
    assert int(after[2]) > int(before[2])


@pytest.mark.parametrize("name", NAT_TO_DATAPLANE)
def test_the_dataplane_gets_replies_of_nat_backends(nat, name):
    frame = bytes(NAT_TO_DATAPLANE[name])
    nat.wire.send(frame)
    assert arrives_at_socket(nat.port, frame)


@pytest.mark.parametrize("name", NAT_TO_KERNEL)
def test_the_kernel_gets_other_frames_of_nat_backends(nat, name):
    frame = bytes(NAT_TO_KERNEL[name])
    before = nat.port.ask("counts").split()
    nat.wire.send(frame)
    assert arrives_at_kernel(nat.kernel, frame)
    assert nat.port.ask("counts").split()[1] == before[1]


def test_setting_sources_adds_and_removes_nat_sources(nic):
    port = nic.start_ready()
    frames = {text: bytes(ETHER / reply4() / TCP(sport=int(text.split(":")[1].split("/")[0])))
              for text in (f"{NAT4}:8080/tcp", f"{NAT4}:8081/tcp")}
    later = bytes(ETHER / reply4(frag=100, proto=6) / Raw(b"\0" * 32))
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        def holds(where, frame):
            wire.send(frame)
            assert arrives_at_socket(port, frame) if where == "port" else arrives_at_kernel(kernel, frame)
        assert port.ask("set", *frames) == "set +3 -0 =0"  # two ports, and an entry for fragments
        for frame in (*frames.values(), later):
            holds("port", frame)
        one, two = frames
        assert port.ask("set", two) == "set +0 -1 =0"
        holds("kernel", frames[one])
        holds("port", frames[two])
        holds("port", later)
        assert port.ask("set", f"{NAT4}:0/tcp") == "set +1 -1 =0"
        holds("port", frames[one])
        assert port.ask("set") == "set +0 -1 =0"
        for frame in (*frames.values(), later):
            holds("kernel", frame)


def serve_web(nic):
    server = nic.spawn("web", ["/usr/bin/python3", "-m", "http.server", "22", "--bind", "::", "--directory", nic.dir],
                       nic.backend)
    server.wait_listening(22)


def fetch(nic, address, timeout_s=10):
    url = f"http://[{address}]:22/" if ":" in address else f"http://{address}:22/"
    return nic.near.run("curl", "-sS", "-o", "/dev/null", "--max-time", timeout_s, url, check=False).returncode


def test_tcp_to_the_hosts_own_address_works_beside_the_dataplane(nic):
    serve_web(nic)
    port = nic.start_ready(FRONTEND4, FRONTEND6)
    with nic.packet_socket(nic.near) as wire:
        for frame in (bytes(TO_DATAPLANE["TCP"]), bytes(TO_DATAPLANE["TCP over IPv6"])):
            assert fetch(nic, BACKEND4) == 0
            wire.send(frame)
            assert arrives_at_socket(port, frame)
            assert fetch(nic, BACKEND6) == 0


def test_an_update_changes_only_what_differs_and_takes_effect_at_once(nic):
    port = nic.start_ready()
    frames = {address: bytes(ETHER / to4(address) / UDP(dport=53) / Raw(address.encode()))
              for address in ("203.0.113.1", "203.0.113.2", "203.0.113.3")}
    one, two, three = frames
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        def holds(**where):
            for address, place in zip(frames, where.values()):
                wire.send(frames[address])
                assert arrives_at_socket(port, frames[address]) if place == "port" else \
                    arrives_at_kernel(kernel, frames[address]), address
        holds(one="kernel", two="kernel", three="kernel")
        assert port.ask("set", one, two, FRONTEND6) == "set +3 -0 =3"
        holds(one="port", two="port", three="kernel")
        assert port.ask("set", three, two, two) == "set +1 -2 =2"
        holds(one="kernel", two="port", three="port")
        assert port.ask("set", two, three) == "set +0 -0 =2"
        assert port.ask("set") == "set +0 -2 =0"
        holds(one="kernel", two="kernel", three="kernel")


def test_an_ipv4_address_does_not_match_an_ipv6_address_of_the_same_bytes(nic):
    """An IPv4 address followed by twelve zero bytes is also an IPv6 address."""
    port = nic.start_ready(FRONTEND4)
    alike = str(ipaddress.IPv6Address(ipaddress.IPv4Address(FRONTEND4).packed + b"\0" * 12))
    frame = bytes(ETHER / to6(alike) / TCP(dport=80))
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        wire.send(frame)
        assert arrives_at_kernel(kernel, frame)
        port.ask("set", alike)
        wire.send(frame)
        assert arrives_at_socket(port, frame)


def test_a_full_table_can_be_replaced_but_not_exceeded(nic):
    port = nic.start_ready()
    first = [str(ipaddress.IPv4Address(0x0b000000 + n)) for n in range(65537)]
    second = [str(ipaddress.IPv4Address(0x0c000000 + n)) for n in range(65536)]
    assert port.ask("set", *first[:-1]) == "set +65536 -0 =65536"
    assert port.ask("set", *second) == "set +65536 -65536 =65536"
    assert port.ask("set", *first) == "failed too many frontend addresses for steering: 65537, at most 65536"
    assert port.ask("set", FRONTEND4) == "set +1 -65536 =1"


def test_an_add_that_failed_halfway_can_be_undone(nic):
    """As when a snapshot is refused. The map has space for two full sets, so adding a third fails halfway."""
    port = nic.start_ready()
    old, new = ([str(ipaddress.IPv4Address(base + n)) for n in range(count)] for base, count in ((0x0b000000, 65535), (0x0c000000, 65536)))
    frames = {address: bytes(ETHER / to4(address) / UDP(dport=53)) for address in (old[0], new[0])}
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        def holds(where, frame):
            wire.send(frame)
            assert arrives_at_socket(port, frame) if where == "port" else arrives_at_kernel(kernel, frame)
        assert port.ask("set", *old, f"{NAT4}:8080/tcp") == "set +65537 -0 =65535"
        assert port.ask("add", *new) == "set +65536"
        assert port.ask("add", OTHER4, FRONTEND4, f"{NAT4}:0/tcp").startswith("failed cannot add an entry to a steering map: ")
        holds("port", frames[new[0]])
        assert port.ask("restore", *old, f"{NAT4}:8080/tcp") == "set -65537 =65535"
        holds("kernel", frames[new[0]])
        holds("port", frames[old[0]])


def test_restore_resets_changed_entries(nic):
    port = nic.start_ready(f"{NAT4}:8080/tcp")
    other_port = bytes(ETHER / reply4() / TCP(sport=8081))
    assert port.ask("add", f"{NAT4}:0/tcp") == "set +1"  # the entry for fragments now has any port
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        wire.send(other_port)
        assert arrives_at_socket(port, other_port)
        assert port.ask("restore", f"{NAT4}:8080/tcp") == "set -0 =0"
        wire.send(other_port)
        assert arrives_at_kernel(kernel, other_port)


def test_packets_of_a_killed_dataplane_go_to_the_kernel_until_the_next_starts(nic):
    serve_web(nic)
    nic.backend.ip(f"address add {FRONTEND4}/32 dev lo")
    nic.near.ip(f"route add {FRONTEND4}/32 via {BACKEND4}")
    frame = bytes(TO_DATAPLANE["UDP"])
    with nic.packet_socket(nic.near) as wire, nic.packet_socket(nic.backend) as kernel:
        port = nic.start_ready(FRONTEND4)
        wire.send(frame)
        assert arrives_at_socket(port, frame)
        assert fetch(nic, FRONTEND4, timeout_s=1) == 28  # the port answers nothing, so curl times out
        port.kill()
        assert nic.xdp_programs() == ["fairlead_steer"]
        wire.send(frame)
        assert arrives_at_kernel(kernel, frame)
        assert fetch(nic, FRONTEND4) == 0
        again = nic.start_ready(FRONTEND4)
        assert again.program_id != port.program_id
        assert nic.xdp_programs() == ["fairlead_steer"]
        wire.send(frame)
        assert arrives_at_socket(again, frame)
        assert fetch(nic, FRONTEND4, timeout_s=1) == 28
        again.quit()
        assert nic.xdp_programs() == []
        assert fetch(nic, FRONTEND4) == 0


def test_ports_in_two_namespaces_are_independent(nic):
    with SharedNic() as other:
        ports = (nic.start(), other.start())  # both start at the same time
        assert ports[0].ready() != ports[1].ready()
        ports[0].ask("set", FRONTEND4)
        ports[1].ask("set", OTHER4)
        for shared, port, own, other_address in ((nic, ports[0], FRONTEND4, OTHER4), (other, ports[1], OTHER4, FRONTEND4)):
            with shared.packet_socket(shared.near) as wire, shared.packet_socket(shared.backend) as kernel:
                for address, arrives in ((own, lambda f, p=port: arrives_at_socket(p, f)),
                                         (other_address, lambda f, k=kernel: arrives_at_kernel(k, f))):
                    frame = bytes(ETHER / to4(address) / UDP(dport=53))
                    wire.send(frame)
                    assert arrives(frame)


def test_the_port_refuses_an_interface_that_carries_another_program(nic):
    mount_bpf_files()
    pinned = nic.pins.with_name(nic.name + "-other")
    run([BPFTOOL, "prog", "loadall", BUILD / "tools/agent/agent.bpf.o", pinned])
    try:
        run(["nsenter", f"--net=/run/netns/{nic.backend.name}", BPFTOOL, "net", "attach", "xdp", "pinned",
             pinned / "fairlead_xdp", "dev", "eth0"])
    finally:
        for path in pinned.iterdir():
            path.unlink()
        pinned.rmdir()
    port = nic.start()
    assert port.answer() is None
    port.kill()
    assert "'eth0' carries another XDP program ('fairlead_xdp'" in "".join(port.errors)
    assert nic.xdp_programs() == ["fairlead_xdp"]


def test_the_port_detects_that_its_program_was_detached(nic):
    port = nic.start_ready(FRONTEND4)
    assert port.ask("attached") == "attached yes"
    nic.backend.ip("link set dev eth0 xdp off")
    assert port.ask("attached") == "attached no"


def test_each_frame_is_received_once(nic):
    port = nic.start_ready(FRONTEND4)
    frames = [bytes(ETHER / to4() / UDP(dport=number)) for number in range(1, 201)]
    with nic.packet_socket(nic.near) as wire:
        for frame in frames:
            wire.send(frame)
        assert arrives_at_socket(port, frames[-1])
    with pytest.raises(queue.Empty):
        port.frames.get_nowait()
    assert port.ask("counts").split()[1] == "200"
