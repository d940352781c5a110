"""AF_XDP ports: the steering program on the balancer's NIC, which the kernel uses too."""
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
    """The counters of `port` in the control plane's statistics."""
    return lab.control.get("/v1/stats")["ports"][0]["steering"]


def programs(lab):
    link = json.loads(lab.balancer.namespace.run("ip", "-j", "-d", "link", "show", "eth0").stdout)[0]
    return [link["xdp"]["prog"]["name"]] if "prog" in link.get("xdp", {}) else []


def serve_own_address(lab):
    """Starts a TCP server on the balancer's own addresses and waits until it listens."""
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
def test_frontend_packets_reach_the_dataplane_and_all_others_the_kernel(lab):
    serve_own_address(lab)
    before = port(lab)
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=10, new_per_second=200, udp=20,
                          udp_interval_ms=10)
    assert all(own_address_answers(lab) for _ in range(5))
    for address in (lab.vip4, lab.vip6, "10.0.0.2", "2001:db8:a::2"):
        assert ping(lab.client, address), address
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    after = port(lab)
    assert after["steering_attached"] == 1
    assert after["steered_to_dataplane"] - before["steered_to_dataplane"] > figures["ok"]
    # HTTP and pings to the own address, and health checks.
    assert after["steered_to_kernel"] - before["steered_to_kernel"] > 50
    assert after["steered_no_socket"] == 0
    wait_until(lambda: lab.control.get("/v1/stats")["ports"] and
               shown(lab)["to_dataplane"] >= after["steered_to_dataplane"], 20,
               lambda: f"the steered packets are not in the statistics: {lab.control.get('/v1/stats')}")
    assert (shown(lab)["attached"], shown(lab)["no_socket"]) == (True, 0)
    assert 'fairlead_steering_attached{port="wan"} 1' in run(
        ["curl", "-sS", "--unix-socket", lab.socket_path, "http://fairlead/metrics"]).stdout
    lab.fairleadd.stop()
    wait_until(lambda: port(lab)["steered_to_dataplane"] == lab.telemetry("/fairlead/stats")["rx"], 20,
               lambda: f"steered packets and rx differ: {port(lab)} {lab.telemetry('/fairlead/stats')}")
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
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
        digest = server.command(address, "head", "-c", 5_000_000, "/dev/zero", "|", "sha256sum")
        sent = lab.client.namespace.run(*digest)
        assert sent.stdout.split()[0] == hashlib.sha256(bytes(5_000_000)).hexdigest()
        download = " ".join(map(str, server.command(address, "head", "-c", 5_000_000, "/dev/zero")))
        got = lab.client.namespace.run("sh", "-c", download + " | wc -c")
        assert got.stdout.strip() == "5000000"
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_steering_follows_the_configured_frontends(lab):
    lab.balancer.namespace.ip("address add 203.0.113.77/32 dev lo")
    serve_own_address(lab)
    def answers(timeout_s=20):
        return lab.client.namespace.run("curl", "-sS", "-o", "/dev/null", "-m", timeout_s, "http://203.0.113.77:22/",
                                        check=False).returncode == 0
    assert answers()
    lab.fairctl("service", "add", "other", "--frontend", "203.0.113.77:80/tcp", "--health-check", "none")
    wait_until(lab.in_force, 20, "the service is not in force")
    assert not answers(timeout_s=2)  # the dataplane gets all ports of the address, and no frontend has port 22
    lab.control.delete("/v1/services/other")
    wait_until(lab.in_force, 20, "the service is still in force")
    assert answers()


def test_after_a_kill_the_kernel_keeps_its_traffic_and_the_next_dataplane_attaches_again(lab):
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


def test_the_dataplane_reports_once_that_its_steering_program_was_removed(lab):
    assert requests_fail(lab) == 0
    lab.balancer.namespace.ip("link set dev eth0 xdp off")
    wait_until(lambda: "the steering program on eth0 was removed or replaced" in lab.dataplane.errors(), 20,
               lambda: f"the removed program is not reported\n{lab.dataplane.tail()}")
    assert port(lab)["steering_attached"] == 0
    assert lab.dataplane.errors().count("removed or replaced") == 1
    assert stop_dataplane(lab)["mbufs_in_use"] == 0


def test_every_buffer_can_be_sent(lab):
    """Announcements take buffers that no packet has used yet. The kernel must accept all of them."""
    for number in range(4):
        lab.control.post("/v1/services", {"name": f"many{number}", "health_check": {"type": "none"},
                                          "frontends": [f"10.9.{number}.{host}:80/tcp" for host in range(1, 251)],
                                          "backends": [lab.backends[0].address4]})
    wait_until(lambda: port(lab)["tx"] > 3000, 60, lambda: f"few announcements leave: {port(lab)}")
    assert requests_fail(lab) == 0
    assert stop_dataplane(lab)["mbufs_in_use"] == 0


def refusal(lab, *command, **options):
    """Starts the dataplane, which must refuse. Returns the last line that it prints."""
    ended = lab.start_dataplane(device=DEVICE, wait=False, **options) if not command else lab.spawn(
        "refused", [*command, lab.program("dataplane/fairlead-dataplane"), "--port", f"wan={DEVICE}", "--", "--no-huge",
                    "--no-pci", f"--file-prefix={lab.name}-refused"], lab.balancer.namespace)
    assert ended.wait(20) == 1
    return ended.errors().strip().splitlines()[-1]


def test_refuses_a_queue_for_each_worker_on_a_nic_that_has_fewer(bare_lab):
    assert refusal(bare_lab, workers=2, port={"spread": "hardware"}) == (
        "fairlead-dataplane: port wan: af_xdp:eth0 has 1 queue, but there are 2 workers, and each needs a queue; use "
        "--workers 1, or spread: software")


@pytest.mark.parametrize(("spread", "sharing", "sentence"), [
    ("software", 2, "worker 0 receives and spreads over 2 workers in software"),
    ("auto", 1, "worker 0 receives all packets, the others none (or spread: software)")])
def test_workers_behind_a_nic_that_has_one_queue(bare_lab, spread, sharing, sentence):
    lab = bare_lab
    lab.start_dataplane(device=DEVICE, workers=2, port={"spread": spread}, extra=["--verbose"])
    lab.start_control()
    configure(lab)
    assert requests_fail(lab) == 0
    assert f"has 1 receive queue for 2 workers; {sentence}" in lab.dataplane.errors()
    report = stop_dataplane(lab)
    assert sum(packets > 0 for packets in report["rx_by_worker"]) == sharing and sum(report["rx_by_worker"]) == report["rx"]
    assert report["mbufs_in_use"] == 0


def test_refuses_an_mtu_that_does_not_fit_into_a_page(bare_lab):
    bare_lab.balancer.namespace.ip("link set eth0 mtu 1771")
    assert "limits the MTU of all ports to 1770, but port wan has 1771" in refusal(bare_lab)


def test_packets_of_the_largest_mtu_are_answered(bare_lab):
    """The client has the same MTU. It pings the frontends with packets of that size, unfragmented."""
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


def test_refuses_to_replace_the_xdp_program_of_others(bare_lab):
    lab = bare_lab
    mount_bpf_files()
    pins = pathlib.Path("/sys/fs/bpf") / f"{lab.name}-other"
    run([BPFTOOL, "prog", "loadall", lab.program("tools/agent/agent.bpf.o"), pins])
    try:
        # Uses nsenter: `ip netns exec` would mount a private /sys, which hides the BPF pins.
        run(["nsenter", f"--net=/run/netns/{lab.balancer.namespace.name}", BPFTOOL, "net", "attach", "xdp", "pinned",
             pins / "fairlead_xdp", "dev", "eth0"])
    finally:
        for path in pins.iterdir():
            path.unlink()
        pins.rmdir()
    assert "carries another XDP program ('fairlead_xdp'" in refusal(lab)
    assert programs(lab) == ["fairlead_xdp"]


def test_a_refusal_names_the_missing_capabilities(bare_lab):
    sentence = refusal(bare_lab, "setpriv", "--bounding-set=-sys_admin,-bpf")
    assert "cannot open af_xdp:eth0" in sentence
    assert "CAP_NET_RAW, CAP_NET_ADMIN and CAP_SYS_ADMIN" in sentence
    assert "af_packet:eth0" in sentence
