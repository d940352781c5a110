"""docs/install.md on a fresh Debian 12, word by word; what the packages put in place; and what remains of them."""
import time

import pytest

from tests.lab import wait_until
from tests.packages.conftest import TOP
from tests.packages.machine import commands, expect_within, is_busy

_INSTALL = TOP / "docs/install.md"
_MOST_COMMANDS = 6
_MOST_SECONDS = 180
_PACKAGES = "fairlead fairlead-dataplane fairlead-controlplane fairctl"


def follow(machine, name, document="install.md", replace=("", "")):
    """Runs a tested block of a page in docs/. Returns the number of commands.

    `replace`: what the page has for its reader's case, and what it is here.
    """
    lines = commands(TOP / "docs" / document, name)
    # One shell: a block may change its folder.
    machine.run("\n".join(lines).replace(*replace) if replace[0] else "\n".join(lines))
    return len(lines)


def request(lab):
    return lab.client.namespace.run("curl", "-s", "--max-time", "2", f"http://{lab.vip4}/", check=False)


def wait_answered(lab, machine):
    wait_until(lambda: request(lab).returncode == 0, 60,
               lambda: machine.journal("fairlead-dataplane") + machine.journal("fairleadd"), interval_s=0.2)


@pytest.mark.slow("boots a machine, installs the packages and their dependencies, and uses them")
def test_six_commands_from_the_packages_to_the_first_request(lab, machine):
    busy = is_busy()
    started = time.monotonic()
    assert follow(machine, "first request") <= _MOST_COMMANDS
    wait_answered(lab, machine)
    seconds = time.monotonic() - started
    print(f"from the packages to the first request: {seconds:.0f} s")
    expect_within(seconds, _MOST_SECONDS, "the first request", busy)
    check_rights(machine)
    check_scores(machine)
    follow(machine, "af_xdp")
    wait_answered(lab, machine)
    assert "xdp" in machine.run("ip -details link show eth0").stdout
    machine.run("systemd-analyze security --no-pager --threshold=40 fairlead-dataplane.service")


def check_rights(machine):
    """Who runs what, and who may use the sockets."""
    assert machine.show("fairleadd", "User") == "fairlead"
    status = machine.run(f"cat /proc/{machine.show('fairleadd', 'MainPID')}/status").stdout
    rights = {line.split()[0]: line.split()[1:] for line in status.splitlines()}
    cap_net_admin = 1 << 12
    assert {int(rights[name][0], 16) for name in ("CapEff:", "CapPrm:", "CapBnd:")} == {cap_net_admin}
    assert rights["NoNewPrivs:"] == ["1"] and rights["Uid:"][0] != "0"
    modes = machine.run("stat -c '%n %A %U:%G' /run/fairlead /run/fairlead/control /run/fairlead/dataplane.sock "
                        "/run/fairlead/control/control.sock /var/lib/fairlead").stdout
    assert modes.splitlines() == ["/run/fairlead drwxr-x--x root:fairlead",
                                  "/run/fairlead/control drwxr-x--x fairlead:fairlead",
                                  "/run/fairlead/dataplane.sock srw-rw---- root:fairlead",
                                  "/run/fairlead/control/control.sock srw-rw---- fairlead:fairlead",
                                  "/var/lib/fairlead drwxr-x--- fairlead:fairlead"]
    machine.run("useradd clerk --groups fairlead && useradd stranger")
    machine.run("fairctl status", user="clerk")
    assert machine.run("fairctl status", user="stranger", check=False).returncode != 0


def check_scores(machine):
    """`--threshold` is in tenths."""
    machine.run("systemd-analyze security --no-pager --threshold=20 fairleadd.service")
    machine.run("systemd-analyze security --no-pager --threshold=32 fairlead-dataplane.service")


@pytest.mark.slow("boots a machine and installs the packages")
def test_what_starts_by_itself_and_what_does_not(machine):
    for line in commands(_INSTALL, "first request")[:2]:
        machine.run(line)
    assert machine.show("fairleadd", "ActiveState") == "active"
    assert machine.show("fairleadd", "UnitFileState") == "enabled"
    assert machine.show("fairlead-dataplane", "ActiveState") == "inactive"
    assert machine.show("fairlead-dataplane", "UnitFileState") == "disabled"
    # dataplane.yaml has no port yet. That is a mistake in the configuration: no restart would help.
    assert machine.run("systemctl start fairlead-dataplane", check=False).returncode != 0
    wait_until(lambda: machine.show("fairlead-dataplane", "ActiveState") == "failed", 30,
               lambda: machine.journal("fairlead-dataplane"))
    assert machine.show("fairlead-dataplane", "ExecMainStatus") == "78"
    assert machine.show("fairlead-dataplane", "NRestarts") == "0"
    # Other failures are retried.
    before = machine.show("fairleadd", "MainPID")
    machine.run(f"kill -KILL {before}")
    wait_until(lambda: machine.show("fairleadd", "MainPID") not in ("0", before), 30,
               lambda: machine.journal("fairleadd"))
    machine.wait_active("fairleadd")
    # Maintainer scripts may run twice, as after an interrupted dpkg.
    machine.run("for package in fairlead-dataplane fairlead-controlplane fairlead-agent; do "
                "export DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_RUNNING_VERSION=1.21; "
                "script=/var/lib/dpkg/info/$package.postinst; "
                "if [ -x $script ]; then $script configure 0.1; $script configure 0.1; fi; done")
    machine.wait_active("fairleadd")
    check_removal(machine)


def files(machine):
    """Everything outside the folders where packages keep data of others."""
    return set(machine.run(
        "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o -path /var/cache -prune "
        "-o -path /var/log -prune -o -path /tmp -prune -o -name '*fairlead*' -print -o -name '*fairctl*' -print; "
        "ls -d /run/fairlead /run/dpkg 2>/dev/null || true").stdout.split())


def check_removal(machine):
    machine.run("fairctl service add kept --frontend 203.0.113.20:80/tcp")
    follow(machine, "remove")
    assert machine.run("pgrep -l fairlead", check=False).stdout == ""
    for path in ("/etc/fairlead/dataplane.yaml", "/etc/fairlead/fairleadd.yaml", "/var/lib/fairlead/fairlead.db"):
        machine.run(f"test -f {path}")
    machine.run(f"apt-get install -y --no-install-recommends {_PACKAGES}")
    machine.wait_active("fairleadd")
    assert "kept" in machine.run("fairctl service list").stdout
    machine.run(f"apt-get purge -y {_PACKAGES}")
    assert machine.run("pgrep -l fairlead", check=False).stdout == ""
    assert files(machine) == {"/etc/apt/sources.list.d/fairlead.list", "/srv/fairlead"}
    assert machine.run("dpkg --audit").stdout == ""


@pytest.mark.slow("boots a machine and installs the packages twice")
def test_a_full_disk_and_a_read_only_etc_leave_dpkg_consistent(machine):
    follow_source = commands(_INSTALL, "first request")[0]
    machine.run(follow_source)
    machine.run("apt-get update")
    # Dependencies first: the failure is then Fairlead's own.
    machine.run("apt-get install -y --no-install-recommends fairlead && apt-get purge -y " + _PACKAGES)
    install = "apt-get install -y --no-install-recommends fairlead"
    machine.run("mount --bind /etc /etc && mount -o remount,bind,ro /etc")
    failed = machine.run(install, check=False)
    assert failed.returncode != 0 and "Read-only file system" in failed.stdout + failed.stderr
    machine.run("umount /etc")
    machine.run("apt-get -y -f --no-install-recommends install && dpkg --configure -a")
    machine.run(install)
    machine.wait_active("fairleadd")
    assert machine.run("dpkg --audit").stdout == ""
    # A full disk: /var/lib/fairlead, where the store is.
    machine.run("systemctl stop fairleadd && mount -t tmpfs -o size=64k,mode=755 none /var/lib/fairlead && "
                "dd if=/dev/zero of=/var/lib/fairlead/filler bs=1k count=60 && chown fairlead: /var/lib/fairlead")
    machine.run("apt-get install -y --reinstall --no-install-recommends fairlead-controlplane")
    assert machine.run("dpkg --audit").stdout == ""
    machine.run("umount -l /var/lib/fairlead && systemctl restart fairleadd")
    machine.wait_active("fairleadd")


@pytest.mark.slow("boots a machine and installs the agent")
def test_the_agent_is_attached_by_its_unit_and_detached_by_a_removal(lab, machine):
    machine.run(commands(_INSTALL, "first request")[0])
    machine.run("apt-get update")
    follow(machine, "agent")
    assert "10.0.0.2" in machine.run("fairlead-agent balancers list").stdout
    # An interface's own file goes before agent.conf.
    machine.run("echo 'FAIRLEAD_AGENT_OPTIONS=\"--balancer 10.0.0.3\"' > /etc/fairlead/agent-eth0.conf && "
                "systemctl reload fairlead-agent@eth0")
    assert machine.run("fairlead-agent balancers list").stdout == "eth0 10.0.0.3\n"
    machine.run("apt-get remove -y fairlead-agent")
    assert "xdp" not in machine.run("ip -details link show eth0").stdout
    machine.run("rm /etc/fairlead/agent-eth0.conf && apt-get purge -y fairlead-agent && test ! -e /etc/fairlead")
