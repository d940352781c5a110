"""Many backends fail together, or the balancer is cut off from them: what is accepted, and what is held."""
import time

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import Lab, wait_until
from tests.lab.lab import Host

# Unhealthy after two seconds. The isolation lasts for several of these times.
_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}
_CUT_OFF_S = 12
_GATEWAY = "10.0.0.254"


@pytest.fixture
def five(build):
    """Five backends, all started, and both programs."""
    with Lab(build, backends=5) as lab:
        lab.start_backends()
        lab.start_dataplane()
        lab.start_control()
        yield lab


@pytest.fixture
def routed(build):
    """Service web (nat) whose five backends are reached through a gateway. Their replies come back directly."""
    with Lab(build, backends=5) as lab:
        lab.start_backends()
        lab.gateway = Host(lab, "gateway", "02:00:00:00:00:fe", _GATEWAY, None)
        lab.gateway.namespace.ip(f"address add {_GATEWAY}/24 dev eth0", "address add 10.9.0.254/24 dev eth0")
        lab.gateway.namespace.sysctl({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.send_redirects": 0,
                                      "net.ipv4.conf.eth0.send_redirects": 0})
        for number, backend in enumerate(lab.backends, 1):
            backend.namespace.ip(f"address add 10.9.0.{number}/24 dev eth0")
            backend.answer_through("10.0.0.2", "2001:db8:a::2")
        lab.balancer.namespace.ip(f"route add 10.9.0.0/24 via {_GATEWAY}",
                                  f"route add default via {lab.client.address4} dev eth0")
        lab.start_dataplane(port={"addresses": ["10.0.0.2", "2001:db8:a::2"]})
        lab.start_control()
        lab.control.post("/v1/services", {
            "name": "web", "forwarding": "nat", "frontends": [f"{lab.vip4}:80/tcp"], "health_check": _CHECKS,
            "backends": [f"10.9.0.{number}" for number in range(1, 6)]})
        lab.wait_healthy("web", 5)
        yield lab


def status(lab):
    return lab.control.get("/v1/status")


def states(lab):
    return [row["state"] for row in lab.backends_of("web").values()]


def await_isolated(lab):
    wait_until(lambda: status(lab)["isolated"], 30, lambda: f"the status is not isolated: {lab.backends_of('web')}")


def await_connected(lab):
    wait_until(lambda: not status(lab)["isolated"], 30, lambda: f"still isolated: {status(lab)['isolated']}")
    wait_until(lambda: all(row["check_skipped"] is None for row in lab.backends_of("web").values()), 30,
               "not every backend is checked again")


def stays_healthy(lab, seconds):
    """True if no backend is unhealthy at any time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if set(states(lab)) != {"healthy"}:
            return False
        time.sleep(0.2)
    return True


def assert_no_flow_was_released(lab, kept):
    kept.wait_answered(100)
    figures = kept.stop()
    assert figures["failed"] == 0, figures["details"]
    assert "backend_unhealthy" not in lab.fairleadd.errors()


def test_three_of_five_that_are_killed_are_accepted_at_once(five):
    lab = five
    configure(lab, checks=_CHECKS)
    killed = time.monotonic()
    for backend in lab.backends[:3]:
        backend.nginx.kill()
    wait_until(lambda: states(lab).count("unhealthy") == 3, 30, lambda: f"not 3 are unhealthy: {lab.backends_of('web')}")
    print(f"3 of 5 killed backends were unhealthy after {time.monotonic() - killed:.2f} s")
    wait_until(lab.in_force, 30, "the change is not in force")
    wait_until(lambda: status(lab)["failed_together"], 20, "the status does not tell it")
    told = status(lab)["failed_together"]
    assert (told["failed"], told["of"], told["count"]) == (3, 5, 1)
    assert status(lab)["isolated"] is None
    log = lab.fairleadd.errors()
    assert "backends_failed_together failed=3 of=5" in log
    assert "isolated reason" not in log
    assert "3 of 5 healthy backend addresses together" in lab.fairctl("status").stdout
    assert "fairlead_backends_failed_together_total 1" in lab.control.raw("GET", "/metrics")[1]
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.slow("the balancer is unplugged for longer than it takes to find dead backends")
def test_an_unplugged_balancer_releases_no_flow(five):
    """Its interface keeps the carrier: the cable behind the next switch is pulled."""
    lab = five
    configure(lab, checks=_CHECKS)
    kept = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=100, timeout_ms=60000).wait_steady()
    lab.switch.ip(f"link set {lab.balancer.name} nomaster")
    await_isolated(lab)
    isolated = status(lab)["isolated"]
    assert [(way["interface"], way["gateway"], way["reason"]) for way in isolated["ways"]] == \
        [("eth0", None, "nobody answers on eth0")]
    assert stays_healthy(lab, _CUT_OFF_S)
    shown = lab.fairctl("status").stdout
    assert "isolated    for " in shown and "nobody answers on eth0; backends behind it keep their states" in shown
    assert "not checked now: nobody answers on eth0" in lab.fairctl("backend", "list", "web").stdout
    assert "fairlead_isolated 1" in lab.control.raw("GET", "/metrics")[1]
    lab.switch.ip(f"link set {lab.balancer.name} master br0")
    await_connected(lab)
    assert_no_flow_was_released(lab, kept)
    log = lab.fairleadd.errors()
    assert 'isolated reason="nobody answers on eth0"' in log
    assert "isolation_ended way=eth0" in log
    # A backend that fails is found as before.
    lab.backends[0].nginx.kill()
    wait_until(lambda: "unhealthy" in states(lab), 30, "the checks do not find a dead backend")


@pytest.mark.slow("the gateway is gone for longer than it takes to find dead backends")
def test_a_gateway_that_is_gone_releases_no_flow(routed):
    lab = routed
    kept = lab.start_load(targets=[f"{lab.vip4}:80"], keep=60, interval_ms=100, timeout_ms=60000,
                          sources=[lab.client.sources4]).wait_steady()
    lab.gateway.namespace.ip("link set eth0 down")
    await_isolated(lab)
    way = status(lab)["isolated"]["ways"][0]
    assert (way["gateway"], way["reason"]) == (_GATEWAY, f"gateway {_GATEWAY} on eth0 does not answer")
    assert stays_healthy(lab, _CUT_OFF_S)
    lab.gateway.namespace.ip("link set eth0 up")
    await_connected(lab)
    assert_no_flow_was_released(lab, kept)


def test_backends_behind_a_gateway_that_answers_are_accepted_at_once(routed):
    lab = routed
    for backend in lab.backends[:3]:
        backend.nginx.kill()
    wait_until(lambda: states(lab).count("unhealthy") == 3, 30, lambda: f"not 3 are unhealthy: {lab.backends_of('web')}")
    assert status(lab)["isolated"] is None
    assert "backends_failed_together failed=3 of=5" in lab.fairleadd.errors()


def test_a_host_that_falls_silent_among_others_is_accepted(five):
    lab = five
    configure(lab, checks=_CHECKS)
    lab.backends[0].unplug()
    wait_until(lambda: states(lab).count("unhealthy") == 1, 30, lambda: f"it is not unhealthy: {lab.backends_of('web')}")
    assert status(lab)["isolated"] is None and status(lab)["failed_together"] is None
