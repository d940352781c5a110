"""What goes wrong on an installed machine: a wrong setting, a newer store, a hung worker, a full folder, a second start."""
import os
import shutil
import sqlite3
import time

import pytest

from tests.lab import Lab, wait_until
from tests.lab.notify import stopped_thread, threads
from tests.packages import rootfs
from tests.packages.machine import Machine
from tests.packages.test_install import follow, request, wait_answered
from tests.packages.test_upgrade import wait_in_force

_STORE = "/var/lib/fairlead/fairlead.db"


@pytest.fixture(scope="module")
def lab():
    with Lab(os.environ["FAIRLEAD_BUILD"], backends=1) as network:
        network.start_backends()
        yield network


@pytest.fixture(scope="module")
def installed(lab, debs, tmp_path_factory):
    """A machine with all packages, both daemons and a service that answers. Each test leaves it like that."""
    folder = tmp_path_factory.mktemp("source")
    for deb in debs:
        shutil.copy(deb, folder)
    rootfs.write_index(folder)
    with Machine(rootfs.layers(debs), folder, lab) as machine:
        follow(machine, "first request")
        wait_answered(lab, machine)
        yield machine


def wait_failed(machine, unit, status, *words):
    """Waits until the unit has failed with the status and was not started again. Its journal has the words."""
    wait_until(lambda: machine.show(unit, "ActiveState") == "failed", 60, lambda: machine.journal(unit))
    assert machine.show(unit, "ExecMainStatus") == str(status)
    wait_logged(machine, unit, *words)


def wait_logged(machine, unit, *words):
    wait_until(lambda: all(word in machine.journal(unit) for word in words), 60,
               lambda: f"the journal lacks one of {words}\n{machine.journal(unit)}", interval_s=0.5)


def restart(machine, unit):
    machine.run(f"systemctl reset-failed {unit}; systemctl restart {unit}")


@pytest.mark.slow("boots a machine and installs the packages, if it is the first test")
@pytest.mark.parametrize(("unit", "file"), [("fairleadd", "fairleadd.yaml"), ("fairlead-dataplane", "dataplane.yaml")])
def test_an_unknown_key_ends_the_unit_for_good_and_names_itself(lab, installed, unit, file):
    machine = installed
    machine.run(f"cp /etc/fairlead/{file} /root/kept && echo 'colour: green' >> /etc/fairlead/{file}")
    try:
        machine.run(f"systemctl restart {unit}", check=False)
        lines = machine.run(f"wc -l < /etc/fairlead/{file}").stdout.strip()
        wait_failed(machine, unit, 78, f"/etc/fairlead/{file}: line {lines}: colour: unknown key")
    finally:
        machine.run(f"cp /root/kept /etc/fairlead/{file}")
        restart(machine, unit)
    wait_in_force(machine)
    wait_answered(lab, machine)


def set_schema_version(machine, change, folder):
    """Changes the schema version of the store, whose fairleadd has ended. Returns the version that it had."""
    copy = folder / "store"
    copy.write_bytes(machine.path(_STORE).read_bytes())  # SQLite does not open files by way of /proc
    with sqlite3.connect(copy) as database:
        version, = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version={version + change}")
    database.close()
    machine.path(_STORE).write_bytes(copy.read_bytes())
    return version


def test_a_newer_store_is_refused_and_the_documented_commands_bring_the_copy_back(lab, installed, tmp_path):
    machine = installed
    machine.run(f"systemctl stop fairleadd && cp -p {_STORE} /root/store")
    version = set_schema_version(machine, 1, tmp_path)
    machine.run(f"cp -p /root/store {_STORE}.schema-{version}; systemctl start fairleadd", check=False)
    wait_failed(machine, "fairleadd", 78, f"the store has schema version {version + 1}", f"{_STORE}.schema-{version}")
    assert request(lab).returncode == 0, "forwarding ended with the control plane"
    follow(machine, "downgrade of the store", document="operations.md", replace=("schema-1", f"schema-{version}"))
    restart(machine, "fairleadd")
    wait_in_force(machine)
    assert "web" in machine.run("fairctl service list").stdout


def test_a_hung_worker_gets_the_dataplane_restarted_within_ten_seconds(lab, installed):
    machine = installed
    before = machine.show("fairlead-dataplane", "MainPID")
    host_pid = machine.host_pid(before)
    worker, *_ = threads(host_pid, "rte-worker")
    started = time.monotonic()
    with stopped_thread(worker) as let_end:
        wait_until(lambda: let_end() or machine.show("fairlead-dataplane", "MainPID") not in ("0", before), 120,
                   lambda: machine.journal("fairlead-dataplane"))
        seconds = time.monotonic() - started
    print(f"a hung worker: the dataplane was restarted after {seconds:.1f} s")
    machine.wait_active("fairlead-dataplane")
    wait_logged(machine, "fairlead-dataplane", "Watchdog timeout", "has not polled its ports for")
    wait_in_force(machine)
    wait_answered(lab, machine)


@pytest.mark.slow("waits for seven starts by systemd")
@pytest.mark.parametrize(("unit", "folder"), [("fairlead-dataplane", "/run/fairlead"),
                                              ("fairleadd", "/run/fairlead/control")])
def test_a_full_run_folder_is_named_and_the_unit_starts_once_there_is_space(lab, installed, unit, folder):
    machine = installed
    machine.run(f"systemctl stop {unit} && mount -t tmpfs -o size=64k,nr_inodes=1,mode=777 none {folder} && "
                f"systemctl start --no-block {unit}")
    wait_logged(machine, unit, "No space left on device")
    # systemd's default would give up after five starts in ten seconds.
    wait_until(lambda: int(machine.show(unit, "NRestarts")) > 6, 120, lambda: machine.journal(unit), interval_s=0.2)
    machine.run(f"umount {folder}")
    machine.wait_active(unit)
    wait_in_force(machine)
    wait_answered(lab, machine)


def test_a_second_start_by_hand_is_refused_and_takes_nothing_away(lab, installed):
    machine = installed
    before = [machine.show(unit, "MainPID") for unit in ("fairleadd", "fairlead-dataplane")]
    second = machine.run("fairlead-dataplane --config /etc/fairlead/dataplane.yaml -- --no-huge", check=False)
    assert second.returncode == 1 and "another fairlead-dataplane listens on" in second.stderr, second.stderr
    second = machine.run("fairleadd --config /etc/fairlead/fairleadd.yaml", check=False, user="fairlead")
    assert second.returncode == 1 and "in use by another process" in second.stderr, second.stderr
    machine.run("systemctl start fairleadd fairlead-dataplane")  # no second process
    assert [machine.show(unit, "MainPID") for unit in ("fairleadd", "fairlead-dataplane")] == before
    assert request(lab).returncode == 0
