"""What happens to NICs while Fairlead uses them: cables, unplugging, bonds, bad frames, a reboot. Only with --long."""
import contextlib
import re

import pytest

from tests.guest.cells import exchange, load
from tests.guest.guest_lab import GuestLab
from tests.guest.models import LONG
from tests.lab import wait_until

pytestmark = pytest.mark.skipif(not LONG, reason="runs with --long only")
SLOW = pytest.mark.slow("starts the dataplane in a guest, which may have to boot first")

# Sends frames to a MAC with a wrong IPv4 header checksum, from the client's eth0.
_BAD_FRAMES = """
from scapy.all import Ether, IP, TCP, sendp
sendp(Ether(src="{source_mac}", dst="{mac}") / IP(src="{source}", dst="{address}", chksum=0x1234) / TCP(dport=80),
      iface="eth0", count={count}, verbose=False)
"""

# Run in the guest: a switch whose ports are {nics}. All but the {uplink} are one link by LACP.
_LACP_SWITCH = """set -e
modprobe bonding max_bonds=0
ip netns add lacp
run="ip netns exec lacp ip link"
$run add br0 type bridge forward_delay 0
$run add bond0 type bond mode 802.3ad lacp_rate fast miimon 100 xmit_hash_policy layer3+4
for nic in {nics}; do driverctl unset-override $nic; done
udevadm settle
for nic in {nics}; do
  name=$(ls /sys/bus/pci/devices/$nic/net 2>/dev/null || ls /sys/bus/pci/devices/$nic/virtio*/net)
  ip link set $name down netns lacp
  if [ $nic = {uplink} ]; then $run set $name master br0 up; else $run set $name master bond0; fi
done
$run set bond0 master br0 up
$run set br0 up
"""


@pytest.fixture(scope="module")
def guest_lab(build, image):
    """A guest with five e1000e and a virtio NIC. The third e1000e can be unplugged."""
    with GuestLab(build, (*("e1000e",) * 5, "virtio"), removable=(2,)) as lab:
        lab.start_guest()
        yield lab


@pytest.fixture
def lab(guest_lab):
    """No dataplane runs. Afterwards, it is ended, and all cables are plugged in."""
    yield guest_lab
    guest_lab.end_dataplane()
    guest_lab.tag()
    guest_lab.guest.ssh("for i in wan0 wan1; do ip link delete $i 2>/dev/null; done; true")
    for nic in guest_lab.guest.nics[:2]:
        guest_lab.guest.set_link(nic, True)


def shown_port(lab, name="wan"):
    """The port's row in the control plane's statistics."""
    return next((row for row in lab.control.get("/v1/stats")["ports"] if row["name"] == name), None)


@SLOW
def test_a_cable_that_is_pulled_is_reported_and_no_connection_breaks(lab):
    nic = lab.guest.nics[0]
    lab.serve(nic)
    assert shown_port(lab)["link"]["up"]
    connections = load(lab, keep=50, interval_ms=200).wait_steady(60 * lab.guest.patience)
    lab.guest.set_link(nic, False)
    wait_until(lambda: not shown_port(lab)["link"]["up"], 30 * lab.guest.patience, "the link is not shown as down", 0.2)
    wait_until(lambda: "LOWER_UP" not in lab.guest.ssh("ip link show wan0").stdout, 30 * lab.guest.patience,
               "wan0 has a carrier, and its NIC has none", 0.2)
    assert re.search("port wan .*: the link is down", lab.dataplane_log())
    # Longer than the checks need to find a dead backend: it is the link that is dead.
    lab.guest.ssh("sleep 15")
    states = {row["state"] for row in lab.backends_of("dsr").values()}
    assert states == {"healthy"}, lab.backends_of("dsr")
    lab.guest.set_link(nic, True)
    wait_until(lambda: shown_port(lab)["link"]["up"], 30 * lab.guest.patience, "the link is not shown as up", 0.2)
    connections.wait_answered(100, timeout_s=90 * lab.guest.patience)
    figures = connections.stop(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()
    lab.stop_dataplane()


@SLOW
def test_frames_whose_checksum_the_nic_finds_wrong_are_dropped_and_counted(lab):
    lab.serve(lab.guest.nics[0])
    script = _BAD_FRAMES.format(source_mac=lab.client.mac, mac=lab.guest.nics[0].mac, source=lab.client.address4,
                                address=lab.vip4, count=20)
    lab.client.namespace.run("/usr/bin/python3", "-c", script, timeout_s=120)
    exchange(lab, "dsr", 4)
    assert lab.stop_dataplane()["drops"].get("bad_ip_checksum", 0) == 20


@SLOW
def test_an_unplugged_nic_ends_in_a_sentence_and_no_crash(lab):
    nic = lab.guest.nics[2]
    lab.serve(nic)
    exchange(lab, "dsr", 4)
    lab.guest.qmp("device_del", id=nic.id)
    sentence = f"port wan: {nic.pci} was removed from this machine"

    def log():
        return lab.guest.ssh("journalctl -o cat -u fairlead-dataplane").stdout
    wait_until(lambda: sentence in log(), 60 * lab.guest.patience, lambda: f"no sentence tells it: {log()}", 0.5)
    # The machine does not wait for it, and the next start names it.
    wait_until(lambda: f"this host has no PCI device {nic.pci}" in log(), 60 * lab.guest.patience, log, 0.5)
    assert "dumped" not in log() and "code=killed" not in log()
    lab.guest.ssh("systemctl stop fairlead-dataplane")


@SLOW
def test_a_vlan_interface_that_is_made_again_under_load_breaks_no_connection(lab):
    lab.serve(lab.guest.nics[0], tags=(20,))
    connections = load(lab, keep=50, interval_ms=200).wait_steady(60 * lab.guest.patience)
    for _ in range(3):
        lab.guest.ssh("ip link delete wan0.20")
        wait_until(lambda: all(row["check_skipped"] for row in lab.backends_of("dsr").values()),
                   30 * lab.guest.patience, "the checks do not see that the VLAN interface is gone", 0.2)
        lab.configure_network(20)
        lab.wait_all_healthy()
        connections.wait_answered(100, timeout_s=90 * lab.guest.patience)
    figures = connections.stop(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.stop_dataplane()


@SLOW
def test_two_ports_forward_between_two_networks(lab):
    """nat from the clients' network on the first NIC to the backends' on the second."""
    first, second = lab.guest.nics[:2]
    lab.switch.ip("link add name br1 type bridge forward_delay 0", "link set br1 up",
                  *(f"link set {name} master br1" for name in (second.tap, *(each.name for each in lab.backends))))
    try:
        lab.use(first, second)
        port = lab.port(first.pci)
        lab.start_dataplane(ports=[
            {**port, "addresses": ["192.0.2.2"]},
            {**port, "name": "lan", "device": second.pci, "kernel": "tap:wan1", "gateway": None}])
        # The addresses are on the backends' side, the routes to clients on the other.
        lab.configure_network(addresses_on="wan1")
        lab.add_services()
        lab.wait_all_healthy()
        exchange(lab, "nat", 4)
        exchange(lab, "nat", 6)
        lab.stop_dataplane()
    finally:
        lab.switch.ip(*(f"link set {name} master br0" for name in (second.tap, *(each.name for each in lab.backends))),
                      "link delete br1")


@SLOW
@pytest.mark.parametrize("mode", [1, 2])  # active-backup, balance-xor
def test_a_bond_goes_on_with_one_link_down(lab, mode):
    nics = lab.guest.nics[:2]
    lab.serve(*nics, **bond_of(lab, nics, mode))
    pull_each_cable(lab, nics)


@SLOW
def test_a_bond_in_mode_4_aggregates_with_linux_and_goes_on_with_one_link_down(lab):
    first, second, _, *others = lab.guest.nics
    lab.use(first, second)
    with lacp_switch(lab, (first, second), others):
        lab.start_dataplane(**bond_of(lab, (first, second), 4))

        def aggregated():
            state = lab.guest.ssh("ip netns exec lacp cat /proc/net/bonding/bond0").stdout
            return "Number of ports: 2" in state and f"Partner Mac Address: {first.mac}" in state
        # Nothing is sent yet but what the bond itself sends.
        wait_until(aggregated, 60 * lab.guest.patience, "Linux does not find the bond by LACP", 1)
        lab.configure_network()
        lab.add_services()
        lab.wait_all_healthy()
        pull_each_cable(lab, (first, second))


def bond_of(lab, nics, mode):
    """The arguments of start_dataplane() for a bond of the NICs (docs/operations.md, "Bonds")."""
    members = "".join(f",slave={nic.pci}" for nic in nics)
    allowed = " ".join(f"-a {nic.pci}" for nic in nics)
    return {"ports": [lab.port("vdev:net_bonding0")],
            "extra": f"-- --vfio-intr=msi {allowed} --vdev=net_bonding0,mode={mode}{members}"}


def pull_each_cable(lab, nics):
    """Pulls one after the other under load. No connection breaks."""
    connections = load(lab, keep=50, interval_ms=200).wait_steady(60 * lab.guest.patience)
    for nic in nics:
        lab.guest.set_link(nic, False)
        connections.wait_answered(200, timeout_s=90 * lab.guest.patience)
        exchange(lab, "dsr", 4)
        lab.guest.set_link(nic, True)
        connections.wait_answered(200, timeout_s=90 * lab.guest.patience)
    figures = connections.stop(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()
    lab.stop_dataplane()


@contextlib.contextmanager
def lacp_switch(lab, members, nics):
    """Plugs the bond's members into a switch with LACP: Linux's bond of two more NICs of the guest, in a namespace of
    the guest, and a bridge from there to the lab's switch by a third.
    """
    *ends, uplink = nics
    taps = [nic.tap for nic in (*members, *ends)]
    lab.switch.ip(*(f"link set {tap} nomaster" for tap in taps), *(f"link set {nic.tap} up" for nic in nics))
    for tap, other in zip(taps, taps[2:] + taps[:2], strict=True):
        lab.switch.run("tc", "qdisc", "add", "dev", tap, "clsact")
        lab.switch.run("tc", "filter", "add", "dev", tap, "ingress", "protocol", "all", *"u32 match u32 0 0".split(),
                       "action", "mirred", "egress", "redirect", "dev", other)
    try:
        lab.guest.ssh(_LACP_SWITCH.format(nics=" ".join(nic.pci for nic in nics), uplink=uplink.pci))
        yield
    finally:
        lab.guest.ssh("ip netns delete lacp", check=False)
        lab.tag()  # removes the filters
        lab.switch.ip(*(f"link set {tap} master br0" for tap in taps))


@SLOW
def test_a_reboot_under_load_comes_back_by_itself(lab):
    lab.serve(lab.guest.nics[0])
    connections = load(lab, keep=20, interval_ms=500).wait_steady(60 * lab.guest.patience)
    lab.guest.reboot()
    connections.wait_answered(100, timeout_s=180 * lab.guest.patience)
    figures = connections.stop(timeout_s=180 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()
