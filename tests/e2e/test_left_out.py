"""Services and backends that this host cannot serve: they are left out with a reason, and all else takes effect."""
import os
import random
import time

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import Lab, wait_until

_API4 = "203.0.113.20"
_FAR = "10.9.0.13"  # a backend outside the port's network, reached by a route
_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}


class _Management:
    """A second interface of the balancer, mgmt0, which is not a port of the dataplane. A host there has _FAR, too."""

    def __init__(self, lab):
        self._balancer = lab.balancer.namespace
        manager = lab.make_namespace("manager")
        manager.ip("link set lo up")
        self._balancer.ip(f"link add mgmt0 type veth peer name eth0 netns {manager.name}",
                          "address add 192.0.2.2/24 dev mgmt0", "link set mgmt0 up", "route add 10.9.0.0/24 dev mgmt0")
        manager.ip("address add 192.0.2.1/24 dev eth0", f"address add {_FAR}/32 dev eth0", "link set eth0 up")

    def route_by_port(self, destination):
        self._balancer.ip(f"route replace {destination} dev eth0")


@pytest.fixture
def managed(build):
    """A lab with a route to _FAR by mgmt0. Backend 4 also has that address."""
    with Lab(build, backends=4, extra_vips=[_API4]) as lab:
        lab.backends[3].namespace.ip(f"address add {_FAR}/32 dev eth0")
        lab.start_backends()
        lab.management = _Management(lab)
        lab.start_dataplane()
        lab.start_control()
        configure(lab, checks=_CHECKS)
        yield lab


def _left_out(lab, service, address):
    left_out = lab.backends_of(service)[address]["left_out"]
    return left_out and left_out["code"]


def _await_left_out(lab, service, address, code):
    wait_until(lambda: _left_out(lab, service, address) == code and lab.in_force(), 30,
               lambda: f"{address} of {service} is not left out for {code}: {lab.backends_of(service)[address]}")


def _all_answered(lab, count=200):
    figures = lab.start_load(targets=web_targets(lab), count=count).wait()
    assert figures["failed"] == 0, figures["details"]
    return figures["tcp_new"]["flows_by_backend"]


@pytest.mark.quick
def test_a_backend_behind_a_management_interface_is_left_out_until_a_route_by_the_port_exists(managed):
    lab = managed
    added = lab.fairctl("service", "add", "api", "--frontend", f"{_API4}:80/tcp", "--backend", _FAR, "--rise", "1")
    assert "service api added" in added.stdout
    _await_left_out(lab, "api", _FAR, "interface_no_port")
    listing = lab.fairctl("backend", "list", "api").stdout
    assert "left out: its next hop is on mgmt0, which is not a port of the dataplane" in listing, listing
    assert f"api {_FAR}: its next hop is on mgmt0" in lab.fairctl("status").stdout
    explained = lab.fairctl("explain", "tcp", "198.51.100.7:40000", f"{_API4}:80").stdout
    assert "no_backend" in explained and f"Backend {_FAR} is left out" in explained, explained
    weighed = lab.fairctl("backend", "weight", "api", _FAR, "3").stdout
    assert "in force except what cannot be used" in weighed and "is left out" in weighed, weighed

    # Health changes, removals and drains of other backends take effect.
    dead, removed, drained = lab.backends[:3]
    dead.nginx.kill()
    wait_until(lambda: lab.backends_of("web")[dead.address4]["state"] == "unhealthy" and lab.in_force(), 30,
               f"{dead.name} is not unhealthy")
    assert dead.name not in _all_answered(lab)
    assert ", in force)" in lab.fairctl("backend", "remove", "web", removed.address4).stdout
    assert ", in force)" in lab.fairctl("backend", "drain", "web", drained.address4, "--timeout", "0s").stdout
    wait_until(lambda: lab.backends_of("web")[drained.address4]["state"] == "drained", 30,
               f"{drained.name} is not drained")
    assert set(_all_answered(lab)) == {lab.backends[3].name}

    # They also take effect after a restart of the dataplane, which starts with its last image.
    lab.dataplane.kill()
    lab.start_dataplane()
    wait_until(lambda: lab.in_force() and _left_out(lab, "api", _FAR) == "interface_no_port", 30,
               f"after the dataplane's restart, {_FAR} is not left out")
    assert set(_all_answered(lab)) == {lab.backends[3].name}

    lab.management.route_by_port(_FAR)
    wait_until(lambda: lab.backends_of("api")[_FAR]["state"] == "healthy" and lab.in_force(), 30,
               lambda: f"{_FAR} is not in use again: {lab.backends_of('api')}")
    figures = lab.start_load(targets=[f"{_API4}:80"], count=50).wait()
    assert figures["failed"] == 0, figures["details"]


# The modes that a port without `addresses` cannot serve, and the code of the reason.
_LEFT_OUT_CODES = {"ipip": "no_tunnel_source", "gue": "no_tunnel_source", "nat": "no_own_address"}


@pytest.mark.quick
@pytest.mark.parametrize("forwarding", _LEFT_OUT_CODES)
def test_backends_of_a_mode_that_needs_a_port_address_are_left_out_without_one(managed, forwarding):
    lab = managed
    lab.management.route_by_port(_FAR)
    reply = _add_api(lab, forwarding)
    assert reply["in_force"] is False
    assert reply["backends"][0]["left_out"]["code"] == _LEFT_OUT_CODES[forwarding]
    _all_answered(lab)
    mended = lab.control.patch("/v1/services/api", {"forwarding": "dsr"})
    assert mended["backends"][0]["left_out"] is None


def _add_api(lab, forwarding="dsr"):
    return lab.control.post("/v1/services", {"name": "api", "frontends": [f"{_API4}:80/tcp"], "backends": [_FAR],
                                             "forwarding": forwarding, "health_check": {"type": "none"}})


def _break_api(lab, rng):
    """Makes a random change after which service api cannot be served, or is served again. Returns its kind."""
    kind = rng.choice(["route by port", "route by management", "mode", "repair", "replace"])
    if kind in ("route by port", "repair"):
        lab.management.route_by_port(_FAR)
    elif kind == "route by management":
        lab.balancer.namespace.run("ip", "route", "del", _FAR, check=False)
    if kind in ("mode", "repair"):
        mode = "dsr" if kind == "repair" else rng.choice(list(_LEFT_OUT_CODES))
        lab.control.patch("/v1/services/api", {"forwarding": mode})
    elif kind == "replace":
        lab.control.delete("/v1/services/api")
        _add_api(lab, rng.choice(["dsr", *_LEFT_OUT_CODES]))
    return kind


@pytest.mark.slow("breaks a service at random for 20 s, two minutes with --long")
def test_random_failures_of_one_service_do_not_affect_another(managed):
    lab = managed
    seconds = 120 if os.environ.get("FAIRLEAD_LONG") else 20
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    _add_api(lab)
    load = lab.start_load(targets=web_targets(lab), keep=50, interval_ms=100, new_per_second=50,
                          timeout_ms=10000).wait_steady()
    kinds = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kinds.add(_break_api(lab, rng))
        time.sleep(rng.uniform(0, 0.3))
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    assert len(kinds) == 5, kinds
    # Health failover still takes its usual time: three failures, half a second apart. The limit is for busy machines.
    dead = lab.backends[0]
    dead.nginx.kill()
    killed = time.monotonic()
    while lab.backends_of("web")[dead.address4]["state"] != "unhealthy" or not lab.in_force():
        _break_api(lab, rng)
        assert time.monotonic() - killed < 20, lab.backends_of("web")
    assert dead.name not in _all_answered(lab)
