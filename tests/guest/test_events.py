"""What happens to NICs while Fairlead uses them: cables, unplugging, bonds, bad frames, a reboot. Only with --long."""
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


@pytest.fixture(scope="module")
def guest_lab(build, image):
    """A guest with three e1000e. The third can be unplugged."""
    with GuestLab(build, ("e1000e",) * 3, removable=(2,)) as lab:
        lab.start_guest()
        lab.start_backends()
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


def start(lab, *nics, tags=(), **options):
    lab.use(*nics)
    lab.start_dataplane(**options)
    lab.tag(*tags)
    lab.configure_network(*tags)
    lab.add_services()
    lab.wait_all_healthy()


def shown_port(lab, name="wan"):
    """The port's row in the control plane's statistics."""
    return next((row for row in lab.control.get("/v1/stats")["ports"] if row["name"] == name), None)


@SLOW
def test_a_cable_that_is_pulled_is_reported_and_no_connection_breaks(lab):
    nic = lab.guest.nics[0]
    start(lab, nic)
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
    start(lab, lab.guest.nics[0])
    script = _BAD_FRAMES.format(source_mac=lab.client.mac, mac=lab.guest.nics[0].mac, source=lab.client.address4,
                                address=lab.vip4, count=20)
    lab.client.namespace.run("/usr/bin/python3", "-c", script, timeout_s=120)
    exchange(lab, "dsr", 4)
    assert lab.stop_dataplane()["drops"].get("bad_ip_checksum", 0) == 20


@SLOW
def test_an_unplugged_nic_ends_in_a_sentence_and_no_crash(lab):
    nic = lab.guest.nics[2]
    start(lab, nic)
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
    start(lab, lab.guest.nics[0], tags=(20,))
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
    first, second = lab.guest.nics[:2]
    bond = f"net_bonding0,mode={mode},slave={first.pci},slave={second.pci}"
    start(lab, first, second, ports=[lab.port("vdev:net_bonding0")],
          extra=f"-- --vfio-intr=msi -a {first.pci} -a {second.pci} --vdev={bond}")  # docs/operations.md, "Bonds"
    connections = load(lab, keep=50, interval_ms=200).wait_steady(60 * lab.guest.patience)
    for nic in (first, second):
        lab.guest.set_link(nic, False)
        connections.wait_answered(200, timeout_s=90 * lab.guest.patience)
        exchange(lab, "dsr", 4)
        lab.guest.set_link(nic, True)
        connections.wait_answered(200, timeout_s=90 * lab.guest.patience)
    figures = connections.stop(timeout_s=120 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()
    lab.stop_dataplane()


@SLOW
def test_a_reboot_under_load_comes_back_by_itself(lab):
    start(lab, lab.guest.nics[0])
    connections = load(lab, keep=20, interval_ms=500).wait_steady(60 * lab.guest.patience)
    lab.guest.reboot()
    connections.wait_answered(100, timeout_s=180 * lab.guest.patience)
    figures = connections.stop(timeout_s=180 * lab.guest.patience)
    assert figures["failed"] == 0, figures["details"]
    lab.wait_all_healthy()
