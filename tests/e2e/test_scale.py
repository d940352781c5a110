"""Thousands of connections, many backends, full throughput, several workers."""
import json

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until


@pytest.mark.quick
def test_bulk_transfers_and_2000_connections_pass_together_without_a_failure(balanced):
    lab = balanced
    lab.control.post("/v1/services", {
        "name": "iperf", "frontends": [f"{lab.vip4}:5201/tcp"], "hash": "3-tuple", "health_check": {"type": "none"},
        "backends": [backend.address4 for backend in lab.backends]})
    servers = [lab.spawn(f"{backend.name}-iperf", ["iperf3", "-s"], backend.namespace).wait_listening(5201)
               for backend in lab.backends]
    lab.wait_healthy("iperf", 4)
    load = lab.start_load(targets=web_targets(lab), keep=2000, interval_ms=2000, timeout_ms=10000,
                          concurrency=100).wait_steady()
    result = lab.client.namespace.run("iperf3", "-c", lab.vip4, "-P", 4, "-t", 4, "-J", timeout_s=60)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    assert figures["tcp_keep"]["flows"] == 2000
    report = json.loads(result.stdout)
    assert "error" not in report, report["error"]
    received = report["end"]["sum_received"]
    print(f"iperf3 through the balancer, beside 2,000 connections: {received['bits_per_second'] / 1e6:.0f} Mbit/s")
    assert received["bytes"] > 4_000_000
    assert all(server.running() for server in servers)


@pytest.mark.quick
@pytest.mark.parametrize("workers", [2])
def test_two_workers_share_the_port(bare_lab, workers):
    lab = bare_lab
    lab.start_dataplane(workers=workers)
    lab.start_control()
    configure(lab)
    figures = lab.start_load(targets=web_targets(lab), keep=50, interval_ms=20, new_per_second=300, udp=20,
                             udp_interval_ms=20, duration_s=3).wait()
    assert figures["failed"] == 0, figures["details"]
    assert lab.control.get("/v1/status")["dataplane"]["workers"] == workers
    lab.fairleadd.stop()
    lab.dataplane.stop()
    report = json.loads(next(line for line in lab.dataplane.output().splitlines() if line.startswith("{")))
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["mbufs_in_use"] == 0


@pytest.mark.quick
def test_an_acknowledged_change_among_a_thousand_backends_is_in_force(lab):
    """Only the lab's four backends have a weight. New flows reach them as soon as they are added."""
    backends = [{"address": f"10.8.{n // 250}.{1 + n % 250}", "mac": "02:00:00:00:ee:01", "weight": 0}
                for n in range(996)]
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"],
                                      "health_check": {"type": "none"}, "backends": backends})
    acknowledged_in_force = 0
    for backend in lab.backends:
        reply = lab.control.post("/v1/services/web/backends", {"address": backend.address4, "mac": backend.mac})
        if reply["in_force"]:
            assert lab.in_force()
            acknowledged_in_force += 1
        # The answer has in_force false if two seconds were not enough.
        wait_until(lab.in_force, 30, "the change is not in force")
        assert lab.start_load(targets=[f"{lab.vip4}:80"], count=30).wait()["failed"] == 0
    assert acknowledged_in_force >= len(lab.backends) - 1
    figures = lab.start_load(targets=[f"{lab.vip4}:80"], count=400).wait()
    assert figures["failed"] == 0, figures["details"]
    assert len(figures["tcp_new"]["flows_by_backend"]) == 4
