"""Announcements of frontends: to hosts with an outdated neighbour entry, and to switches that snoop MLD."""
import time

import pytest

from tests.e2e.conftest import configure, ping, web_targets
from tests.e2e.test_vlan_bond import make_trunk
from tests.lab import wait_until
from tests.lab.process import run

_STALE_MAC = "02:00:00:00:dd:01"
_BOND_DEVICES = ("net_af_packet_a,iface=eth0,blocksz=16384,framesz=2048,framecnt=2048",
                 "net_bonding0,mode=1,slave=net_af_packet_a,mac=02:00:00:00:00:02")


def _set_neighbour_entries(lab, mac=_STALE_MAC):
    """Sets the frontends' MAC in the client's neighbour table. The client sends no solicitations for them."""
    for vip in (lab.vip4, lab.vip6):
        lab.client.namespace.ip(f"neigh replace {vip} lladdr {mac} nud reachable dev eth0")


def _known_macs(lab):
    """The MACs of the frontends in the client's neighbour table."""
    shown = [run(lab.client.namespace.command(["ip", "neigh", "show", vip, "dev", "eth0"])).stdout
             for vip in (lab.vip4, lab.vip6)]
    return {text.split("lladdr ")[-1].split()[0] for text in shown}


def _await_learned(lab, when):
    wait_until(lambda: _known_macs(lab) == {lab.balancer.mac}, 30,
               lambda: f"the client has not learned the balancer's MAC {when}: {_known_macs(lab)}")


class _Listener:
    """Counts the announcements of the frontends that reach the client. It sends nothing itself."""

    _SCRIPT = """
import signal, socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth0", 0))
print("ready", flush=True)
while True:
    frame = wire.recv(2048)
    if frame[:6] == b"\\xff" * 6 and frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
        print(socket.inet_ntop(socket.AF_INET, frame[28:32]), flush=True)
    if frame[:6] == b"\\x33\\x33\\0\\0\\0\\x01" and frame[54:55] == b"\\x88":
        print(socket.inet_ntop(socket.AF_INET6, frame[62:78]), flush=True)
"""

    def __init__(self, lab):
        self._vips = (lab.vip4, lab.vip6)
        self._process = lab.spawn(f"listener-{time.monotonic_ns()}", ["/usr/bin/python3", "-c", self._SCRIPT],
                                  lab.client.namespace)
        wait_until(lambda: "ready" in self._process.output(), 30,
                   lambda: f"the listener does not start\n{self._process.tail()}")

    def heard(self):
        return [self._process.output().split().count(vip) for vip in self._vips]


@pytest.mark.quick
def test_a_frontend_is_announced_when_it_is_added_when_the_dataplane_starts_and_when_the_link_comes_up(lab):
    _set_neighbour_entries(lab)
    listener = _Listener(lab)
    configure(lab)
    _await_learned(lab, "after the service came into force")
    wait_until(lambda: listener.heard() == [3, 3], 30,
               lambda: f"each frontend must be announced 3 times: {listener.heard()}")

    lab.dataplane.kill()
    _set_neighbour_entries(lab)
    lab.start_dataplane()
    _await_learned(lab, "after the dataplane started")
    wait_until(lambda: listener.heard() == [6, 6], 30,
               lambda: f"each frontend must be announced 6 times: {listener.heard()}")

    lab.switch.ip("link set balancer down")
    _set_neighbour_entries(lab)
    time.sleep(3)  # on an idle machine, the dataplane checks the link four times a second
    lab.switch.ip("link set balancer up")
    _await_learned(lab, "after the link came up")
    # Each event causes three announcements, and no more.
    wait_until(lambda: listener.heard() == [9, 9], 30,
               lambda: f"each frontend must be announced 9 times: {listener.heard()}")
    time.sleep(2)
    assert listener.heard() == [9, 9]


@pytest.mark.quick
def test_a_port_with_announce_false_sends_no_announcements(bare_lab):
    lab = bare_lab
    lab.start_dataplane(port={"announce": False})
    lab.start_control()
    listener = _Listener(lab)
    configure(lab)
    time.sleep(3)
    assert listener.heard() == [0, 0]
    assert ping(lab.client, lab.vip6)


@pytest.mark.quick
def test_a_port_announces_frontends_and_reports_memberships_in_its_vlans(bare_lab):
    """The switch's port to the balancer carries VLAN 20 only. The switch, which snoops MLD, has no other report."""
    lab = bare_lab
    make_trunk(lab, "push_vlan", "pop_vlan")
    lab.start_dataplane(port={"announce_vlans": [20]})
    lab.start_control()
    _set_neighbour_entries(lab)
    listener = _Listener(lab)
    backends = [{"address": backend.address4, "mac": backend.mac} for backend in lab.backends]
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp", f"[{lab.vip6}]:80/tcp"],
                                      "backends": backends, "health_check": {"type": "none"}})
    _await_learned(lab, "by announcements in VLAN 20")
    wait_until(lambda: listener.heard() == [3, 3], 30,
               lambda: f"each frontend must be announced 3 times: {listener.heard()}")
    assert "ff02::1:ff00:10" in _groups(lab)
    lab.client.namespace.ip("neigh flush all")
    assert ping(lab.client, lab.vip6)
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]


def _groups(lab):
    """The multicast groups that the switch forwards to the balancer."""
    lines = lab.switch.run("bridge", "mdb", "show").stdout.splitlines()
    return {line.split(" grp ")[1].split()[0] for line in lines if " port balancer " in line}


@pytest.mark.quick
@pytest.mark.parametrize("kernel", [True, False])
def test_a_switch_that_snoops_mld_forwards_solicitations_to_the_balancer(bare_lab, kernel):
    """`kernel`: the port is a kernel interface, and the kernel reports memberships. Else the dataplane reports them."""
    lab = bare_lab
    if kernel:
        lab.start_dataplane()
    else:
        eal = [f"--vdev={device}" for device in _BOND_DEVICES]
        lab.start_dataplane(device="vdev:net_bonding0", eal=eal)
    lab.start_control()
    backends = [{"address": backend.address4, "mac": backend.mac} for backend in lab.backends]
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"[{lab.vip6}]:80/tcp"], "backends": backends,
                                      "health_check": {"type": "none"}})
    wait_until(lambda: "ff02::1:ff00:10" in _groups(lab), 30,
               lambda: f"the balancer is no member of ff02::1:ff00:10: {_groups(lab)}")
    lab.client.namespace.ip("neigh flush all")
    assert ping(lab.client, lab.vip6)
    if not kernel:
        return
    # The kernel answers the switch's queries, so the membership outlasts the switch's membership interval (4 s).
    lab.switch.ip("link set br0 type bridge mcast_query_interval 100 mcast_query_response_interval 50 "
                  "mcast_membership_interval 400 mcast_startup_query_interval 100 mcast_querier 0",
                  "link set br0 type bridge mcast_querier 1")
    time.sleep(9)
    assert "ff02::1:ff00:10" in _groups(lab)
    lab.control.delete("/v1/services/web")
    wait_until(lambda: "ff02::1:ff00:10" not in _groups(lab), 30,
               lambda: f"the membership does not end with the frontend: {_groups(lab)}")
