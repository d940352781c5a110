"""Health checks through the dataplane: they reach what clients' packets reach."""
import collections
import json
import os
import signal

import pytest

from tests.e2e.conftest import web_targets
from tests.e2e.test_check_types import _SERVERS as CHECK_SERVERS
from tests.e2e.test_check_types import Site, make_certificate
from tests.e2e.test_forwarding import stop_dataplane
from tests.lab import wait_until

ADDRESSES = ["10.0.0.2", "2001:db8:a::2"]
CHECKS = {"type": "tcp", "ports": "all", "interval": "300ms", "timeout": "250ms", "rise": 1, "fall": 5}
needs_host_root = pytest.mark.skipif(bool(os.environ.get("FAIRLEAD_LAB_UNSHARED")) or os.geteuid() != 0,
                                     reason="eBPF needs root in the host's own user namespace")


def start(lab, port=None, **settings):
    lab.start_dataplane(port=port or {"addresses": ADDRESSES})
    lab.start_control()
    add_web(lab, **settings)


def add_web(lab, checks=None, name="web", **settings):
    lab.control.post("/v1/services", {
        "name": name, "frontends": [f"{lab.vip4}:80/tcp", f"[{lab.vip6}]:80/tcp"], "health_check": checks or CHECKS,
        "backends": [backend.address4 for backend in lab.backends], **settings})


def check_path(lab, name="web"):
    return lab.control.get(f"/v1/services/{name}")["check_path"]


def await_state(lab, backend, state, timeout_s=30):
    wait_until(lambda: lab.backends_of("web")[backend.address4]["state"] == state, timeout_s,
               lambda: f"{backend.name} is not {state}: {lab.backends_of('web')}\n{lab.dataplane.tail()}")


def reason(lab, backend):
    return lab.backends_of("web")[backend.address4]["reason"]


def routing(lab):
    """What the kernel of the balancer has for probes."""
    commands = "; ".join(f"ip -{family} rule; ip -{family} route show table all" for family in (4, 6))
    lines = lab.balancer.namespace.run("sh", "-c", commands + "; ip -o link").stdout.splitlines()
    return [line for line in lines if any(word in line for word in ("61000", "61001", "fl-probe0"))]


# The kernel checks that a packet's source is reachable by the interface that it comes from. The lab's balancer has
# blackhole routes for the frontends, as docs/operations.md asks for with AF_PACKET.
@pytest.mark.quick
@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_checks_reach_the_frontends_address_on_each_backend(bare_lab, rp_filter):
    lab = bare_lab
    lab.balancer.namespace.sysctl({f"net.ipv4.conf.{name}.rp_filter": rp_filter for name in ("all", "eth0")})
    start(lab)
    lab.wait_healthy("web", 4)
    assert check_path(lab) == {"via": "dataplane", "reason": ""}
    assert "through the dataplane passes" in reason(lab, lab.backends[0])
    without = lab.backends[1]
    without.namespace.ip(f"address del {lab.vip4}/32 dev lo")
    await_state(lab, without, "unhealthy")
    wait_until(lambda: reason(lab, without).endswith(
        f"answers on {without.address4}, not for {lab.vip4}: is the address on its lo?"), 20,
        lambda: reason(lab, without))
    assert reason(lab, without) in lab.fairctl("backend", "list", "web").stdout
    wait_until(lab.in_force, 20, "not in force")
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    without.add_vip(lab.vip4)
    await_state(lab, without, "healthy")


@pytest.mark.quick
def test_probes_are_counted_apart_and_leave_nothing_behind(bare_lab):
    lab = bare_lab
    start(lab)
    lab.wait_healthy("web", 4)
    assert any("fwmark 0x464c5052 lookup 61000" in line for line in routing(lab)), routing(lab)
    wait_until(lambda: lab.control.get("/v1/stats")["probes"]["packets"] > 100, 30, "no 100 packets of probes")
    stats = lab.control.get("/v1/stats")
    assert stats["probes"]["dropped"] == 0
    assert [service["packets"] for service in stats["services"]] == [0]
    status, text = lab.control.raw("GET", "/metrics")
    assert status == 200 and 'fairlead_probe_packets_total{result="sent"} ' in text
    lab.fairleadd.stop()
    report = stop_dataplane(lab)
    assert report["rx"] + report["generated"] == \
        report["tx"] + sum(report["drops"].values()) + report["to_kernel"], report
    assert report["probes"]["packets"] > 100 and report["generated"] >= report["probes"]["packets"]
    assert report["services"][0]["packets"] == 0 and report["backends"][0]["new_flows"] == 0
    assert routing(lab) == []


@pytest.mark.quick
def test_routes_follow_the_frontends(bare_lab):
    lab = bare_lab
    start(lab)
    lab.wait_healthy("web", 4)
    lab.control.post("/v1/services", {"name": "other", "frontends": ["203.0.113.77:81/tcp"],
                                      "backends": [lab.backends[0].address4]})
    has = lambda: any("203.0.113.77" in line for line in routing(lab))
    wait_until(has, 20, lambda: f"no route: {routing(lab)}")
    lab.control.delete("/v1/services/other")
    wait_until(lambda: not has(), 20, lambda: f"the route is still there: {routing(lab)}")
    # Other packets of this host with a probe's port are routed as before.
    answer = lab.balancer.namespace.run("ip", "-4", "route", "get", lab.backends[0].address4, "ipproto", "tcp", "sport",
                                        "61005")
    assert "dev eth0" in answer.stdout and "61001" not in answer.stdout


@pytest.mark.quick
def test_rules_that_another_program_removes_are_added_again(bare_lab):
    lab = bare_lab
    start(lab)
    lab.wait_healthy("web", 4)
    before = routing(lab)
    # As systemd-networkd does when it configures an interface.
    lab.balancer.namespace.run("sh", "-c", "ip -4 rule flush; ip -4 rule add lookup main pref 32766; ip -6 rule del pref 100; "
                                           "ip -4 route flush table 61000; ip -4 route flush table 61001")
    wait_until(lambda: routing(lab) == before, 20, lambda: f"{routing(lab)} are not {before}")
    assert "had been removed" in lab.dataplane.errors()


@needs_host_root
@pytest.mark.parametrize("forwarding", ["ipip", "gue"])
def test_a_tunnels_probes_need_the_agent_and_the_frontends_address(bare_lab, forwarding):
    lab = bare_lab
    agents = [lab.attach_agent(backend) for backend in lab.backends]
    start(lab, forwarding=forwarding)
    lab.wait_healthy("web", 4)
    assert check_path(lab)["via"] == "dataplane"
    agents[2].close()
    await_state(lab, lab.backends[2], "unhealthy")
    wait_until(lambda: "answers on 10.0.0.13, not for " in reason(lab, lab.backends[2]), 20,
               lambda: reason(lab, lab.backends[2]))
    lab.attach_agent(lab.backends[2])
    await_state(lab, lab.backends[2], "healthy")


@pytest.mark.quick
def test_verdicts_stay_while_the_dataplane_is_away(bare_lab):
    lab = bare_lab
    start(lab)
    lab.wait_healthy("web", 4)
    os.kill(lab.dataplane.pid, signal.SIGKILL)
    wait_until(lambda: lab.backends_of("web")["10.0.0.11"]["check_skipped"] == "the dataplane is away", 30,
               lambda: json.dumps(lab.backends_of("web")["10.0.0.11"]))
    assert {row["state"] for row in lab.backends_of("web").values()} == {"healthy"}
    lab.start_dataplane(port={"addresses": ADDRESSES})
    wait_until(lambda: lab.control.get("/v1/status")["dataplane"]["probes"]["open"], 30, "no probes")
    wait_until(lambda: lab.backends_of("web")["10.0.0.11"]["check_skipped"] is None, 30,
               lambda: json.dumps(lab.backends_of("web")["10.0.0.11"]))
    # The rules that the killed process left are not there twice.
    assert sum("fwmark 0x464c5052" in line for line in routing(lab)) == 2, routing(lab)
    lab.backends[3].kill()
    await_state(lab, lab.backends[3], "unhealthy")
    assert {row["state"] for row in lab.backends_of("web").values()} == {"healthy", "unhealthy"}


@pytest.mark.quick
def test_checks_are_direct_without_an_address_and_the_operator_is_told(bare_lab):
    lab = bare_lab
    lab.start_dataplane(port={"addresses": ["10.0.0.2"]})
    lab.start_control()
    text = "no port of the dataplane has an IPv6 address; set `addresses` of a port in dataplane.yaml"
    answer = lab.fairctl("service", "add", "web", "--frontend", f"[{lab.vip6}]:80/tcp", "--backend",
                         lab.backends[0].address4)
    assert text in answer.stderr + answer.stdout
    lab.wait_healthy("web", 1)
    assert check_path(lab) == {"via": "direct", "reason": text}
    assert f"; direct: {text}" in lab.fairctl("service", "show", "web").stdout
    refused = lab.fairctl("service", "set", "web", "--check-via", "dataplane", check=False)
    assert refused.returncode != 0 and "health_check.via: dataplane needs an IPv6 address" in refused.stderr
    lab.fairctl("service", "set", "web", "--check-via", "direct")
    assert check_path(lab) == {"via": "direct", "reason": ""}
    lab.fairctl("service", "set", "web", "--check-via", "auto")
    assert check_path(lab)["reason"] == text


@pytest.mark.quick
def test_answers_may_come_by_several_ports_with_strict_reverse_path_checks(bare_lab):
    lab = bare_lab
    balancer = lab.balancer.namespace
    lab.switch.ip(f"link add name balancer-b type veth peer name eth1 netns {balancer.name}",
                  "link set balancer-b master br0 up")
    balancer.run("ethtool", "-K", "eth1", *"tx off rx off tso off gso off gro off".split())
    balancer.ip("link set eth1 up", "address add 10.0.1.2/24 dev eth1")
    balancer.sysctl({"net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.all.arp_ignore": 1,
                     "net.ipv4.conf.all.arp_announce": 2})
    other = lab.backends[3]
    other.namespace.ip("address add 10.0.1.14/24 dev eth0")
    config = lab.dir / "two.yaml"
    config.write_text(json.dumps({"ports": [
        {"name": "wan", "device": "af_packet:eth0", "addresses": ["10.0.0.2"]},
        {"name": "lan", "device": "af_packet:eth1", "addresses": ["10.0.1.2"]}]}))
    lab.dataplane = lab.spawn("dataplane-two", [
        lab.program("dataplane/fairlead-dataplane"), "--config", config, "--link", lab.link_path, "--", "--no-huge",
        "--no-pci", "-m", "512", f"--file-prefix={lab.name}"], balancer)
    assert lab.comes_up(lab.dataplane)
    lab.start_control()
    lab.control.post("/v1/services", {"name": "web", "frontends": [f"{lab.vip4}:80/tcp"], "health_check": {
        **CHECKS, "ports": "first", "via": "dataplane"}, "backends": ["10.0.0.11", "10.0.1.14"]})
    lab.wait_healthy("web", 2)
    assert {row["next_hop"]["interface"] for row in lab.backends_of("web").values()} == {"eth0", "eth1"}


def test_a_second_dataplane_makes_no_probes_and_says_why(bare_lab):
    lab = bare_lab
    balancer = lab.balancer.namespace
    balancer.ip("tuntap add dev fl-probe0 mode tun")
    holder = lab.spawn("holder", ["/usr/bin/python3", "-c", (
        "import fcntl, struct, time\n"
        "tun = open('/dev/net/tun', 'r+b', buffering=0)\n"
        "fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'fl-probe0', 0x1001))\n"
        "print('holds', flush=True)\n"
        "time.sleep(600)")], balancer)
    wait_until(lambda: "holds" in holder.output(), 20, lambda: holder.tail())
    start(lab)
    wait_until(lambda: lab.control.get("/v1/status")["dataplane"]["probes"]["reason"] ==
               "cannot create interface fl-probe0: another process has it", 20,
               lambda: lab.control.get("/v1/status")["dataplane"])
    assert check_path(lab)["via"] == "direct"
    lab.wait_healthy("web", 4)


@pytest.mark.quick
def test_checks_of_every_type_go_through_the_dataplane(bare_lab):
    lab = bare_lab
    site = Site(lab)
    ca, _ = make_certificate(site.dir, "ca", "", 30)
    certificate, key = make_certificate(site.dir, "server", "DNS:shop.example", 30, issuer="ca")
    site.start_nginx(f"listen 8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key};")
    site.spawn("grpc", "/usr/bin/python3", CHECK_SERVERS, "grpc", 50051, "=SERVING", port=50051)
    lab.start_dataplane(port={"addresses": ADDRESSES})
    lab.start_control()
    times = {"interval": "1s", "timeout": "900ms", "rise": 1, "fall": 2, "via": "dataplane"}
    checks = {"http": ("8080/tcp", {"path": "/up", "match": "systems good"}),
              "https": ("8443/tcp", {"path": "/up", "tls": {"ca_file": str(ca), "sni": "shop.example"}}),
              "grpc": ("50051/tcp", {}),
              "udp": ("7/udp", {"send": "hello", "reply": f"{site.backend.name} hello"}),
              "tcp": ("80/tcp", {})}
    for name, (port, check) in checks.items():
        lab.control.post("/v1/services", {"name": name, "frontends": [f"{lab.vip4}:{port}"],
                                          "backends": [site.backend.address4],
                                          "health_check": {"type": name, **times, **check}})
    for name, (port, _) in checks.items():
        lab.wait_healthy(name, 1)
        assert lab.backends_of(name)[site.backend.address4]["reason"] == \
            f"{name} check of {lab.vip4}:{port.split('/')[0]} through the dataplane passes"
    site.backend.namespace.ip(f"address del {lab.vip4}/32 dev lo")
    for name in checks:
        wait_until(lambda name=name: lab.backends_of(name)[site.backend.address4]["state"] == "unhealthy", 30,
                   lambda: lab.backends_of("http"))


@pytest.mark.slow("10,000 checks, half of which hang until their timeout")
@pytest.mark.parametrize("via", ["dataplane", "direct"])
def test_checks_that_hang_do_not_keep_others_from_being_made(bare_lab, via):
    lab = bare_lab
    server, count = lab.backends[0], 10_000
    server.namespace.ip("route add local 10.64.0.0/16 dev lo")
    lab.balancer.namespace.ip(f"route add 10.64.0.0/16 via {server.address4} dev eth0")
    lab.start_dataplane(port={"addresses": ADDRESSES})
    lab.start_control()
    # Frontends and backends of the first service hang: nobody answers their SYNs.
    hanging, answering = "203.0.113.50", "203.0.113.51"
    for vip in (hanging, answering):
        server.add_vip(vip)
    server.namespace.run("nft", "-f", "-", input=f"""
table ip t {{
  chain c {{
    type filter hook input priority 0
    ip daddr {{ {hanging}, 10.64.0.0-10.64.127.255 }} tcp flags syn drop
  }}
}}
""")
    for name, vip, block in (("hangs", hanging, 0), ("answers", answering, 128)):
        lab.control.post("/v1/services", {
            "name": name, "frontends": [f"{vip}:80/tcp"],
            "health_check": {"type": "tcp", "interval": "8s", "timeout": "5s", "fall": 1, "via": via},
            "backends": [{"address": f"10.64.{block + n // 250}.{n % 250 + 1}", "mac": server.mac}
                         for n in range(count // 2)]})

    def states(name):
        return collections.Counter(row["state"] for row in lab.backends_of(name).values())
    wait_until(lambda: states("answers")["healthy"] == count // 2, 120, lambda: f"{states('answers')}")
    wait_until(lambda: states("hangs")["unhealthy"] == count // 2, 120, lambda: f"{states('hangs')}")
