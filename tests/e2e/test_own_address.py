"""Addresses of the host itself: no frontend may have one, and none takes packets away from the host."""
import os

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

pytestmark = pytest.mark.skipif(bool(os.environ.get("FAIRLEAD_LAB_UNSHARED")) or os.geteuid() != 0,
                                reason="AF_XDP needs root in the host's own user namespace")
_OWN4, _OWN6, _LATE, _ON_LO = "10.0.0.2", "2001:db8:a::2", "203.0.113.30", "203.0.113.40"


@pytest.fixture
def lab(bare_lab):
    """AF_XDP takes every packet to a frontend's address away from the kernel. 192.0.2.1 is the port's own, by dataplane.yaml alone."""
    bare_lab.start_dataplane(device="af_xdp:eth0", port={"addresses": [_OWN4, "192.0.2.1"]})
    bare_lab.start_control()
    configure(bare_lab)
    server = bare_lab.spawn("own", ["/usr/bin/python3", "-m", "http.server", "2222", "--bind", "::", "--directory", bare_lab.logs],
                            bare_lab.balancer.namespace)
    server.wait_listening(2222)
    return bare_lab


def _answers(lab, address):
    return lab.client.namespace.run("curl", "-sS", "-g", "-o", "/dev/null", "-m", 20, f"http://{address}:2222/", check=False).returncode == 0


@pytest.mark.quick
def test_a_frontend_on_an_address_of_the_host_is_refused(lab):
    for address, owner in ((_OWN4, "interface eth0"), (f"[{_OWN6}]", "interface eth0"), ("192.0.2.1", "addresses of dataplane.yaml")):
        refused = lab.fairctl("service", "add", "own", "--frontend", f"{address}:80/tcp", "--backend", "10.0.0.11", check=False)
        assert refused.returncode != 0
        assert f"{address}:80/tcp is an address of this host" in refused.stderr, refused
    assert _answers(lab, _OWN4) and _answers(lab, f"[{_OWN6}]")
    assert lab.backends_of("web")["10.0.0.11"]["state"] == "healthy"
    # One by which an operator announces a frontend is none of these.
    lab.balancer.namespace.ip(f"address add {_ON_LO}/32 dev lo")
    lab.fairctl("service", "add", "announced", "--frontend", f"{_ON_LO}:80/tcp", "--backend", "10.0.0.11")


@pytest.mark.quick
def test_an_address_that_turns_up_later_stays_the_hosts(lab):
    balancer = lab.balancer.namespace
    lab.backends[0].add_vip(_LATE)
    lab.fairctl("service", "add", "late", "--frontend", f"{_LATE}:80/tcp", "--backend", "10.0.0.11")
    wait_until(lab.in_force, 30, "it is in force")
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=50, new_per_second=50).wait_steady()
    balancer.ip(f"address add {_LATE}/32 dev eth0")
    wait_until(lambda: lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30, "the frontend is left out")
    shown = lab.fairctl("status").stdout
    assert f"late {_LATE}:80/tcp: is an address of this host (interface eth0)" in shown, shown
    assert "frontend_left_out" in lab.fairleadd.tail(200)
    assert _answers(lab, _LATE)
    # With nobody to publish another image, it stays so.
    lab.fairleadd.kill()
    lab.dataplane.kill()
    lab.start_dataplane(device="af_xdp:eth0", port={"addresses": [_OWN4, "192.0.2.1"]})
    assert _answers(lab, _LATE)
    lab.start_control()
    wait_until(lambda: lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30, "the frontend is left out again")

    balancer.ip(f"address del {_LATE}/32 dev eth0")
    wait_until(lambda: not lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30, "the frontend is back")
    late = lab.start_load(targets=[f"{_LATE}:80"], count=20).wait()
    assert late["failed"] == 0, late["details"]
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_the_dataplane_alone_leaves_the_hosts_addresses_to_it(lab):
    lab.fairctl("service", "add", "late", "--frontend", f"{_LATE}:80/tcp", "--backend", "10.0.0.11")
    wait_until(lab.in_force, 30, "it is in force")
    lab.fairleadd.kill()
    lab.balancer.namespace.ip(f"address add {_LATE}/32 dev eth0")
    wait_until(lambda: _answers(lab, _LATE), 30, "the kernel answers at its new address")
    assert f"frontend {_LATE} is an address of this host" in lab.dataplane.tail(200)
