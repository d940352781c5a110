"""VLAN trunks and bonds as ports."""
import os

import pytest

from tests.e2e.conftest import configure, ping, web_targets
from tests.e2e.test_forwarding import stop_dataplane
from tests.e2e.test_kernel_tap import assert_balanced, give_addresses, take_nic_away
from tests.lab import wait_until

BACKENDS = 20  # the backends' VLAN id; the clients' is 10
needs_host_root = pytest.mark.skipif(bool(os.environ.get("FAIRLEAD_LAB_UNSHARED")) or os.geteuid() != 0,
                                     reason="AF_XDP needs root in the host's own user namespace")


def make_trunk(lab, to_balancer="to_balancer", from_balancer="from_balancer"):
    """Puts the clients into one VLAN, the backends into another, and the balancer's port into both (trunk.bpf.c).

    The arguments are the sections of trunk.bpf.c.
    """
    program = lab.program("tests/lab/trunk.bpf.o")
    lab.switch.run("tc", "qdisc", "add", "dev", "balancer", "clsact")
    for hook, section in (("egress", to_balancer), ("ingress", from_balancer)):
        lab.switch.run("tc", "filter", "add", "dev", "balancer", hook, "bpf", "direct-action", "obj", program,
                       "sec", f"tc/{section}")
    # XDP does not see a VLAN tag that is in the packet's metadata (docs/operations.md, "VLANs").
    lab.switch.run("ethtool", "-K", "balancer", "txvlan", "off")


@pytest.mark.quick
@pytest.mark.parametrize("device", ["af_packet:eth0", pytest.param("af_xdp:eth0", marks=needs_host_root)])
def test_requests_pass_from_the_clients_vlan_to_the_backends_vlan(bare_lab, device):
    lab = bare_lab
    make_trunk(lab)
    lab.start_dataplane(device=device)
    lab.start_control()
    backends = [{"address": each.address4, "mac": each.mac, "vlan": BACKENDS} for each in lab.backends]
    for name, port in (("web", "80/tcp"), ("echo", "7/udp")):
        lab.control.post("/v1/services", {"name": name, "frontends": [f"{lab.vip4}:{port}", f"[{lab.vip6}]:{port}"],
                                          "health_check": {"type": "none"}, "backends": backends})
    wait_until(lab.in_force, 20, "the services are not in force")
    figures = lab.start_load(targets=web_targets(lab), count=300, udp_count=100, udp_new_per_second=500).wait()
    assert figures["failed"] == 0, figures["details"]
    assert len(figures["tcp_new"]["flows_by_backend"]) == 4
    assert ping(lab.client, lab.vip4) and ping(lab.client, lab.vip6)  # answered in the clients' VLAN
    lab.fairleadd.stop()
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["mbufs_in_use"] == 0
    assert set(report["drops"]) <= {"answered", "other_mac"}, report


def start_bond(lab, mode, *options):
    """Starts the dataplane on a bond of the balancer's eth0 and another interface, eth1."""
    lab.switch.ip(f"link add name balancer-b type veth peer name eth1 netns {lab.balancer.namespace.name}",
                  "link set balancer-b master br0 up")
    lab.balancer.namespace.run("ethtool", "-K", "eth1", *"tx off rx off tso off gso off gro off".split())
    lab.balancer.namespace.ip("link set eth1 up")
    for interface in ("eth0", "eth1"):
        take_nic_away(lab, interface)
    rings = "blocksz=16384,framesz=2048,framecnt=2048"
    lab.start_dataplane(device="vdev:net_bonding0", extra=options, eal=[
        f"--vdev=net_af_packet_a,iface=eth0,{rings}", f"--vdev=net_af_packet_b,iface=eth1,{rings}",
        f"--vdev=net_bonding0,mode={mode},slave=net_af_packet_a,slave=net_af_packet_b,mac={lab.balancer.mac}"])


@pytest.mark.quick
def test_a_bond_in_mode_4_speaks_lacp_without_other_traffic(bare_lab):
    lab = bare_lab
    start_bond(lab, 4)
    for port in ("balancer", "balancer-b"):
        lab.switch.run("tcpdump", "-Z", "root", "-c", 1, "-Q", "in", "-i", port, "ether proto 0x8809", timeout_s=60)
    lab.dataplane.stop(timeout_s=20)


@pytest.mark.parametrize("mode", [1, 2])  # active-backup, balance-xor
def test_a_bond_of_two_members_is_one_port(bare_lab, mode):
    """As in docs/operations.md, "Bonds", with AF_PACKET members in place of NICs. The kernel uses the TAP wan0."""
    lab = bare_lab
    start_bond(lab, mode, "--kernel", "wan=tap:wan0")
    give_addresses(lab)
    lab.start_control()
    configure(lab)
    figures = lab.start_load(targets=web_targets(lab), count=500, udp_count=100, udp_new_per_second=500).wait()
    assert figures["failed"] == 0, figures["details"]
    assert ping(lab.client, "10.0.0.2") and ping(lab.client, lab.vip4)
    sent = [lab.telemetry(f"/ethdev/stats,{member}")["opackets"] for member in (0, 1)]
    assert (min(sent) > 100) if mode == 2 else (min(sent) == 0 and max(sent) > 1000), sent
    lab.fairleadd.stop()
    assert_balanced(stop_dataplane(lab))
