"""Real TCP and UDP through the balancer: which backend a flow reaches, that it stays there, that no data is lost."""
import json
import re
import time

import pytest

from tests.e2e.conftest import configure, ping, web_targets
from tests.lab import wait_until


def _shares(counts):
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def _assert_within(counts, weights, tolerance=0.10):
    """Every backend's share of the flows equals its share of the weights, with this relative tolerance."""
    shares = _shares(counts)
    total = sum(weights.values())
    for name, weight in weights.items():
        assert shares.get(name, 0) == pytest.approx(weight / total, rel=tolerance), f"{name}: {counts}"


def _set_weights(lab, service, weights):
    for backend, weight in zip(lab.backends, weights):
        lab.fairctl("backend", "weight", service, backend.address4, weight)
    return {backend.name: weight for backend, weight in zip(lab.backends, weights)}


@pytest.mark.quick
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_connections_spread_by_weight(balanced, family):
    # Each run has another hash seed. With 2,000 flows, the shares have a relative standard deviation of 4.5 %, and
    # every sixth run would exceed 10 %. With 8,000 flows, 10 % are four sigma.
    weights = _set_weights(balanced, "web", [1, 2, 1, 1])
    target = web_targets(balanced)[family == "ipv6"]
    figures = balanced.start_load(targets=[target], count=8000, first_port=20000).wait()
    assert figures["failed"] == 0, figures["details"]
    _assert_within(figures["tcp_new"]["flows_by_backend"], weights)


@pytest.mark.quick
def test_udp_flows_spread_by_weight_and_stay_on_their_backend(balanced):
    weights = _set_weights(balanced, "echo", [2, 1, 1, 2])
    figures = balanced.start_load(targets=web_targets(balanced), udp_count=8000, udp_new_per_second=2000,
                                  first_port=20000).wait()
    assert figures["failed"] == 0, figures["details"]
    _assert_within(figures["udp_new"]["flows_by_backend"], weights)
    # A reply from another backend than the flow's first counts as failure `moved`.
    figures = balanced.start_load(targets=web_targets(balanced), udp=200, udp_interval_ms=20, duration_s=2).wait()
    assert figures["failed"] == 0, figures["details"]
    assert figures["udp_keep"]["ok"] > 200 * 5


@pytest.mark.quick
def test_curl_reaches_every_backend_and_the_client_keeps_its_address(balanced):
    lab, seen = balanced, set()
    for number in range(40):
        url = f"http://[{lab.vip6}]/" if number % 2 else f"http://{lab.vip4}/"
        source = lab.client.address6 if number % 2 else lab.client.address4
        reply = lab.client.namespace.run("curl", "-sS", "-g", "-i", "-m", 20, "--interface", source, url).stdout
        seen.add(reply.strip().splitlines()[-1])
        assert re.search(rf"^X-Client: \[?{re.escape(source)}\]?:\d+\r?$", reply, re.M), reply
    assert seen == {backend.name for backend in lab.backends}


@pytest.mark.quick
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_downloads_arrive_complete(balanced, family):
    lab = balanced
    size = 5_000_000
    for backend in lab.backends:
        backend.write_file("data", size)
    host = f"[{lab.vip6}]" if family == "ipv6" else lab.vip4
    for _ in range(4):
        result = lab.client.namespace.run("curl", "-sS", "-g", "-m", 20, "-o", "/dev/null", "-w",
                                          "%{http_code} %{size_download}", f"http://{host}/files/data")
        assert result.stdout == f"200 {size}"


@pytest.mark.quick
def test_the_dataplane_answers_pings_of_frontends(balanced):
    lab = balanced
    assert ping(lab.client, lab.vip4, count=5) and ping(lab.client, lab.vip6, count=5)
    assert ping(lab.client, lab.vip4, "-s", 1400, count=2)
    wait_until(lambda: lab.control.get("/v1/stats")["totals"]["drops"].get("answered", 0) >= 12, 20,
               lambda: f"12 echo requests are not counted as answered: {lab.control.get('/v1/stats')['totals']}")


@pytest.mark.quick
def test_arp_and_neighbour_solicitations_are_answered_with_the_ports_mac(balanced):
    lab = balanced
    assert ping(lab.client, lab.vip4, count=1) and ping(lab.client, lab.vip6, count=1)
    entries = {entry["dst"]: entry for entry in json.loads(lab.client.namespace.run("ip", "-j", "neigh").stdout)}
    for vip in (lab.vip4, lab.vip6):
        assert entries[vip]["lladdr"] == lab.balancer.mac, entries[vip]
    # The client's duplicate address detection detects that the frontend's address is in use.
    lab.client.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1")
    lab.client.namespace.run("ip", "address", "add", f"{lab.vip6}/128", "dev", "eth0")
    wait_until(lambda: "dadfailed" in lab.client.namespace.run("ip", "-6", "address", "show", "dev", "eth0").stdout, 20,
               "duplicate address detection did not fail")


ANNOUNCE = """
import socket, sys
mac, vip = bytes.fromhex(sys.argv[1].replace(":", "")), socket.inet_aton(sys.argv[2])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
arp = bytes.fromhex("0001080006040001") + mac + vip + bytes(6) + vip
wire.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + arp)
"""


@pytest.mark.quick
def test_another_host_with_a_frontends_address_is_logged_once(balanced):
    lab = balanced

    def counted():
        return lab.control.get("/v1/stats")["totals"]["drops"].get("address_conflict", 0)

    def events():
        return [line for line in lab.fairleadd.errors().splitlines() if " warning address_conflict " in line]

    # fairleadd logs no conflicts that were counted before its first statistics.
    wait_until(lambda: lab.control.get("/v1/stats")["dataplane"]["workers"] > 0, 20, "fairleadd has no statistics")
    for number in range(1, 4):
        lab.client.namespace.run("/usr/bin/python3", "-c", ANNOUNCE, lab.client.mac, lab.vip4)
        wait_until(lambda n=number: counted() >= n, 20,
                   lambda n=number: f"{counted()} address conflicts are counted, expected {n}")
    assert len(events()) == 1, events()
    assert "announcements=1 total=1 " in events()[0]


@pytest.mark.quick
def test_conservation_law_holds_while_workers_are_idle(balanced):
    lab = balanced
    lab.start_load(targets=web_targets(lab), keep=20, interval_ms=10, new_per_second=200, udp=20, udp_interval_ms=10,
                   duration_s=2).wait()
    assert ping(lab.client, lab.vip4)
    # Without the control plane, no health check or neighbour solicitation is in flight.
    lab.fairleadd.stop()
    time.sleep(0.5)
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["mbufs_in_use"] == 0
    assert report["rx"] > 2000
    assert report["drops"]["answered"] >= 3
    # other_mac: AF_PACKET also receives the frames that the kernel sends.
    unexpected = set(report["drops"]) - {"answered", "other_mac"}
    assert not unexpected, report


def stop_dataplane(lab):
    """Ends the dataplane with SIGTERM. Returns its report."""
    lab.dataplane.stop()
    assert lab.dataplane.returncode == 0, lab.dataplane.tail()
    return json.loads(next(line for line in lab.dataplane.output().splitlines() if line.startswith("{")))


@pytest.mark.quick
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_explain_names_the_backend_that_the_flow_reaches(balanced, protocol):
    lab = balanced
    names = {backend.address4: backend.name for backend in lab.backends}
    for number in range(12):
        v6 = number % 2 == 1
        source = lab.client.address6 if v6 else lab.client.address4
        vip = lab.vip6 if v6 else lab.vip4
        port = 41000 + number
        frontend = 80 if protocol == "tcp" else 7
        bracket = "[{}]:{}" if v6 else "{}:{}"
        answer = lab.fairctl_json("explain", protocol, bracket.format(source, port), bracket.format(vip, frontend))
        flow = {"count": 1} if protocol == "tcp" else {"udp_count": 1, "udp_new_per_second": 1}
        figures = lab.start_load(targets=[bracket.format(vip, frontend)], sources=[source], first_port=port,
                                 **flow).wait()
        group = figures["tcp_new" if protocol == "tcp" else "udp_new"]["flows_by_backend"]
        assert list(group) == [names[answer["backend"]]], answer


@pytest.mark.quick
@pytest.mark.parametrize("policy", ["source-ip", "3-tuple"])
def test_hash_policy_keeps_a_client_on_one_backend(lab, policy):
    configure(lab, hash=policy)
    client = lab.client.sources4.replace("0/26", "5")
    figures = lab.start_load(targets=[f"{lab.vip4}:80"], sources=[client], count=200).wait()
    assert figures["failed"] == 0
    assert len(figures["tcp_new"]["flows_by_backend"]) == 1, figures
    figures = lab.start_load(targets=[f"{lab.vip4}:80"], count=200).wait()
    assert len(figures["tcp_new"]["flows_by_backend"]) == 4, figures


@pytest.mark.quick
def test_only_the_dataplane_answers_for_frontend_addresses(balanced):
    """Backends that are set up as in docs/operations.md do not answer ARP or solicitations for frontends."""
    lab = balanced
    lab.dataplane.stop()
    for vip in (lab.vip4, lab.vip6):
        lab.client.namespace.run("ip", "neigh", "flush", "dev", "eth0")
        result = lab.client.namespace.run("ping", "-n", "-c", 1, "-W", 1, vip, check=False)
        assert "1 received" not in result.stdout
