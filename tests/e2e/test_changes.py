"""Changes under load: only the flows fail that the change itself cuts."""
import json
import time

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

_LOAD = {"keep": 100, "interval_ms": 50, "new_per_second": 200, "udp": 40, "udp_interval_ms": 50,
         "udp_new_per_second": 100, "events": True}


def _failing_starts(load):
    """The start times of the flows that failed before their first answer."""
    return [start for start, _, backend in load.flows() if not backend]


def _flows_since(load, since, protocol=None):
    """{backend: number of its flows that began at `since` or later}."""
    counts = {}
    for start, kind, backend in load.flows():
        if start >= since and (protocol is None or kind == protocol):
            counts[backend] = counts.get(backend, 0) + 1
    return counts


@pytest.mark.quick
def test_no_request_fails_when_backends_are_added_weighted_drained_and_undrained(balanced):
    lab = balanced
    load = lab.start_load(targets=web_targets(lab), **_LOAD).wait_steady()
    new = lab.add_backend().start()
    for service in ("web", "echo"):
        lab.fairctl("backend", "add", service, new.address4, "--weight", 2)
    lab.wait_healthy("web", 5)
    added = time.monotonic()
    time.sleep(1)
    for weight in (5, 0, 1000, 1):
        for service in ("web", "echo"):
            lab.fairctl("backend", "weight", service, lab.backends[0].address4, weight)
        time.sleep(0.3)
    lab.fairctl("service", "set", "web", "--drain-timeout", "60s", "--fall", "5")
    lab.fairctl("backend", "set", "web", new.address4, "--mac", new.mac)
    lab.fairctl("backend", "set", "web", new.address4, "--no-mac", "--weight", "3")
    for backend in lab.backends[1:3]:
        for service in ("web", "echo"):
            lab.fairctl("backend", "drain", service, backend.address4)
    time.sleep(1)
    for backend in lab.backends[1:3]:
        for service in ("web", "echo"):
            lab.fairctl("backend", "undrain", service, backend.address4)
    undrained = time.monotonic()
    lab.fairctl("service", "add", "other", "--frontend", f"{lab.vip4}:8080/tcp", "--backend", new.address4)
    time.sleep(1)
    lab.fairctl("service", "remove", "other")
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    assert figures["ok"] > 2000
    assert _flows_since(load, added)[new.name] > 50
    for backend in lab.backends[1:3]:
        assert _flows_since(load, undrained)[backend.name] > 10


@pytest.mark.quick
def test_removing_a_backend_cuts_only_its_flows(balanced):
    lab = balanced
    load = lab.start_load(targets=web_targets(lab), **_LOAD).wait_steady()
    gone = lab.backends[2]
    before = time.monotonic()
    for service in ("web", "echo"):
        lab.fairctl("backend", "remove", service, gone.address4)
    removed = time.monotonic()
    time.sleep(3)
    figures = load.stop()
    for group in ("tcp_keep", "tcp_new", "udp_keep", "udp_new"):
        assert set(figures[group]["failures_by_backend"]) <= {gone.name, ""}, figures["details"]
    # Connections to the removed backend that had no answer yet may fail. They began before the removal.
    for start in _failing_starts(load):
        assert before - 5.5 < start < removed + 0.1, f"{figures['details']}"
    assert figures["tcp_keep"]["failures_by_backend"].get(gone.name), \
        "no long-lived connection of the removed backend was cut"
    assert gone.name not in _flows_since(load, removed)


@pytest.mark.quick
def test_no_new_flow_reaches_a_draining_backend_after_the_acknowledgement(balanced):
    lab = balanced
    load = lab.start_load(targets=web_targets(lab), **_LOAD).wait_steady()
    draining = lab.backends[:2]
    for backend in draining:
        for service in ("web", "echo"):
            lab.control.put(f"/v1/services/{service}/backends/{backend.address4}/drain", {"timeout": "60s"})
    acknowledged = time.monotonic()
    time.sleep(0.5)
    middle = load.latest()
    time.sleep(3)
    figures = load.stop()
    names = {backend.name for backend in draining}
    assert figures["failed"] == 0, figures["details"]
    for protocol, least in (("tcp", 100), ("udp", 50)):
        after = _flows_since(load, acknowledged, protocol)
        assert not names & set(after), f"{protocol}: {after}"
        assert sum(after.values()) > least, after
        assert names <= set(_flows_since(load, 0, protocol)), "the backends had no flows before the drain"
    # The draining backends still answer their old flows.
    for group in ("tcp_keep", "udp_keep"):
        for name in names:
            assert figures[group]["by_backend"][name] > middle[group]["by_backend"][name] + 50


@pytest.mark.slow("waits twice for the idle timeout of 12 s")
def test_drain_wait_ends_when_the_last_flow_has_ended_and_not_before(lab):
    # A flow that was idle since the drain began has no record. The drain waits the idle timeout for such flows.
    configure(lab, idle_timeout="12s")
    leaving = lab.backends[3]
    staying = lab.start_load(targets=web_targets(lab), keep=40, interval_ms=100).wait_steady()
    short = lab.start_load(targets=web_targets(lab), new_per_second=100).wait_steady()
    wait = lab.start_fairctl("backend", "drain", "web", leaving.address4, "--timeout", "80s", "--wait")
    time.sleep(6)
    assert wait.running(), wait.tail()
    row = lab.backends_of("web")[leaving.address4]
    assert row["state"] == "draining"
    assert row["drain"]["remaining_flows"] >= 1, row
    figures = staying.stop()
    ended = time.monotonic()
    assert figures["tcp_keep"]["by_backend"][leaving.name] > 0
    assert wait.wait(40) == 0, wait.tail()
    # A flow counts as ended ten seconds after its FIN.
    assert time.monotonic() - ended > 5
    row = lab.backends_of("web")[leaving.address4]
    assert row["state"] == "drained" and row["drain"]["remaining_flows"] == 0, row
    leaving.kill()
    time.sleep(1)
    assert figures["failed"] == 0, figures["details"]
    figures = short.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_at_the_deadline_remaining_flows_are_released(balanced):
    lab = balanced
    leaving = lab.backends[0]
    load = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50, events=True).wait_steady()
    result = lab.fairctl("backend", "drain", "web", leaving.address4, "--timeout", "2s", "--wait", check=False)
    assert result.returncode == 0, result
    assert lab.backends_of("web")[leaving.address4]["state"] == "drained"
    released = time.monotonic()
    time.sleep(2)
    figures = load.stop()
    assert set(figures["tcp_keep"]["failures_by_backend"]) == {leaving.name}, figures["details"]
    assert leaving.name not in _flows_since(load, released)


# Sends a SYN with a random sequence number for each established connection. Any host could forge such a SYN.
_SYNS = """
import random, subprocess
from scapy.all import IP, TCP, send
lines = subprocess.run(["ss", "-Htn4", "state", "established"], check=True, capture_output=True, text=True).stdout
for line in lines.splitlines():
    (source, sport), (destination, dport) = (end.rsplit(":", 1) for end in line.split()[2:4])
    segment = TCP(sport=int(sport), dport=int(dport), seq=random.getrandbits(32), flags="S")
    send(IP(src=source, dst=destination) / segment, verbose=False)
    print(destination)
"""


@pytest.mark.quick
def test_a_forged_syn_does_not_move_an_established_connection(balanced):
    lab = balanced
    leaving = lab.backends[0]
    load = lab.start_load(targets=[f"{lab.vip4}:80"], keep=60, interval_ms=50).wait_steady()
    lab.fairctl("backend", "drain", "web", leaving.address4)
    load.wait_answered(100, backend=leaving.name)  # these flows have records now
    sent = lab.client.namespace.run("/usr/bin/python3", "-c", _SYNS).stdout.split()
    assert sent.count(lab.vip4) == 60
    load.wait_answered(100, backend=leaving.name)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_a_backend_of_weight_zero_keeps_its_flows_and_gets_no_new_ones(balanced):
    lab = balanced
    resting = lab.backends[1]
    load = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50, new_per_second=200,
                          events=True).wait_steady()
    lab.fairctl("backend", "weight", "web", resting.address4, 0)
    changed = time.monotonic()
    load.wait_answered(200, backend=resting.name)
    load.wait_answered(200, "tcp_new")
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    assert resting.name not in _flows_since(load, changed)


@pytest.mark.quick
def test_a_service_is_served_after_it_is_added_and_not_after_its_removal(balanced):
    lab = balanced
    for backend in lab.backends:
        backend.start(ports=(80, 8080))
    lab.fairctl("service", "add", "other", "--frontend", f"{lab.vip4}:8080/tcp",
                *[word for backend in lab.backends for word in ("--backend", backend.address4)])
    lab.wait_healthy("other", 4)
    assert lab.start_load(targets=[f"{lab.vip4}:8080"], count=50).wait()["failed"] == 0
    lab.fairctl("service", "remove", "other")
    figures = lab.start_load(targets=[f"{lab.vip4}:8080"], count=5, timeout_ms=500).wait()
    assert figures["failed"] == 5
    wait_until(lambda: lab.control.get("/v1/stats")["totals"]["drops"].get("no_frontend", 0) >= 5, 20,
               "no 5 drops with reason no_frontend are counted")
    assert json.loads(lab.fairctl("--json", "service", "list").stdout)["services"]


@pytest.mark.quick
def test_at_the_deadline_remaining_flows_are_kept_with_on_deadline_keep(lab):
    configure(lab, on_deadline="keep")
    leaving = lab.backends[0]
    load = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50).wait_steady()
    result = lab.fairctl("backend", "drain", "web", leaving.address4, "--timeout", "1s", "--wait", check=False)
    assert (result.returncode, "stopping it now breaks them" in result.stderr) == (5, True), result
    row = lab.backends_of("web")[leaving.address4]
    assert row["state"] == "drained" and row["drain"]["reason"].endswith("are kept"), row
    load.wait_answered(50, backend=leaving.name)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    after = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert leaving.name not in after["tcp_new"]["flows_by_backend"]
