"""The TAP through which the kernel uses a NIC that it cannot access.

An AF_PACKET port takes the place of a poll-mode NIC. Its interface has no address, and nftables drops its packets
before the kernel's stack (packet sockets receive them earlier).
"""
import json
import os
import time

import pytest

from tests.e2e.conftest import configure, ping, web_targets
from tests.e2e.test_forwarding import stop_dataplane
from tests.lab import wait_until
from tests.lab.process import run

HIDE = """table netdev NIC { chain hide { type filter hook ingress device NIC priority 0; policy drop; }\n}\n"""


def take_nic_away(lab, interface="eth0"):
    """The kernel's stack receives nothing from the interface any more."""
    lab.balancer.namespace.sysctl({f"net.ipv6.conf.{interface}.disable_ipv6": 1})
    lab.balancer.namespace.ip(f"address flush dev {interface}")
    run(lab.balancer.namespace.command(["nft", "-f", "-"]), input=HIDE.replace("NIC", interface))


def give_addresses(lab):
    """Gives the TAP the addresses and routes that eth0 had."""
    lab.balancer.namespace.ip("address add 10.0.0.2/24 dev wan0", "address add 2001:db8:a::2/64 dev wan0 nodad",
                              "route add 198.51.100.0/24 dev wan0", "route add 2001:db8:c::/64 dev wan0")


def start(lab, **options):
    take_nic_away(lab)
    lab.start_dataplane(extra=["--kernel", "wan=tap:wan0"], **options)
    give_addresses(lab)
    lab.start_control()


@pytest.fixture
def lab(bare_lab):
    start(bare_lab)
    configure(bare_lab)
    return bare_lab


def assert_balanced(report):
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    path = report["kernel_paths"][0]
    assert report["to_kernel"] == path["delivered"] + path["lost"], report
    assert path["received"] == path["sent"] + path["unsent"], report
    assert report["mbufs_in_use"] == 0
    return path


@pytest.mark.quick
@pytest.mark.parametrize(("workers", "spread"), [(1, "auto"), (2, "hardware"), (2, "software")])
def test_the_host_is_reachable_through_its_tap_beside_the_frontends(bare_lab, workers, spread):
    lab = bare_lab
    start(lab, workers=workers, port={"spread": spread})
    configure(lab)  # health checks and neighbour resolution use the TAP
    command = ["/usr/bin/python3", "-m", "http.server", "22", "--bind", "::", "--directory", lab.dir / "files"]
    server = lab.spawn("own", command, lab.balancer.namespace)
    (lab.dir / "files").mkdir()
    (lab.dir / "files" / "data").write_bytes(b"x" * 2_000_000)
    server.wait_listening(22)
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=10, new_per_second=100)
    for address in ("10.0.0.2", "[2001:db8:a::2]"):
        size = lab.client.namespace.run("curl", "-sS", "-g", "-m", 20, "-o", "/dev/null", "-w", "%{size_download}",
                                        f"http://{address}:22/data").stdout
        assert size == "2000000"
    for address in ("10.0.0.2", "2001:db8:a::2", lab.vip4, lab.vip6):
        assert ping(lab.client, address), address
    assert ping(lab.balancer, lab.client.address4) and ping(lab.balancer, lab.client.address6)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    def port():  # in the control plane's statistics, which are updated every second
        return next(iter(lab.control.get("/v1/stats")["ports"]), None)
    shown = wait_until(lambda: (now := port()) and now["kernel_path"]["delivered"] > 200 and now, 20,
                       lambda: f"the statistics do not show 200 packets to the kernel: {port()}")
    assert (shown["name"], shown["interface"]) == ("wan", "wan0")
    lab.fairleadd.stop()
    path = assert_balanced(stop_dataplane(lab))
    assert (path["port"], path["interface"]) == ("wan", "wan0")
    for counter, at_exit in shown["kernel_path"].items():
        assert at_exit <= path[counter], (shown, path)
    assert path["lost"] == path["unsent"] == 0, path
    # Two downloads of 2 MB. One acknowledgement may cover many segments.
    assert path["delivered"] > 200 and path["received"] > 2000, path


@pytest.mark.quick
def test_the_tap_has_the_ports_mac_and_mtu_and_outlives_the_dataplane(bare_lab):
    lab = bare_lab
    take_nic_away(lab)
    lab.balancer.namespace.ip("link set eth0 mtu 1400")
    lab.start_dataplane(extra=["--kernel", "wan=tap:wan0"])
    link = interface(lab, "wan0")
    assert (link["address"], link["mtu"]) == (lab.balancer.mac, 1400)
    assert "LOWER_UP" in link["flags"]
    give_addresses(lab)
    stop_dataplane(lab)
    assert "LOWER_UP" not in interface(lab, "wan0")["flags"]
    assert "10.0.0.2/24" in lab.balancer.namespace.run("ip", "address", "show", "wan0").stdout
    # Taken over with another MTU. A TAP in use is not shared.
    lab.balancer.namespace.ip("link set eth0 mtu 1500")
    lab.start_dataplane(extra=["--kernel", "wan=tap:wan0"])
    assert interface(lab, "wan0")["mtu"] == 1500 and interface(lab, "wan0")["ifindex"] == link["ifindex"]
    assert ping(lab.client, "10.0.0.2")
    second = lab.spawn("second", [
        lab.program("dataplane/fairlead-dataplane"), "--port", "wan=null", "--kernel", "wan=tap:wan0", "--no-link",
        "--", "--no-huge", "--no-pci", "-m", "512"], lab.balancer.namespace)
    assert second.wait(20) == 1
    assert "kernel: tap:wan0 is already in use by another fairlead-dataplane" in second.errors()


def interface(lab, name):
    return json.loads(lab.balancer.namespace.run("ip", "-j", "link", "show", name).stdout)[0]


# Longer than it takes to find a dead backend.
GAP_S = 60 if os.environ.get("FAIRLEAD_LONG") else 12


@pytest.mark.slow("the dataplane is away for 12 s, or for 60 s with --long")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_connection_breaks_while_the_dataplane_is_away(lab, end):
    """The checks go through the TAP. Without the dataplane, they say nothing about the backends."""
    load = lab.start_load(targets=web_targets(lab), keep=400, interval_ms=200,
                          timeout_ms=(GAP_S + 60) * 1000).wait_steady()
    getattr(lab.dataplane, end)()
    time.sleep(GAP_S)
    for row in lab.backends_of("web").values():
        assert row["state"] == "healthy" and "the dataplane is away" in row["reason"], row
    lab.start_dataplane(extra=["--kernel", "wan=tap:wan0"])  # the addresses and routes of wan0 are still there
    lab.wait_healthy("web", 4)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    # Afterwards, a backend that fails is found as before.
    lab.backends[0].kill()
    wait_until(lambda: lab.backends_of("web")[lab.backends[0].address4]["state"] == "unhealthy", 30,
               "the checks do not find a dead backend")
    assert_balanced(stop_dataplane(lab))


def test_jumbo_frames_pass_to_and_from_the_kernel(bare_lab):
    """An echo request of 9,000 bytes, unfragmented: in through the TAP and out again. Then from the host."""
    lab = bare_lab
    for name in ("balancer", "client1"):
        lab.switch.ip(f"link set {name} mtu 9000")
    lab.balancer.namespace.ip("link set eth0 mtu 9000")
    lab.client.namespace.ip("link set eth0 mtu 9000")
    start(lab)
    assert interface(lab, "wan0")["mtu"] == 9000
    for source, target in ((lab.client, "10.0.0.2"), (lab.balancer, lab.client.address4)):
        assert ping(source, target, "-M", "do", "-s", 9000 - 28), target
    assert_balanced(stop_dataplane(lab))


def test_frames_to_a_tap_that_is_down_are_lost_and_counted_until_it_is_up_again(lab):
    assert ping(lab.client, "10.0.0.2")
    lab.balancer.namespace.ip("link set wan0 down")
    before = lab.telemetry("/fairlead/ports,wan")
    assert not ping(lab.client, "10.0.0.2", count=1, wait_s=2, rounds=1)
    wait_until(lambda: lab.telemetry("/fairlead/ports,wan")["kernel_lost"] > before["kernel_lost"], 20,
               "kernel_lost does not rise while the TAP is down")
    lab.balancer.namespace.ip("link set wan0 up")
    give_addresses_again(lab)
    wait_until(lambda: ping(lab.client, "10.0.0.2", wait_s=2, rounds=1), 20, "the kernel does not answer")
    lab.wait_healthy("web", 4)
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    assert assert_balanced(stop_dataplane(lab))["lost"] > 0


def give_addresses_again(lab):
    """Adds again what the kernel removed with the link: IPv6 addresses and all routes."""
    lab.balancer.namespace.ip("address replace 2001:db8:a::2/64 dev wan0 nodad",
                              "route replace 198.51.100.0/24 dev wan0", "route replace 2001:db8:c::/64 dev wan0")


@pytest.mark.parametrize("device, arguments, status, sentence", [
    ("af_packet:eth0", ["--kernel", "wan=tap:eth0"], 78, "is already in use"),
    ("af_packet:eth0", ["--kernel", "wan=tap:lo"], 1,
     "kernel: tap:lo already exists, and is not a TAP interface of several queues; choose another name"),
    ("af_packet:eth0", ["--kernel", "wan=wan0"], 78, "'wan0' is not a path to the kernel; write tap:NAME"),
    ("af_packet:eth0", ["--kernel", "lan=tap:wan0"], 78, "no port is named 'lan'"),
    ("af_xdp:eth0", ["--kernel", "wan=tap:wan0"], 78,
     "af_xdp:eth0 already shares the NIC with the kernel; remove `kernel`"),
])
def test_a_wrong_kernel_setting_is_refused_with_the_reason(bare_lab, device, arguments, status, sentence):
    ended = bare_lab.start_dataplane(device=device, extra=arguments, wait=False)
    assert ended.wait(20) == status
    assert sentence in ended.errors().strip().splitlines()[-1]


def test_the_tap_has_its_mac_again_after_another_program_changed_it(lab):
    """systemd-udevd changes the MAC of a new interface, sometimes after the dataplane has set it."""
    def mac():
        return json.loads(lab.balancer.namespace.run("ip", "-j", "link", "show", "wan0").stdout)[0]["address"]
    assert mac() == lab.balancer.mac
    lab.balancer.namespace.ip("link set wan0 address 02:00:00:00:99:99")
    wait_until(lambda: mac() == lab.balancer.mac, 20, "wan0 keeps the other MAC")
    assert ping(lab.balancer, lab.client.address4)
    assert "another program gave wan0 the MAC 02:00:00:00:99:99" in lab.dataplane.tail(1000)
