"""fairlead-agent's commands: what they attach, remove and print, and what they refuse."""
import json
import os
import re

import pytest

from tests.agent.host import BPFTOOL, BUILD, Host, counter_kinds, mount_bpf_files
from tests.lab.process import run


@pytest.fixture
def host():
    with Host() as made:
        yield made


def refusal(host, *words, status=1):
    result = host.agent(*words, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    assert result.stdout == ""
    return result.stderr.strip()


def attached_programs(host):
    """The program names on the backend's eth0 by `ip` and `tc`: (XDP, TC ingress, TC egress)."""
    link = host.backend.run("ip", "-d", "link", "show", "eth0").stdout
    xdp = re.findall(r"prog/xdp id \d+ name (\w+)", link)
    return (xdp, *(re.findall(r"(fairlead_\w+)", host.backend.run("tc", "filter", "show", "dev", "eth0", side).stdout)
                   for side in ("ingress", "egress")))


def test_attach_persists_without_a_process_and_detach_leaves_nothing(host):
    assert host.attach("--clamp-mss", "1400") == "eth0: attached at xdp (native)"
    assert sorted(os.listdir(host.pins / "eth0")) == ["balancers4", "balancers6", "clamp", "counters", "ingress",
                                                      "peers4", "peers6", "seen_frontends", "settings"]
    assert host.backend.pids() == []
    xdp, ingress, egress = attached_programs(host)
    assert xdp == ["fairlead_xdp"] and not ingress and egress
    assert host.agent("detach", "eth0").stdout == "eth0: detached\n"
    assert os.listdir(host.pins) == []
    assert attached_programs(host) == ([], [], [])
    assert "clsact" not in host.backend.run("tc", "qdisc", "show", "dev", "eth0").stdout
    assert host.agent("detach", "eth0").stdout == "eth0: was not attached\n"


def test_attaching_again_moves_to_the_new_hook_and_uses_the_new_settings(host):
    host.attach("--clamp-mss", "1400")
    first = host.status()
    replaced = host.attach("--hook", "tc", "--strict", "--gue-port", "7000", balancers=["10.0.0.9"])
    assert replaced == "eth0: replaced at tc"
    xdp, ingress, egress = attached_programs(host)
    assert not xdp and ingress and not egress
    second = host.status()
    assert second["program_id"] != first["program_id"]
    assert {name: second[name] for name in ("hook", "strict", "gue_port", "clamp_mss", "balancers", "attached")} == {
        "hook": "tc", "strict": True, "gue_port": 7000, "clamp_mss": 0, "balancers": ["10.0.0.9"], "attached": True}
    assert host.attach() == "eth0: replaced at xdp (native)"
    xdp, ingress, egress = attached_programs(host)
    assert xdp and not ingress and not egress
    assert "clsact" not in host.backend.run("tc", "qdisc", "show", "dev", "eth0").stdout
    assert os.listdir(host.pins) == ["eth0"]


def test_status_shows_settings_balancers_and_every_counter(host):
    host.attach("--clamp-mss", "1300", balancers=["10.9.0.0/16", "10.0.0.1", "2001:db8::/64"])
    status = host.status()
    assert status["balancers"] == ["10.0.0.1", "10.9.0.0/16", "2001:db8::/64"]
    assert list(status["counters"]) == list(counter_kinds())
    assert (status["hook"], status["mode"], status["gue_port"], status["clamp_mss"]) == ("xdp", "native", 6080, 1300)
    text = host.agent("status").stdout
    for word in ("eth0: attached at xdp (native)", "10.9.0.0/16", "6080", "1300", *counter_kinds()):
        assert word in text


def test_status_reports_not_attached_after_the_interface_was_recreated(host):
    host.attach()
    host.near.ip("link delete eth0")
    assert not host.status()["attached"]
    host.make_link()
    result = host.agent("status", check=False)
    assert result.returncode == 1 and "NOT attached" in result.stdout
    assert host.attach().startswith("eth0: replaced")
    assert host.status()["attached"]
    host.near.ip("link delete eth0")
    assert host.agent("detach", "eth0").stdout == "eth0: detached\n"
    assert os.listdir(host.pins) == []


def test_attaches_over_its_own_program_after_the_bpf_pins_were_lost(host):
    host.attach()
    for name in os.listdir(host.pins / "eth0"):
        os.unlink(host.pins / "eth0" / name)
    os.rmdir(host.pins / "eth0")
    assert host.attach() == "eth0: attached at xdp (native)"
    assert host.status()["attached"]


def test_status_fails_when_nothing_is_attached_and_when_the_clamp_was_removed(host):
    nothing = host.agent("status", check=False)
    assert (nothing.returncode, nothing.stdout) == (1, "not attached to any interface\n")
    host.attach("--clamp-mss", "1300")
    assert host.status()["clamped"]
    host.backend.run(*"tc qdisc del dev eth0 clsact".split())
    gone = host.agent("status", check=False)
    assert gone.returncode == 1 and "1300: NOT attached" in gone.stdout, gone.stdout
    assert host.status()["attached"] and not host.status()["clamped"]
    host.attach("--clamp-mss", "1300")
    assert host.agent("status").returncode == 0


def test_an_unfinished_attach_is_ignored_and_the_next_attach_removes_it(host):
    host.agent("status", check=False)  # makes the folder of the BPF pins
    host.attach()
    os.mkdir(host.pins / "eth0+new")
    assert [line.split()[0] for line in host.agent("balancers", "list").stdout.splitlines()] == ["eth0", "eth0"]
    host.attach()
    assert os.listdir(host.pins) == ["eth0"]


def test_refuses_to_replace_the_xdp_program_of_others_and_names_it(host):
    mount_bpf_files()
    other = host.pins.with_name(host.name + "-other")
    run([BPFTOOL, "prog", "load", BUILD / "dataplane/steering/steer.bpf.o", other])
    try:
        run(["nsenter", f"--net=/run/netns/{host.backend.name}", BPFTOOL, "net", "attach", "xdp", "pinned", other,
             "dev", "eth0"])
    finally:
        other.unlink()
    text = refusal(host, "attach", "eth0", "--balancer", "10.0.0.1", "--clamp-mss", "1400")
    assert "another XDP program ('fairlead_steer'" in text and "--hook tc" in text
    assert os.listdir(host.pins) == []
    assert attached_programs(host) == (["fairlead_steer"], [], [])
    assert "clsact" not in host.backend.run("tc", "qdisc", "show", "dev", "eth0").stdout
    assert host.attach("--hook", "tc") == "eth0: attached at tc"
    host.agent("detach", "eth0")
    assert attached_programs(host) == (["fairlead_steer"], [], [])


def settings(host):
    """The status without counters. Counters change whenever the hosts send MLD or neighbour discovery."""
    status = host.status()
    del status["counters"]
    return status


def test_a_refused_attach_leaves_the_attached_program_unchanged(host):
    host.attach("--hook", "tc", "--clamp-mss", "1400")
    before = settings(host)
    mount_bpf_files()
    other = host.pins.with_name(host.name + "-other")
    run([BPFTOOL, "prog", "load", BUILD / "dataplane/steering/steer.bpf.o", other])
    try:
        run(["nsenter", f"--net=/run/netns/{host.backend.name}", BPFTOOL, "net", "attach", "xdp", "pinned", other,
             "dev", "eth0"])
    finally:
        other.unlink()
    refusal(host, "attach", "eth0", "--balancer", "10.0.0.9", "--clamp-mss", "1000")
    assert settings(host) == before
    clamp = host.backend.run("tc", "filter", "show", "dev", "eth0", "egress").stdout
    pinned = json.loads(run([BPFTOOL, "-j", "prog", "show", "pinned", host.pins / "eth0" / "clamp"]).stdout)
    assert re.findall(r" id (\d+)", clamp) == [str(pinned["id"])]
    assert os.listdir(host.pins) == ["eth0"]


def test_detach_keeps_tc_filters_of_others(host):
    host.attach("--hook", "tc")
    host.backend.run(*"tc filter add dev eth0 ingress prio 77 protocol all u32 match u32 0 0 classid 1:1".split())
    host.agent("detach", "eth0")
    left = host.backend.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
    assert "pref 77" in left and "fairlead" not in left


def test_detach_keeps_a_clsact_that_existed_before_attach(host):
    host.backend.run(*"tc qdisc add dev eth0 clsact".split())
    host.attach("--hook", "tc")
    host.agent("detach", "eth0")
    assert "clsact" in host.backend.run("tc", "qdisc", "show", "dev", "eth0").stdout


def test_interface_names_may_contain_dots(host):
    host.backend.ip("link add name a.100 type veth peer name b.100")
    host.agent("attach", "a.100", "b.100", "--balancer", "10.0.0.1")
    names = [entry["interface"] for entry in json.loads(host.agent("status", "--json").stdout)["interfaces"]]
    assert names == ["a.100", "b.100"]
    host.agent("detach", "a.100", "b.100")
    assert os.listdir(host.pins) == []


@pytest.mark.parametrize("words,says", [
    (["attach", "nowhere", "--balancer", "10.0.0.1"], "interface 'nowhere' does not exist"),
    (["detach", "nowhere"], "interface 'nowhere' does not exist"),
    (["attach", "eth0", "--balancer", "10.0.0.1/8"], "write 10.0.0.0/8 or 10.0.0.1"),
    (["attach", "eth0", "--balancer", "0.0.0.0/0"], "any source"),
    (["attach", "eth0", "--balancer", "2001:db8::/129"], "up to 128"),
    (["attach", "eth0", "--balancer", "10.0.0.0/"], "the length must be a number"),
    (["attach", "eth0", "--balancer", "balancer1"], "balancer1"),
    (["balancers", "add", "10.0.0.1"], "not attached to any interface"),
    (["balancers", "list", "--interface", "eth0"], "not attached to eth0"),
])
def test_a_refusal_names_the_wrong_value(host, words, says):
    assert says in refusal(host, *words)


@pytest.mark.parametrize("words", [["attach", "eth0"], ["attach", "--balancer", "10.0.0.1"], ["fly"], [],
                                   ["attach", "eth0", "--balancer", "10.0.0.1", "--hook", "netfilter"],
                                   ["attach", "eth0", "--balancer", "10.0.0.1", "--clamp-mss", "20"],
                                   ["attach", "eth0", "--balancer", "10.0.0.1", "--gue-port", "70000"]])
def test_wrong_usage_exits_with_status_2(host, words):
    assert host.agent(*words, check=False).returncode == 2


def test_refuses_without_root(host):
    command = host.agent_command("status")
    result = run([*command[:2], "setpriv", "--reuid", "65534", "--clear-groups", *command[2:]], check=False)
    assert result.returncode == 1 and "needs root" in result.stderr


def test_refuses_a_pin_folder_outside_of_a_bpf_file_system(host):
    result = run([host.agent_program, "--pins", host.dir / "pins", "attach", "lo", "--balancer", "10.0.0.1"],
                 check=False)
    assert result.returncode == 1 and "not in a BPF file system" in result.stderr


def test_mounts_the_bpf_file_system_where_it_is_missing(host):
    """Runs in a separate mount namespace whose /sys has no BPF file system."""
    script = "while umount /sys/fs/bpf 2>/dev/null; do :; done; \"$@\" && findmnt -n -o FSTYPE /sys/fs/bpf"
    command = [str(word) for word in host.agent_command("attach", "eth0", "--balancer", "10.0.0.1")]
    result = run(["unshare", "-m", "sh", "-c", script, "sh", *command])
    assert result.stdout.split("\n")[:2] == ["eth0: attached at xdp (native)", "bpf"]
    # These BPF pins vanished with the mount namespace. The agent recognises its program and can still remove it.
    assert host.agent("detach", "eth0").stdout == "eth0: detached\n"


def test_attach_warns_when_strict_reverse_path_filtering_may_drop_clients(host):
    host.backend.sysctl({"net.ipv4.conf.eth0.rp_filter": 1})
    assert "rp_filter is strict" in host.agent("attach", "eth0", "--balancer", "10.0.0.1").stderr
    host.backend.sysctl({"net.ipv4.conf.eth0.rp_filter": 2})
    assert host.agent("attach", "eth0", "--balancer", "10.0.0.1").stderr == ""
