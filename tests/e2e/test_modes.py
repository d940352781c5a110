"""Every forwarding mode with real programs and unmodified TCP: transfers, path MTU, fragments, traceroute, ping."""
import hashlib
import os
import random
import re
import time

import pytest

from tests.e2e.conftest import ping, warn_of_loss
from tests.e2e.test_forwarding import stop_dataplane
from tests.lab import Lab, wait_until

HOST_ROOT = os.geteuid() == 0 and not os.environ.get("FAIRLEAD_LAB_UNSHARED")
CASES = [("dsr", "af_packet:eth0"), ("ipip", "af_packet:eth0"), ("gue", "af_xdp:eth0"), ("nat", "af_packet:eth0"),
         ("nat", "af_xdp:eth0")]
SIZE = 100_000_000
# The MTU of the link behind the balancer, smaller than the clients'. Clients may send this less the mode's overhead.
NARROW_MTU = 1400


def needs_root(mode, device):
    return mode in ("ipip", "gue") or device.startswith("af_xdp")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].split(':')[0]}")
def modes(request, build):
    mode, device = request.param
    if needs_root(mode, device) and not HOST_ROOT:
        pytest.skip("eBPF needs root in the host's own user namespace")
    with Lab(build, backends=4) as lab:
        lab.mode, lab.device = mode, device
        start_backends(lab)
        lab.start_dataplane(device=device, port={"mtu": NARROW_MTU, "addresses": ["10.0.0.2", "2001:db8:a::2"],
                                                 **path_to_clients(lab)})
        lab.start_control()
        for service in services(lab):
            lab.control.post("/v1/services", service)
        for name in ("web4", "web6"):
            lab.wait_healthy(name, len(lab.backends_of(name)))
        yield lab


def path_to_clients(lab):
    """The path of nat's replies: a gateway in dataplane.yaml with AF_XDP, default routes with AF_PACKET."""
    if lab.mode != "nat":
        return {}
    if lab.device.startswith("af_xdp"):
        return {"gateway": lab.client.mac}
    lab.balancer.namespace.ip(f"route add default via {lab.client.address4} dev eth0",
                              f"route add default via {lab.client.address6} dev eth0")
    return {}


def start_backends(lab):
    data = lab.dir / "data"
    content = random.Random(1).randbytes(SIZE)
    data.write_bytes(content)
    lab.digest = hashlib.sha256(content).hexdigest()
    for backend in lab.backends:
        backend.start(ports=(80, 8080))
        backend.start_upload(81)
        (lab.dir / backend.name / "files").mkdir()
        (lab.dir / backend.name / "files" / "data").symlink_to(data)
        if lab.mode == "nat":
            backend.answer_through("10.0.0.2", "2001:db8:a::2")
    lab.agents = [lab.attach_agent(backend) for backend in lab.backends] if lab.mode in ("ipip", "gue") else []


def services(lab):
    """Services web, upload, echo for each family. Tunnels: two backends by IPv4, two by IPv6. nat: web on port 8080."""
    checks = {"type": "tcp", "interval": "200ms", "timeout": "150ms", "rise": 1, "fall": 10}
    for family, vip in ((4, lab.vip4), (6, f"[{lab.vip6}]")):
        addresses = [backend.address4 for backend in lab.backends]
        if lab.mode in ("ipip", "gue"):
            addresses[2:] = [backend.address6 for backend in lab.backends[2:]]
        if lab.mode == "nat" and family == 6:
            addresses = [backend.address6 for backend in lab.backends]
        for name, port in (("web", "80/tcp"), ("upload", "81/tcp"), ("echo", "7/udp")):
            translated = lab.mode == "nat" and name == "web"
            yield {"name": f"{name}{family}", "frontends": [f"{vip}:{port}"], "forwarding": lab.mode,
                   "health_check": checks if name == "web" else {"type": "none"},
                   "backends": [{"address": each, "port": 8080} if translated else each for each in addresses]}


FAMILIES = pytest.mark.parametrize("family", [4, 6])


def vip(lab, family, url=False):
    return lab.vip4 if family == 4 else f"[{lab.vip6}]" if url else lab.vip6


def source(lab, family):
    return lab.client.address4 if family == 4 else lab.client.address6


def curl(lab, *options, timeout_s=60):
    return lab.client.namespace.run("curl", "-sS", "-g", "-m", timeout_s, *options, timeout_s=timeout_s + 10)


def forget_path_mtus(lab):
    for family in ("-4", "-6"):
        lab.client.namespace.run("ip", family, "route", "flush", "cache", check=False)


@FAMILIES
def test_a_download_of_100_mb_arrives_complete(modes, family):
    lab = modes
    target = lab.dir / "downloaded"
    reply = curl(lab, "-o", target, "-w", "%{http_code} %{remote_ip}",
                 f"http://{vip(lab, family, url=True)}/files/data")
    assert reply.stdout.startswith("200"), reply
    assert hashlib.sha256(target.read_bytes()).hexdigest() == lab.digest


@FAMILIES
def test_an_upload_learns_the_path_mtu_of_the_narrow_link(modes, family):
    """Clients first send 1,500 bytes. The link behind the balancer carries 1,400, including the tunnel's headers."""
    lab = modes
    part = lab.dir / "part"
    part.write_bytes((lab.dir / "data").read_bytes()[:10_000_000])

    def too_big():
        """Uploads three times after the client forgot all path MTUs. Returns how many ICMP errors were sent.

        False if no packet was too big: a late packet of an earlier test may teach the client the MTU again.
        """
        forget_path_mtus(lab)
        before = lab.telemetry("/fairlead/stats")
        for _ in range(3):
            reply = curl(lab, "--data-binary", f"@{part}", "-H", "Expect:",
                         f"http://{vip(lab, family, url=True)}:81/", timeout_s=60)
            assert reply.stdout == hashlib.sha256(part.read_bytes()).hexdigest()
        after = lab.telemetry("/fairlead/stats")
        return after["drop_too_big"] > before["drop_too_big"] and after["generated"] - before["generated"]
    assert wait_until(too_big, 60, "no packet was too big, or no ICMP error was sent") > 0
    route = lab.client.namespace.run("ip", "route", "get", vip(lab, family)).stdout
    learned = int(re.search(r"mtu (\d+)", route)[1])
    assert NARROW_MTU - 60 <= learned <= NARROW_MTU, route


@FAMILIES
def test_datagrams_of_8_kb_are_echoed_unchanged(modes, family):
    lab = modes

    def ask(timeout_s):
        lines = lab.client.namespace.run("/usr/bin/python3", "tests/lab/udp_ask.py", source(lab, family),
                                         vip(lab, family), 7, 8000, 20, timeout_s).stdout.splitlines()
        assert len(lines) == 20 and not any(line.endswith(" DIFFERENT") for line in lines), lines
        return all(line.endswith(" OK") for line in lines) and lines

    def ask_again():
        return ask(5) or warn_of_loss(f"a datagram of 8,000 bytes to {vip(lab, family)}")
    # No router fragments IPv6: the client loses a datagram to learn the path MTU. With nat, each backend does, too.
    if family == 6:
        wait_until(lambda: ask(1), 100, "some datagrams have no answer")
    lines = wait_until(ask_again, 100, "some datagrams have no answer")
    assert len({line.split()[0] for line in lines}) > 1  # several backends


@FAMILIES
def test_ping_and_traceroute_reach_the_frontend(modes, family):
    lab = modes
    assert ping(lab.client, vip(lab, family))
    # A tunnel's inner packet keeps its TTL, so the balancer is not a hop.
    balancer = {4: "10.0.0.2", 6: "2001:db8:a::2"}[family]
    expected = [vip(lab, family)] if lab.mode in ("ipip", "gue") else [balancer, vip(lab, family)]
    traces = []

    def found():
        """Tolerates lost probes, which are sent only once. Fails on a wrong hop."""
        trace = lab.client.namespace.run("traceroute", f"-{family}", "-T", "-p", 80, "-n", "-q", 1, "-m", 5, "-w", 3,
                                         vip(lab, family))
        traces.append(trace.stdout)
        hops = [line.split()[1] for line in trace.stdout.splitlines()[1:]]
        assert set(hops) <= {*expected, "*"}, trace.stdout
        return hops == expected or warn_of_loss(trace.stdout)
    wait_until(found, 60, lambda: f"traceroute misses a hop: {traces[-1]}{lab.control.get('/v1/stats')}")


def test_connections_spread_over_all_backends_without_a_failure(modes):
    lab = modes
    figures = lab.start_load(targets=[f"{lab.vip4}:80", f"[{lab.vip6}]:80"], count=500, udp_count=200,
                             udp_new_per_second=1000).wait()
    assert figures["failed"] == 0, figures["details"]
    assert set(figures["tcp_new"]["flows_by_backend"]) == {backend.name for backend in lab.backends}
    for agent in lab.agents:
        counters = agent.counters()
        assert counters[f"{lab.mode}_delivered"] > 0, counters


def test_every_packet_is_counted_exactly_once(modes):
    """Must be the last test: it ends the dataplane."""
    lab = modes
    lab.fairleadd.stop()
    wait_until(lambda: idle(lab), 30, "the dataplane still receives packets")
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["mbufs_in_use"] == 0
    expected = {"answered", "other_mac", "too_big", "ttl_expired", "no_frontend"}
    assert set(report["drops"]) <= expected, report


def idle(lab):
    before = lab.telemetry("/fairlead/stats")["rx"]
    time.sleep(0.3)
    return lab.telemetry("/fairlead/stats")["rx"] == before
