"""AF_XDP ports: our steering program on the balancer's own NIC, beside the kernel's own traffic."""
import hashlib
import json
import os
import pathlib

import pytest

from tests.agent.host import BPFTOOL, mount_bpf_files
from tests.e2e.conftest import configure, ping, web_targets
from tests.e2e.test_forwarding import stop_dataplane
from tests.lab import wait_until
from tests.lab.process import run
from tests.lab.sshd import SshServer

pytestmark = pytest.mark.skipif(bool(os.environ.get("FAIRLEAD_LAB_UNSHARED")) or os.geteuid() != 0,
                                reason="AF_XDP needs root in the host's own user namespace")
DEVICE = "af_xdp:eth0"


@pytest.fixture
def lab(bare_lab):
    bare_lab.start_dataplane(device=DEVICE)
    bare_lab.start_control()
    configure(bare_lab)
    return bare_lab


def port(lab):
    return lab.telemetry("/fairlead/ports,wan")


def shown(lab):
    """The same counters as `port`, as the control plane has them."""
    return lab.control.get("/v1/stats")["ports"][0]["steering"]


def programs(lab):
    link = json.loads(lab.balancer.namespace.run("ip", "-j", "-d", "link", "show", "eth0").stdout)[0]
    return [link["xdp"]["prog"]["name"]] if "prog" in link.get("xdp", {}) else []


def serve_own_address(lab):
    """A TCP server on the balancer's own addresses, ready when this returns."""
    server = lab.spawn("own", ["/usr/bin/python3", "-m", "http.server", "22", "--bind", "::", "--directory", lab.logs],
                       lab.balancer.namespace)
    server.wait_listening(22)


def own_address_answers(lab):
    return all(lab.client.namespace.run("curl", "-sS", "-g", "-o", "/dev/null", "-m", 20, f"http://{address}:22/",
                                        check=False).returncode == 0 for address in ("10.0.0.2", "[2001:db8:a::2]"))


def requests_fail(lab, count=200, **options):
    figures = lab.start_load(targets=web_targets(lab), count=count, **options).wait()
    return figures["failed"]


@pytest.mark.quick
def test_frontends_come_to_the_dataplane_and_all_else_to_the_kernel(lab):
    serve_own_address(lab)
    before = port(lab)
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=10, new_per_second=200, udp=20, udp_interval_ms=10)
    assert all(own_address_answers(lab) for _ in range(5))
    for address in (lab.vip4, lab.vip6, "10.0.0.2", "2001:db8:a::2"):
        assert ping(lab.client, address), address
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    after = port(lab)
    assert after["steering_attached"] == 1
    assert after["steered_to_dataplane"] - before["steered_to_dataplane"] > figures["ok"]
    assert after["steered_to_kernel"] - before["steered_to_kernel"] > 50  # own address, its pings, health checks
    assert after["steered_no_socket"] == 0
    wait_until(lambda: lab.control.get("/v1/stats")["ports"] and shown(lab)["to_dataplane"] >= after["steered_to_dataplane"], 20,
               lambda: lab.control.get("/v1/stats"))
    assert (shown(lab)["attached"], shown(lab)["no_socket"]) == (True, 0)
    assert 'fairlead_steering_attached{port="wan"} 1' in run(
        ["curl", "-sS", "--unix-socket", lab.socket_path, "http://fairlead/metrics"]).stdout
    lab.fairleadd.stop()
    wait_until(lambda: port(lab)["steered_to_dataplane"] == lab.telemetry("/fairlead/stats")["rx"], 20,
               lambda: f"{port(lab)} {lab.telemetry('/fairlead/stats')}")
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["mbufs_in_use"] == 0
    assert report["to_kernel"] == 0
    assert set(report["drops"]) == {"answered"}, report
    assert not programs(lab)


@pytest.mark.quick
def test_ssh_to_the_balancers_own_address_works_beside_its_frontends(lab):
    server = SshServer(lab, lab.balancer.namespace)
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=10, new_per_second=200)
    for address in ("10.0.0.2", "2001:db8:a::2"):
        said = lab.client.namespace.run(*server.command(address, "echo", "$SSH_CONNECTION"))
        assert said.stdout.split()[2:] == [address, "22"]
        sent = lab.client.namespace.run(*server.command(address, "head", "-c", 5_000_000, "/dev/zero", "|", "sha256sum"))
        assert sent.stdout.split()[0] == hashlib.sha256(bytes(5_000_000)).hexdigest()
        got = lab.client.namespace.run("sh", "-c", " ".join(map(str, server.command(address, "head", "-c", 5_000_000, "/dev/zero")))
                                       + " | wc -c")
        assert got.stdout.strip() == "5000000"
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_the_set_follows_the_services(lab):
    lab.balancer.namespace.ip("address add 203.0.113.77/32 dev lo")
    serve_own_address(lab)
    def answers(timeout_s=20):
        return lab.client.namespace.run("curl", "-sS", "-o", "/dev/null", "-m", timeout_s, "http://203.0.113.77:22/",
                                        check=False).returncode == 0
    assert answers()
    lab.fairctl("service", "add", "other", "--frontend", "203.0.113.77:80/tcp", "--health-check", "none")
    wait_until(lab.in_force, 20, "the service is not in force")
    assert not answers(timeout_s=2)  # the whole address is the dataplane's now: no frontend has port 22
    lab.control.delete("/v1/services/other")
    wait_until(lab.in_force, 20, "the service is still in force")
    assert answers()


def test_killed_dataplane_leaves_the_nic_to_the_kernel_and_the_next_one_attaches_again(lab):
    serve_own_address(lab)
    assert requests_fail(lab) == 0
    lab.dataplane.kill()
    assert programs(lab) == ["fairlead_steer"]
    assert own_address_answers(lab)
    lab.start_dataplane(device=DEVICE)
    lab.wait_healthy("web", 4)
    assert own_address_answers(lab)
    assert requests_fail(lab, first_port=30000) == 0
    assert port(lab)["steering_attached"] == 1
    assert stop_dataplane(lab)["mbufs_in_use"] == 0
    assert not programs(lab)


def test_says_when_somebody_takes_its_program_away(lab):
    assert requests_fail(lab) == 0
    lab.balancer.namespace.ip("link set dev eth0 xdp off")
    wait_until(lambda: "removed or replaced the steering program on eth0" in lab.dataplane.errors(), 20, lab.dataplane.tail)
    assert port(lab)["steering_attached"] == 0
    assert lab.dataplane.errors().count("removed or replaced") == 1
    assert stop_dataplane(lab)["mbufs_in_use"] == 0


def refusal(lab, *command, **options):
    """The one sentence that it ends with."""
    ended = lab.start_dataplane(device=DEVICE, wait=False, **options) if not command else lab.spawn(
        "refused", [*command, lab.program("dataplane/fairlead-dataplane"), "--port", f"wan={DEVICE}", "--", "--no-huge",
                    "--no-pci", f"--file-prefix={lab.name}-refused"], lab.balancer.namespace)
    assert ended.wait(20) == 1
    return ended.errors().strip().splitlines()[-1]


def test_refuses_more_workers_than_the_nic_has_queues(bare_lab):
    assert refusal(bare_lab, workers=2) == ("fairlead-dataplane: port wan: af_xdp:eth0 has 1 queue for 2 workers; "
                                            "use --workers 1")


def test_refuses_an_mtu_that_a_page_cannot_hold(bare_lab):
    bare_lab.balancer.namespace.ip("link set eth0 mtu 1771")
    assert "no port's MTU may be 1771, at most 1770" in refusal(bare_lab)


def test_carries_packets_of_the_largest_mtu(bare_lab):
    """Pings of the frontend in one piece, by a client as large."""
    lab = bare_lab
    for name in ("balancer", "client1"):
        lab.switch.ip(f"link set {name} mtu 1770")
    lab.balancer.namespace.ip("link set eth0 mtu 1770")
    lab.client.namespace.ip("link set eth0 mtu 1770")
    lab.start_dataplane(device=DEVICE)
    lab.start_control()
    configure(lab)
    for vip, payload in ((lab.vip4, 1770 - 28), (lab.vip6, 1770 - 48)):
        assert ping(lab.client, vip, "-M", "do", "-s", payload), vip
    lab.dataplane.stop()


def test_refuses_to_replace_another_program(bare_lab):
    lab = bare_lab
    mount_bpf_files()
    pins = pathlib.Path("/sys/fs/bpf") / f"{lab.name}-other"
    run([BPFTOOL, "prog", "loadall", lab.program("tools/agent/agent.bpf.o"), pins])
    try:
        # Not by `ip netns exec`, which would hide the pins behind a /sys of its own.
        run(["nsenter", f"--net=/run/netns/{lab.balancer.namespace.name}", BPFTOOL, "net", "attach", "xdp", "pinned",
             pins / "fairlead_xdp", "dev", "eth0"])
    finally:
        for path in pins.iterdir():
            path.unlink()
        pins.rmdir()
    assert "carries another XDP program ('fairlead_xdp'" in refusal(lab)
    assert programs(lab) == ["fairlead_xdp"]


def test_names_the_rights_that_are_missing(bare_lab):
    sentence = refusal(bare_lab, "setpriv", "--bounding-set=-sys_admin,-bpf")
    assert "af_xdp:eth0 cannot be opened" in sentence
    assert "CAP_NET_RAW, CAP_NET_ADMIN and CAP_SYS_ADMIN" in sentence
    assert "af_packet:eth0" in sentence
