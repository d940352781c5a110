"""Connections through an upgrade of the packages, and through restarts of both units."""
import shutil
import time

import pytest

from tests.lab import wait_until
from tests.lab.control import ControlClient
from tests.packages import rootfs
from tests.packages.machine import expect_within, is_busy
from tests.packages.test_install import follow, wait_answered

_CONNECTIONS = 400
_MOST_GAP_S = 0.5
_NEWER = "9.0"


def control(machine):
    return ControlClient(machine.path("/run/fairlead/control/control.sock"))


def wait_in_force(machine):
    """Waits until fairleadd is back and the dataplane has its newest generation."""
    def ready():
        try:
            status = control(machine).get("/v1/status")
        except OSError:
            return False
        return status["dataplane"]["connected"] and status["dataplane"]["generation"] == status["generation"]
    wait_until(ready, 60, lambda: machine.journal("fairleadd") + machine.journal("fairlead-dataplane"))


def longest_gap(times, first, last):
    """The longest time without an answered probe between the two times. All in s."""
    inside = [first, *(start for start in times if first < start < last), last]
    return max(late - early for early, late in zip(inside, inside[1:], strict=False))


@pytest.mark.slow("boots a machine, installs the packages three times, and restarts both units under load")
def test_connections_survive_an_upgrade_restarts_of_both_units_and_a_downgrade(lab, machine, source, debs, tmp_path):
    follow(machine, "first request")
    wait_answered(lab, machine)
    machine.run(f"fairctl backend add web {lab.backends[1].address4}")
    load = lab.start_load(targets=[f"{lab.vip4}:80"], keep=_CONNECTIONS, interval_ms=200, timeout_ms=60000).wait_steady()
    probes = lab.start_load(targets=[f"{lab.vip4}:80"], new_per_second=50, timeout_ms=250, events=True).wait_steady()

    newer = tmp_path / "newer"
    newer.mkdir()
    for deb in debs:
        shutil.copy(rootfs.with_version(deb, _NEWER, newer), source)
    rootfs.write_index(source)
    dataplane, fairleadd = machine.show("fairlead-dataplane", "MainPID"), machine.show("fairleadd", "MainPID")
    follow(machine, "upgrade")
    assert machine.run("dpkg-query -W -f '${Version}' fairlead-dataplane").stdout == _NEWER
    machine.wait_active("fairleadd")
    assert machine.show("fairleadd", "MainPID") != fairleadd, "the upgrade did not restart fairleadd"
    assert machine.show("fairlead-dataplane", "MainPID") == dataplane, "the upgrade restarted the dataplane"
    wait_in_force(machine)
    load.wait_answered(2 * _CONNECTIONS)

    busy = is_busy()
    before = time.monotonic()
    load.wait_answered(2 * _CONNECTIONS)
    restart = time.monotonic()
    follow(machine, "restart")
    assert machine.show("fairlead-dataplane", "MainPID") != dataplane
    wait_in_force(machine)
    load.wait_answered(2 * _CONNECTIONS)
    after = time.monotonic()

    # /run/fairlead has the state of the one that stopped: RuntimeDirectory= would have removed it.
    machine.run("sed -i 's/-- --no-huge/--verbose -- --no-huge/' /etc/default/fairlead-dataplane && "
                "systemctl stop fairlead-dataplane fairleadd && ls /run/fairlead/dataplane.snapshot && "
                "systemctl start fairleadd fairlead-dataplane")
    wait_in_force(machine)
    load.wait_answered(2 * _CONNECTIONS)
    assert "flow table: taken over from" in machine.journal("fairlead-dataplane")

    old = debs[0].name.split("_")[1]
    follow(machine, "downgrade", replace=("0.2.0", old))
    assert machine.run("dpkg-query -W -f '${Version}' fairlead-dataplane fairlead-controlplane").stdout == 2 * old
    wait_in_force(machine)
    load.wait_answered(2 * _CONNECTIONS)

    figures = load.stop(timeout_s=100)
    probes.stop()
    # Only probes show the gap: a connection's packets are sent again.
    answered = sorted(start for start, _, backend in probes.flows() if backend)
    gap_s, usual_s = longest_gap(answered, restart, after), longest_gap(answered, before, restart)
    print(f"restart of the dataplane's unit: no forwarding for {gap_s * 1000:.0f} ms; before it, the longest pause between "
          f"probes was {usual_s * 1000:.0f} ms")
    assert figures["failed"] == 0, figures["details"]
    assert figures["tcp_keep"]["flows"] == _CONNECTIONS, "a connection was opened again"
    expect_within(gap_s - usual_s, _MOST_GAP_S, "the restart of the dataplane", busy)
