"""slow_start: a backend that becomes healthy climbs to its weight."""

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}


def row(lab, backend):
    return lab.backends_of("web")[backend.address4]


def percent(lab, backend):
    climb = row(lab, backend)["slow_start"]
    return climb["percent"] if climb else 100


def restart(lab, backend):
    backend.nginx.kill()
    wait_until(lambda: row(lab, backend)["state"] == "unhealthy", 30, "it is not unhealthy")
    backend.start()
    wait_until(lambda: row(lab, backend)["state"] == "healthy" and lab.in_force(), 30, "it is not healthy again")


@pytest.mark.slow("a backend climbs for several seconds")
def test_a_recovered_backend_climbs_in_steps_and_no_flow_breaks(lab):
    configure(lab, checks=_CHECKS, slow_start="60s")
    climber = lab.backends[0]
    assert [percent(lab, backend) for backend in lab.backends] == [100] * 4, "none climbs at first"
    restart(lab, climber)
    assert percent(lab, climber) <= 50
    kept = lab.start_load(targets=web_targets(lab), keep=100, interval_ms=100, timeout_ms=20000).wait_steady()
    shown = lab.fairctl("backend", "list", "web").stdout
    assert f"1 ({percent(lab, climber)}%)" in shown or "1 (" in shown, shown
    assert row(lab, climber)["effective_weight"] == percent(lab, climber) / 100
    # At 10 % to 50 % of its weight it gets 1/31 to 1/7 of new flows, not a quarter.
    figures = lab.start_load(targets=web_targets(lab), count=1000).wait()
    assert figures["failed"] == 0, figures["details"]
    if percent(lab, climber) <= 50:
        assert figures["tcp_new"]["flows_by_backend"].get(climber.name, 0) < 200, figures
    lab.fairctl("service", "set", "web", "--slow-start", "5s")
    wait_until(lambda: percent(lab, climber) == 100 and lab.in_force(), 30, "it never has its whole weight")
    figures = lab.start_load(targets=web_targets(lab), count=1000).wait()
    assert figures["tcp_new"]["flows_by_backend"][climber.name] > 180, figures
    assert kept.stop()["failed"] == 0


@pytest.mark.quick
def test_no_backend_climbs_after_a_restart_of_fairleadd_or_when_most_recover(lab):
    configure(lab, checks=_CHECKS, slow_start="15m")
    restart(lab, lab.backends[0])
    assert percent(lab, lab.backends[0]) == 10
    lab.fairleadd.stop()
    lab.start_control()
    lab.wait_healthy("web", 4)
    assert [percent(lab, backend) for backend in lab.backends] == [100] * 4
    for backend in lab.backends:
        backend.nginx.kill()
    wait_until(lambda: all(row(lab, backend)["state"] == "unhealthy" for backend in lab.backends), 30,
               "not all are unhealthy")
    lab.backends[0].start()
    wait_until(lambda: row(lab, lab.backends[0])["state"] == "healthy", 30, "it is not healthy again")
    assert percent(lab, lab.backends[0]) == 100, "it would be all of the weight"


@pytest.mark.quick
def test_a_slow_start_that_is_too_long_is_refused(lab):
    configure(lab)
    result = lab.fairctl("service", "set", "web", "--slow-start", "16m", check=False)
    assert result.returncode != 0
    assert "slow_start: 960s is not within 0s..900s" in result.stderr
    assert lab.control.get("/v1/services/web")["slow_start"] == "0s"
