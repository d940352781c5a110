"""min_healthy: with fewer healthy backends than that, a service counts as down."""
import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

# Detects a failure soon, but tolerates a slow handshake or a retransmitted SYN on a busy machine.
_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}


def health(lab):
    return lab.control.get("/v1/services/web")["health"]


def await_health(lab, **wanted):
    wait_until(lambda: wanted.items() <= health(lab).items() and lab.in_force(), 30,
               lambda: f"the service's health is not {wanted}: {health(lab)}")


def metric(lab, name):
    lines = lab.control.raw("GET", "/metrics")[1].splitlines()
    return [float(line.split()[1]) for line in lines if line.startswith(name + '{service="web"}')]


@pytest.mark.quick
def test_below_its_minimum_a_service_fails_open_until_one_more_is_healthy(lab):
    configure(lab, checks=_CHECKS, min_healthy=2)
    await_health(lab, healthy=4, counted=4, min_healthy=2, below_min_healthy=False, used="healthy")
    for backend in lab.backends[:3]:
        backend.nginx.kill()
    await_health(lab, healthy=1, below_min_healthy=True, used="all")
    # The dead ones get their share again, and refuse it.
    figures = lab.start_load(targets=web_targets(lab), count=100, timeout_ms=1000).wait()
    assert figures["tcp_new"]["failures"]["refused"] > 20, figures["details"]
    assert figures["tcp_new"]["flows_by_backend"][lab.backends[3].name] > 5, figures
    shown = lab.fairctl("service", "show", "web").stdout
    assert "min healthy    2 of 4 backends, 1 healthy: below it for " in shown, shown
    assert ", all backends are used" in shown
    assert "1/4 healthy, below min_healthy 2" in lab.fairctl("service", "list").stdout
    assert "service_below_min_healthy service=web healthy=1 of=4 min_healthy=2 used=all" in lab.fairleadd.errors()
    assert metric(lab, "fairlead_service_below_min_healthy") == [1]
    assert metric(lab, "fairlead_service_healthy_backends") == [1]

    lab.backends[0].start()
    await_health(lab, healthy=2, below_min_healthy=True)
    lab.backends[1].start()
    await_health(lab, healthy=3, below_min_healthy=False, used="healthy")
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    assert lab.backends[2].name not in figures["tcp_new"]["flows_by_backend"]
    assert "service_at_min_healthy service=web healthy=3" in lab.fairleadd.errors()
    assert metric(lab, "fairlead_service_below_min_healthy") == [0]


@pytest.mark.quick
def test_below_its_minimum_a_fail_closed_service_refuses_new_flows_and_keeps_those_of_healthy_backends(lab):
    configure(lab, checks=_CHECKS, min_healthy="50%", fail_open=False, on_no_backend="reset")
    survivor = lab.backends[3]
    kept = lab.start_load(targets=web_targets(lab), keep=40, interval_ms=50).wait_steady()
    for backend in lab.backends[:3]:
        backend.nginx.kill()
    await_health(lab, healthy=1, min_healthy=2, below_min_healthy=True, used="none")
    figures = lab.start_load(targets=web_targets(lab), count=20, timeout_ms=1000).wait()
    assert figures["tcp_new"]["failures"] == {"refused": 20}, figures["details"]
    kept.wait_answered(50, backend=survivor.name)
    assert survivor.name not in kept.stop()["tcp_keep"]["failures_by_backend"]
    assert "no backend gets new flows" in lab.fairctl("service", "show", "web").stdout
    for backend in lab.backends[:2]:
        backend.start()
    await_health(lab, healthy=3, below_min_healthy=False, used="healthy")
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_a_minimum_that_cannot_be_is_refused_with_the_remedy(lab):
    configure(lab)
    for value in ("0%", "101%", "-1", "two"):
        result = lab.fairctl("service", "set", "web", "--min-healthy=" + value, check=False)
        assert result.returncode != 0
        assert f'min_healthy: "{value}" is not a number of backends such as 2, a share of 1% to 100%' in result.stderr
    warning = lab.fairctl("service", "set", "web", "--min-healthy", "5").stderr
    assert "warning: min_healthy 5 is above the number of backends that take new flows, 4" in warning
    assert health(lab)["min_healthy"] == 4
    lab.fairctl("service", "set", "web", "--min-healthy", "30%")
    assert lab.control.get("/v1/services/web")["min_healthy"] == "30%"
    assert health(lab)["min_healthy"] == 2
