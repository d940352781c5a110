"""A dsr backend is never reached through a gateway, even if only the default route is left."""
import json

import pytest

from tests.e2e.conftest import web_targets
from tests.lab import wait_until
from tests.lab.lab import Host
from tests.lab.process import run

_FAR = "10.0.3.7"  # a backend behind the balancer's second port
_FAR_MAC = "02:00:00:00:0b:37"
_GATEWAY = "10.0.0.254"
# Counts frames to the gateway's MAC that carry a packet to a frontend.
_WATCH = """table netdev watch { chain in { type filter hook ingress device eth0 priority 0;
ether daddr MAC ip daddr 203.0.113.0/24 counter
}
}
"""


class _Gateway(Host):
    def __init__(self, lab):
        super().__init__(lab, "gateway", "02:00:00:00:00:fe", _GATEWAY, None)
        self.namespace.ip(f"address add {_GATEWAY}/24 dev eth0")
        run(self.namespace.command(["nft", "-f", "-"]), input=_WATCH.replace("MAC", self.mac))

    def packets_to_frontends(self):
        listing = json.loads(self.namespace.run("nft", "-j", "list", "table", "netdev", "watch").stdout)
        rule = next(entry["rule"] for entry in listing["nftables"] if "rule" in entry)
        return next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)


@pytest.fixture
def lab(bare_lab):
    """Backend 1 is also on a link of its own with the balancer, the port `lan`. The default route is a gateway."""
    lab = bare_lab
    backend, balancer = lab.backends[0].namespace, lab.balancer.namespace
    balancer.ip(f"link add eth1 type veth peer name eth1 address {_FAR_MAC} netns {backend.name}",
                "address add 10.0.3.1/24 dev eth1", "link set eth1 up")
    backend.ip(f"address add {_FAR}/24 dev eth1", "link set eth1 up")
    for namespace in (backend, balancer):
        namespace.run("ethtool", "-K", "eth1", *"tx off rx off tso off gso off gro off".split())
    lab.gateway = _Gateway(lab)
    balancer.ip(f"route add default via {_GATEWAY}")
    lab.start_dataplane(extra=["--port", "lan=af_packet:eth1"])
    lab.start_control()
    return lab


@pytest.mark.quick
def test_a_warning_names_ports_whose_devices_have_one_mac(bare_lab):
    balancer = bare_lab.balancer
    balancer.namespace.ip(f"link add eth1 address {balancer.mac} type veth peer name eth2", "link set eth1 up")
    dataplane = bare_lab.start_dataplane(extra=["--port", "lan=af_packet:eth1"])
    assert f"ports wan and lan both have MAC address {balancer.mac}: in one network, a switch takes them for one "         "station; set mac of one of them in dataplane.yaml" in dataplane.errors()


def _row(lab):
    return lab.backends_of("web")[_FAR]


def _await_next_hop(lab, mac):
    wait_until(lambda: (_row(lab)["next_hop"] or {}).get("mac") == mac and lab.in_force(), 30,
               lambda: f"the next hop is not {mac}: {_row(lab)}")


def _dropped(lab, reason="no_next_hop"):
    return lab.telemetry("/fairlead/stats")[f"drop_{reason}"]


@pytest.mark.quick
def test_no_frame_for_a_dsr_backend_goes_to_a_gateway_and_it_recovers(lab):
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "backends": [_FAR],
                                      "health_check": {"type": "none"}})
    _await_next_hop(lab, _FAR_MAC)
    targets = web_targets(lab)[:1]
    assert lab.start_load(targets=targets, count=50).wait()["failed"] == 0

    lab.balancer.namespace.ip("link set eth1 down")
    _await_next_hop(lab, None)
    # Without the rule, the gateway's MAC would be used as soon as it is known.
    wait_until(lambda: lab.gateway.mac in lab.balancer.namespace.run("ip", "neigh", "show", _GATEWAY).stdout, 30,
               "the kernel has not resolved the gateway")
    assert f"{_FAR} is reached through gateway {_GATEWAY} on eth0, but mode dsr needs a backend on the same link; " in \
        _row(lab)["reason"], _row(lab)
    assert "through gateway" in lab.fairctl("backend", "list", "web").stdout
    assert "backend_not_on_link" in lab.fairleadd.errors()
    # The only backend is left out: new flows have no backend.
    wait_until(lambda: _row(lab)["state"] == "unused" and lab.in_force(), 30, lambda: f"it is in use: {_row(lab)}")
    before = _dropped(lab, "no_backend")
    lab.client.namespace.run("curl", "-sS", "-m", 2, f"http://{lab.vip4}/", check=False)
    wait_until(lambda: _dropped(lab, "no_backend") > before, 30, "packets are not dropped as no_backend")
    assert lab.gateway.packets_to_frontends() == 0

    lab.balancer.namespace.ip("link set eth1 up")
    _await_next_hop(lab, _FAR_MAC)
    assert lab.start_load(targets=targets, count=50).wait()["failed"] == 0
    assert lab.gateway.packets_to_frontends() == 0


@pytest.mark.quick
def test_new_flows_avoid_a_dsr_backend_behind_a_gateway_and_old_ones_stay(lab):
    near = lab.backends[1].address4
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "backends": [_FAR, near],
                                      "health_check": {"type": "none"}, "tracking": "all"})
    _await_next_hop(lab, _FAR_MAC)
    lab.wait_healthy("web", 2)
    targets = web_targets(lab)[:1]
    # Connections of 2 s between requests: they see the gap as a delay.
    kept = lab.start_load(targets=targets, keep=40, interval_ms=200, timeout_ms=60000).wait_steady()

    lab.balancer.namespace.ip("link set eth1 down")
    wait_until(lambda: (_row(lab)["left_out"] or {}).get("code") == "behind_gateway" and lab.in_force(), 30,
               lambda: f"the backend is not left out: {_row(lab)}")
    assert _row(lab)["state"] == "unused", _row(lab)
    assert _row(lab)["reason"].startswith("left out; its packets are dropped: "), _row(lab)
    assert f"{_FAR} is reached through gateway" in _row(lab)["reason"], _row(lab)
    status = lab.control.get("/v1/status")
    assert [row["code"] for row in status["left_out"]] == ["behind_gateway"], status["left_out"]
    figures = lab.start_load(targets=targets, count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    assert len(figures["tcp_new"]["flows_by_backend"]) == 1, figures
    before = _dropped(lab)
    wait_until(lambda: _dropped(lab) > before, 30, "packets of the backend's flows are not dropped as no_next_hop")

    lab.balancer.namespace.ip("link set eth1 up")
    _await_next_hop(lab, _FAR_MAC)
    wait_until(lambda: _row(lab)["left_out"] is None and lab.in_force(), 30, lambda: f"it is left out: {_row(lab)}")
    figures = kept.stop()
    assert figures["failed"] == 0, figures["details"]
    assert len(lab.start_load(targets=targets, count=200).wait()["tcp_new"]["flows_by_backend"]) == 2
    assert lab.gateway.packets_to_frontends() == 0


@pytest.mark.quick
def test_a_mode_that_routes_its_packets_may_use_a_gateway(lab):
    """The same backend in mode dsr and, by a change of the service, in mode ipip."""
    lab.balancer.namespace.ip("link set eth1 down")
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "backends": [_FAR],
                                      "health_check": {"type": "none"}})
    _await_next_hop(lab, None)
    lab.control.patch("/v1/services/web", {"forwarding": "ipip"})
    wait_until(lambda: (_row(lab)["next_hop"] or {}).get("mac") == lab.gateway.mac, 30,
               lambda: f"the next hop is not the gateway: {_row(lab)}")
    lab.control.patch("/v1/services/web", {"forwarding": "dsr"})
    _await_next_hop(lab, None)
