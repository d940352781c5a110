"""The link of a port goes down and comes up again: what shows it, and what it must not be taken for."""
import json
import os
import time

import pytest

from tests.e2e.conftest import configure, ping, web_targets
from tests.e2e.test_kernel_tap import start as start_with_tap
from tests.e2e.test_watch import Watcher
from tests.lab import wait_until

# Longer than ten failed checks of `configure`, after which a dead backend is unhealthy.
DOWN_S = 6


@pytest.fixture(params=["tap", "af_packet"])
def lab(request, bare_lab):
    """The kernel reaches the port's network through the port's TAP, or by the port's interface itself."""
    if request.param == "tap":
        start_with_tap(bare_lab)
    else:
        bare_lab.start_dataplane()
        bare_lab.start_control()
    bare_lab.interface = "wan0" if request.param == "tap" else "eth0"
    configure(bare_lab)
    return bare_lab


def has_carrier(lab):
    shown = lab.balancer.namespace.run("ip", "-j", "link", "show", lab.interface).stdout
    return "LOWER_UP" in json.loads(shown)[0]["flags"]


def shown_link(lab):
    ports = lab.control.get("/v1/status")["dataplane"]["ports"]
    return ports[0]["link"] if ports else None


def metric(lab, name):
    lines = lab.control.raw("GET", "/metrics")[1].splitlines()
    return [float(line.split()[1]) for line in lines if line.startswith(name + '{port="wan"')]


def reasons(lab):
    return [row["reason"] for row in lab.backends_of("web").values()]


def states(lab):
    return {row["state"] for row in lab.backends_of("web").values()}


def explained(lab):
    return lab.fairctl("explain", "tcp", f"{lab.client.address4}:40000", f"{lab.vip4}:80").stdout


def set_link(lab, state):
    """Of the switch's port. The balancer's interface stays up, without a carrier."""
    lab.switch.ip(f"link set {lab.balancer.name} {state}")


@pytest.mark.slow("the link is down for longer than it takes to find a dead backend")
def test_a_dead_link_is_shown_and_is_not_taken_for_dead_backends(lab):
    wait_until(lambda: shown_link(lab), 20, "the status shows no link")
    assert shown_link(lab)["up"] and metric(lab, "fairlead_port_link_up") == [1]
    assert "links       1 up" in lab.fairctl("status").stdout
    watcher = Watcher(lab).wait(lambda w: w.of("synced"), "no line synced")

    set_link(lab, "down")
    wait_until(lambda: "port wan (af_packet:eth0): the link is down" in lab.dataplane.errors(), 20,
               "the dataplane does not log that the link is down")
    wait_until(lambda: not has_carrier(lab), 20, f"{lab.interface} keeps its carrier")
    watcher.wait(lambda w: w.of("port")[-1]["link"]["up"] is False, "no event that the link is down")
    assert watcher.of("port")[-1]["name"] == "wan"
    wait_until(lambda: all("not checked now: port wan has no link" in reason for reason in reasons(lab)), 20,
               lambda: f"not every backend's reason names the link: {reasons(lab)}")
    time.sleep(DOWN_S)
    assert states(lab) == {"healthy"}
    assert not shown_link(lab)["up"] and metric(lab, "fairlead_port_link_up") == [0]
    assert metric(lab, "fairlead_port_link_changes_total") == [1]
    assert "port wan: link down for" in lab.fairctl("status").stdout
    assert "port wan: link down, 1 change since start" in lab.fairctl("stats").stdout
    assert "port_link_down port=wan" in lab.fairleadd.errors()
    assert "The packet cannot leave now: port wan has no link." in explained(lab)
    telemetry = lab.telemetry("/fairlead/ports,wan")
    assert (telemetry["link_up"], telemetry["link_changes"]) == (0, 1)

    set_link(lab, "up")
    wait_until(lambda: has_carrier(lab), 20, f"{lab.interface} gets no carrier")
    watcher.wait(lambda w: w.of("port")[-1]["link"]["up"], "no event that the link is up")
    wait_until(lambda: not any("not checked" in reason for reason in reasons(lab)), 30,
               lambda: f"not every backend is checked again: {reasons(lab)}")
    assert shown_link(lab)["up"] and metric(lab, "fairlead_port_link_up") == [1]
    assert "port_link_up port=wan" in lab.fairleadd.errors()
    assert "port wan (af_packet:eth0): the link is up again after " in lab.dataplane.errors()
    assert "has no link" not in explained(lab)
    assert ping(lab.client, "10.0.0.2")
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]
    # No status in between was another.
    assert {line["backend"]["state"] for line in watcher.of("status")} <= {"healthy", "unchecked"}
    assert "backend_unhealthy" not in lab.fairleadd.errors()
    # A backend that fails is found as before.
    lab.backends[0].kill()
    wait_until(lambda: "unhealthy" in states(lab), 30, "the checks do not find a dead backend")


def test_a_dataplane_that_starts_without_a_link_says_so_and_works_when_it_comes(bare_lab):
    lab = bare_lab
    set_link(lab, "down")
    lab.start_dataplane()
    lab.start_control()
    assert "port wan (af_packet:eth0): the link is down" in lab.dataplane.errors()
    wait_until(lambda: "port_link_down port=wan" in lab.fairleadd.errors(), 20, "fairleadd does not log the link")
    set_link(lab, "up")
    configure(lab)
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]
    wait_until(lambda: shown_link(lab)["up"], 20, "the status shows no link")
    # NIC counters are there, and nothing was lost on this link.
    nic = lab.control.get("/v1/stats")["ports"][0]["nic"]
    assert nic["rx_missed"] == nic["rx_errors"] == nic["rx_no_buffer"] == 0, nic


@pytest.mark.parametrize("kind", ["af_packet", pytest.param("af_xdp", marks=pytest.mark.skipif(
    os.geteuid() != 0, reason="AF_XDP needs root"))])
def test_an_interface_that_is_made_again_ends_the_dataplane_for_another_start(bare_lab, kind):
    lab = bare_lab
    make = ("link add eth9 type veth peer name far9", "link set eth9 up", "link set far9 up")
    lab.balancer.namespace.ip(*make)
    device = f"{kind}:eth9"
    dataplane = lab.start_dataplane(device=device)
    lab.balancer.namespace.ip("link del eth9")
    wait_until(lambda: "interface eth9 is gone; when another one has its name" in dataplane.errors(), 30,
               lambda: f"the dataplane does not say that the interface is gone: {dataplane.errors()}")
    assert dataplane.running()
    wait_until(lambda: lab.telemetry("/fairlead/ports,wan")["link_up"] == 0, 30, "its link is not down")
    lab.balancer.namespace.ip(*make)
    assert dataplane.wait(30) == 1
    assert "port wan: interface eth9 was deleted and made again; the next start opens it" in dataplane.errors()
    lab.start_dataplane(device=device)
    wait_until(lambda: lab.telemetry("/fairlead/ports,wan")["link_up"] == 1, 30, "the next start finds no link")


def test_a_tap_that_is_deleted_ends_the_dataplane_and_the_next_start_makes_it_again(bare_lab):
    lab = bare_lab
    kernel = ["--kernel", "wan=tap:wan0"]
    dataplane = lab.start_dataplane(extra=kernel)
    lab.balancer.namespace.ip("link del wan0")
    assert dataplane.wait(30) == 1
    assert "port wan: kernel: interface wan0 was deleted; the next start makes it again" in dataplane.errors()
    lab.start_dataplane(extra=kernel)
    assert "wan0" in lab.balancer.namespace.run("ip", "-br", "link").stdout
