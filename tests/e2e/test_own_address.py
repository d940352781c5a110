"""Addresses of the host itself: a frontend with one is refused or left out, and the host stays reachable."""
import os

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

pytestmark = pytest.mark.skipif(bool(os.environ.get("FAIRLEAD_LAB_UNSHARED")) or os.geteuid() != 0,
                                reason="AF_XDP needs root in the host's own user namespace")
_OWN4, _OWN6, _LATE, _ON_LO = "10.0.0.2", "2001:db8:a::2", "203.0.113.30", "203.0.113.40"


@pytest.fixture
def lab(bare_lab):
    """AF_XDP gives the dataplane all packets to frontends' addresses. Only dataplane.yaml has the address 192.0.2.1."""
    bare_lab.start_dataplane(device="af_xdp:eth0", port={"addresses": [_OWN4, "192.0.2.1"]})
    bare_lab.start_control()
    configure(bare_lab)
    command = ["/usr/bin/python3", "-m", "http.server", "2222", "--bind", "::", "--directory", bare_lab.logs]
    server = bare_lab.spawn("own", command, bare_lab.balancer.namespace)
    server.wait_listening(2222)
    return bare_lab


def _answers(lab, address):
    return lab.client.namespace.run("curl", "-sS", "-g", "-o", "/dev/null", "-m", 20, f"http://{address}:2222/",
                                    check=False).returncode == 0


@pytest.mark.quick
def test_a_frontend_on_an_address_of_the_host_is_refused(lab):
    # On interface eth0, on interface eth0, in `addresses` of dataplane.yaml.
    for address in (_OWN4, f"[{_OWN6}]", "192.0.2.1"):
        refused = lab.fairctl("service", "add", "own", "--frontend", f"{address}:80/tcp", "--backend", "10.0.0.11",
                              check=False)
        assert refused.returncode != 0
        assert f"{address}:80/tcp is an address of this host" in refused.stderr, refused
    assert _answers(lab, _OWN4) and _answers(lab, f"[{_OWN6}]")
    assert lab.backends_of("web")["10.0.0.11"]["state"] == "healthy"
    # An address on lo, with which an operator announces a frontend, is allowed.
    lab.balancer.namespace.ip(f"address add {_ON_LO}/32 dev lo")
    lab.fairctl("service", "add", "announced", "--frontend", f"{_ON_LO}:80/tcp", "--backend", "10.0.0.11")


@pytest.mark.quick
def test_a_frontend_whose_address_the_host_gets_later_is_left_out(lab):
    balancer = lab.balancer.namespace
    lab.backends[0].add_vip(_LATE)
    lab.fairctl("service", "add", "late", "--frontend", f"{_LATE}:80/tcp", "--backend", "10.0.0.11")
    wait_until(lab.in_force, 30, "the service is not in force")
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=50, new_per_second=50).wait_steady()
    balancer.ip(f"address add {_LATE}/32 dev eth0")
    wait_until(lambda: lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30,
               "the frontend is not left out")
    shown = lab.fairctl("status").stdout
    assert f"late {_LATE}:80/tcp: is an address of this host (interface eth0)" in shown, shown
    assert "frontend_left_out" in lab.fairleadd.tail(200)
    assert _answers(lab, _LATE)
    # A restarted dataplane without fairleadd uses its last image, in which the frontend is left out.
    lab.fairleadd.kill()
    lab.dataplane.kill()
    lab.start_dataplane(device="af_xdp:eth0", port={"addresses": [_OWN4, "192.0.2.1"]})
    assert _answers(lab, _LATE)
    lab.start_control()
    wait_until(lambda: lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30,
               "after fairleadd's restart, the frontend is not left out")

    balancer.ip(f"address del {_LATE}/32 dev eth0")
    wait_until(lambda: not lab.control.get("/v1/status")["left_out_frontends"] and lab.in_force(), 30,
               "the frontend is still left out")
    late = lab.start_load(targets=[f"{_LATE}:80"], count=20).wait()
    assert late["failed"] == 0, late["details"]
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_without_fairleadd_the_dataplane_leaves_a_new_address_of_the_host_to_the_kernel(lab):
    lab.fairctl("service", "add", "late", "--frontend", f"{_LATE}:80/tcp", "--backend", "10.0.0.11")
    wait_until(lab.in_force, 30, "the service is not in force")
    lab.fairleadd.kill()
    lab.balancer.namespace.ip(f"address add {_LATE}/32 dev eth0")
    wait_until(lambda: _answers(lab, _LATE), 30, "the kernel does not answer at its new address")
    assert f"frontend {_LATE} is an address of this host" in lab.dataplane.tail(200)
