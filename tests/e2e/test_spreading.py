"""Two workers behind a port with one receive queue: one worker receives and spreads the packets in software.

An AF_PACKET port with `spread: software` has one queue pair, as a NIC without RSS. Both workers send through its one
transmit queue.
"""
import hashlib
import random

import pytest

from tests.e2e.conftest import configure, ping, warn_of_loss, web_targets
from tests.e2e.test_forwarding import stop_dataplane
from tests.lab import wait_until

SIZE = 5_000_000
BOTH = "worker 0 receives and spreads over 2 workers in software; all workers share 1 transmit queue"


def start(lab, spread, workers=2, **port):
    lab.start_dataplane(workers=workers, port={"spread": spread, **port}, extra=["--verbose"])
    lab.start_control()


def configure_nat(lab):
    """As configure(), with nat: backends of one family for the frontends of that family."""
    for family, vip in ((4, lab.vip4), (6, f"[{lab.vip6}]")):
        for name, port in (("web", "80/tcp"), ("echo", "7/udp")):
            addresses = [backend.address4 if family == 4 else backend.address6 for backend in lab.backends]
            lab.control.post("/v1/services", {
                "name": f"{name}{family}", "frontends": [f"{vip}:{port}"], "forwarding": "nat",
                "health_check": {"type": "none"}, "backends": addresses})
            lab.wait_healthy(f"{name}{family}", len(addresses))


def assert_complete(report):
    """Every packet is counted once, no buffer is lost."""
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert sum(report["rx_by_worker"]) == report["rx"], report
    assert report["mbufs_in_use"] == 0, report


def fragmented_datagrams_are_answered(lab):
    """20 datagrams of 8,000 bytes, six fragments each, in both directions."""
    lines = lab.client.namespace.run("/usr/bin/python3", "tests/lab/udp_ask.py", lab.client.address4, lab.vip4, 7, 8000,
                                     20, 5).stdout.splitlines()
    assert len(lines) == 20 and not any(line.endswith(" DIFFERENT") for line in lines), lines
    return all(line.endswith(" OK") for line in lines) or warn_of_loss(f"a datagram of 8,000 bytes: {lines}")


def downloads_complete(lab):
    target = lab.dir / "downloaded"
    for vip in (lab.vip4, f"[{lab.vip6}]"):
        lab.client.namespace.run("curl", "-sS", "-g", "-m", 60, "-o", target, f"http://{vip}/files/data", timeout_s=70)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == lab.digest, vip


@pytest.mark.quick
@pytest.mark.parametrize("forwarding", ["dsr", "nat"])
def test_two_workers_forward_what_one_queue_receives(bare_lab, forwarding):
    lab = bare_lab
    content = random.Random(1).randbytes(SIZE)
    lab.digest = hashlib.sha256(content).hexdigest()
    for backend in lab.backends:
        backend.write_file("data", 0)
        (lab.dir / backend.name / "files" / "data").write_bytes(content)
        if forwarding == "nat":
            backend.answer_through("10.0.0.2", "2001:db8:a::2")
    if forwarding == "nat":
        lab.balancer.namespace.ip(f"route add default via {lab.client.address4} dev eth0",
                                  f"route add default via {lab.client.address6} dev eth0")
    start(lab, "software", addresses=["10.0.0.2", "2001:db8:a::2"])
    configure_nat(lab) if forwarding == "nat" else configure(lab)
    assert f"port wan: af_packet:eth0 (net_af_packet) has 1 receive queue for 2 workers; {BOTH}" in lab.dataplane.errors()
    shown = lab.telemetry("/fairlead/ports,wan")
    assert (shown["spread"], shown["receive_queues"], shown["transmit_queues"]) == ("software", 1, 1)

    load = lab.start_load(targets=web_targets(lab), keep=40, interval_ms=10, new_per_second=100)
    downloads_complete(lab)
    assert ping(lab.client, lab.vip4) and ping(lab.client, lab.vip6)
    wait_until(lambda: fragmented_datagrams_are_answered(lab), 100, "some datagrams have no answer")
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]

    # In the control plane's statistics, which are updated every second.
    wait_until(lambda: all(n > 500 for n in lab.control.get("/v1/stats")["dataplane"]["rx_by_worker"]), 20,
               lambda: f"a worker received little: {lab.control.get('/v1/stats')['dataplane']}")
    report = stop_dataplane(lab)
    assert_complete(report)
    assert "fragment_evicted" not in report["drops"], report


def test_one_worker_keeps_all_packets_of_a_port_that_is_not_spread(bare_lab):
    lab = bare_lab
    start(lab, "off")
    configure(lab)
    assert "port wan: af_packet:eth0 (net_af_packet): worker 0 receives all packets" in lab.dataplane.errors()
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    report = stop_dataplane(lab)
    assert_complete(report)
    assert report["rx_by_worker"][0] > 500 and report["rx_by_worker"][1] == 0, report


def test_automatic_spreading_prefers_a_queue_for_each_worker(bare_lab):
    lab = bare_lab
    start(lab, "auto")
    configure(lab)
    assert "port wan: af_packet:eth0 (net_af_packet) has a queue for each of 2 workers; the kernel spreads" in \
        lab.dataplane.errors()
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    report = stop_dataplane(lab)
    assert_complete(report)
    assert all(report["rx_by_worker"]), report


def test_packets_that_wait_for_a_worker_at_the_end_are_freed(bare_lab):
    """The dataplane ends under load, with packets in the queues between its workers."""
    lab = bare_lab
    start(lab, "software")
    configure(lab)
    load = lab.start_load(targets=web_targets(lab), keep=100, interval_ms=1, new_per_second=500, udp=50,
                          udp_interval_ms=1)
    wait_until(lambda: all(n > 1000 for n in lab.control.get("/v1/stats")["dataplane"]["rx_by_worker"]), 30,
               "no load arrives")
    report = stop_dataplane(lab)
    assert report["mbufs_in_use"] == 0, report
    load.process.kill()
