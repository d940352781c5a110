"""Health checks: one backend fails and recovers, or all backends fail."""
import time

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

# Detects a failure soon, but tolerates a slow handshake or a retransmitted SYN on a busy machine.
_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}


@pytest.fixture
def watched(lab):
    """`balanced` with checks that detect a failure sooner."""
    configure(lab, checks=_CHECKS)
    return lab


def _state(lab, backend, service="web"):
    return lab.backends_of(service)[backend.address4]["state"]


def _await_state(lab, backend, state, timeout_s=30):
    wait_until(lambda: _state(lab, backend) == state, timeout_s,
               lambda: f"{backend.name} is not {state}: {lab.backends_of('web')}")
    wait_until(lab.in_force, 30, "the change is not in force")


@pytest.mark.quick
def test_killed_backend_is_detected_and_its_traffic_moves(watched):
    lab = watched
    dead = lab.backends[1]
    load = lab.start_load(targets=web_targets(lab), keep=80, interval_ms=50, new_per_second=200,
                          events=True).wait_steady()
    dead.nginx.kill()
    _await_state(lab, dead, "unhealthy")
    detected = time.monotonic()
    load.wait_answered(400, "tcp_new")
    figures = load.stop()
    later = [(start, backend) for start, _, backend in load.flows() if start > detected]
    assert len(later) > 200
    assert {backend for _, backend in later} == {b.name for b in lab.backends} - {dead.name}
    # No flow of another backend failed.
    assert set(figures["tcp_keep"]["failures_by_backend"]) <= {dead.name, ""}, figures["details"]
    dead.start()
    _await_state(lab, dead, "healthy")
    figures = lab.start_load(targets=web_targets(lab), count=400).wait()
    assert figures["failed"] == 0, figures["details"]
    assert figures["tcp_new"]["flows_by_backend"][dead.name] > 50


@pytest.mark.quick
def test_host_that_falls_silent_is_detected(watched):
    lab = watched
    silent = lab.backends[2]
    silent.unplug()
    _await_state(lab, silent, "unhealthy")
    figures = lab.start_load(targets=web_targets(lab), count=300).wait()
    assert figures["failed"] == 0, figures["details"]
    silent.plug_in_again()
    _await_state(lab, silent, "healthy")


@pytest.mark.quick
def test_all_backends_down_fails_open(watched):
    lab = watched
    for backend in lab.backends:
        backend.nginx.kill()
    for backend in lab.backends:
        _await_state(lab, backend, "unhealthy")
    # Packets still reach the backends. Their kernels refuse the connections.
    figures = lab.start_load(targets=web_targets(lab), count=20, timeout_ms=1000).wait()
    assert figures["tcp_new"]["failures"] == {"refused": 20}, figures["details"]
    lab.backends[0].start()
    _await_state(lab, lab.backends[0], "healthy")
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["tcp_new"]["flows_by_backend"] == {lab.backends[0].name: 100}, figures


@pytest.mark.quick
def test_all_backends_down_fails_closed_when_so_configured(lab):
    configure(lab, checks=_CHECKS, fail_open=False)
    for backend in lab.backends:
        backend.nginx.kill()
    for backend in lab.backends:
        _await_state(lab, backend, "unhealthy")
    figures = lab.start_load(targets=web_targets(lab), count=10, timeout_ms=500).wait()
    assert figures["tcp_new"]["failures"] == {"timeout": 10}, figures["details"]
    wait_until(lambda: lab.control.get("/v1/stats")["totals"]["drops"].get("no_backend", 0) >= 10, 20,
               "no 10 drops with reason no_backend are counted")


@pytest.mark.quick
def test_a_backend_gets_no_traffic_before_it_passes_its_checks(lab):
    lab.backends[3].nginx.kill()
    lab.control.post("/v1/services", {
        "name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "backends": [backend.address4 for backend in lab.backends],
        "health_check": {**_CHECKS, "rise": 2}})
    wait_until(lambda: sum(row["state"] == "healthy" for row in lab.backends_of("web").values()) == 3, 30,
               lambda: f"not exactly 3 backends are healthy: {lab.backends_of('web')}")
    wait_until(lab.in_force, 20, "the service is not in force")
    figures = lab.start_load(targets=[f"{lab.vip4}:80"], count=300).wait()
    assert figures["failed"] == 0, figures["details"]
    assert lab.backends[3].name not in figures["tcp_new"]["flows_by_backend"]


@pytest.mark.quick
def test_the_health_reason_explains_a_server_that_listens_only_on_the_frontends_address(watched):
    lab = watched
    backend = lab.backends[2]
    backend.kill()
    lab.spawn("alone", ["/usr/bin/python3", "-m", "http.server", "80", "--bind", lab.vip4, "--directory", lab.logs],
              backend.namespace).wait_listening(80)
    _await_state(lab, backend, "unhealthy")
    reason = lab.backends_of("web")[backend.address4]["reason"]
    assert ("Connection refused; the check connects to 10.0.0.13, "
            "and does not reach a server that listens only on the frontend's address") in reason
    assert reason in lab.fairctl("backend", "list", "web").stdout


@pytest.mark.quick
def test_with_ports_all_a_backend_is_healthy_when_every_frontend_passes(lab):
    backend = lab.backends[0]
    frontends = [f"{lab.vip4}:80/tcp", f"{lab.vip4}:8000-8009/tcp", f"{lab.vip4}:7/udp"]
    lab.control.post("/v1/services", {"name": "two", "frontends": frontends, "backends": [backend.address4],
                                      "health_check": {**_CHECKS, "ports": "all"}})

    def state():
        return lab.backends_of("two")[backend.address4]
    wait_until(lambda: state()["state"] == "unhealthy", 30, lambda: f"healthy although port 8000 is closed: {state()}")
    assert "port 8000" in state()["reason"]
    backend.start(ports=(80, 8000))
    wait_until(lambda: state()["state"] == "healthy", 30, lambda: f"unhealthy although both ports are open: {state()}")
    backend.start(ports=(8000,))
    wait_until(lambda: state()["state"] == "unhealthy", 30, lambda: f"healthy although port 80 is closed: {state()}")
    assert "port 80 failed" in state()["reason"]
    lab.fairctl("service", "set", "two", "--check-ports", "first")
    wait_until(lambda: "port 80 failed" in state()["reason"], 30, lambda: f"port 80 did not fail: {state()}")
    backend.start(ports=(80,))
    wait_until(lambda: state()["state"] == "healthy", 30, lambda: f"unhealthy although port 80 is open: {state()}")
