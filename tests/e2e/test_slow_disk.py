"""A slow disk delays only changes of the configuration."""
import pathlib
import subprocess
import threading

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import ControlClient, wait_until

_CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "450ms", "rise": 1, "fall": 3}


@pytest.fixture
def slow_disk(bare_lab):
    """`balanced`, with a fairleadd whose disk is as slow as the file lab.slowness says (slow_disk.c)."""
    lab = bare_lab
    library = lab.dir / "slow_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).with_name("slow_disk.c"), "-ldl"],
                   check=True)
    lab.slowness = lab.dir / "slowness"
    lab.start_dataplane()
    lab.start_control(env={"LD_PRELOAD": str(library), "SLOW_DISK": str(lab.slowness)})
    configure(lab, checks=_CHECKS)
    return lab


def _path(lab, index):
    return f"/v1/services/web/backends/{lab.backends[index].address4}"


def _in_background(body):
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def _await_out_of_service(lab, backend):
    backend.nginx.kill()
    wait_until(lambda: lab.backends_of("web")[backend.address4]["state"] == "unhealthy", 30,
               f"{backend.name} is not unhealthy")
    wait_until(lab.in_force, 30, "the health change is not in force")
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]


def test_a_dead_backend_is_taken_out_of_service_while_the_disk_hangs(slow_disk):
    lab = slow_disk
    answers = []
    lab.slowness.write_text("hold")
    patient = ControlClient(lab.socket_path, timeout_s=120)
    change = _in_background(lambda: answers.append(patient.patch(_path(lab, 3), {"weight": 7})))
    _await_out_of_service(lab, lab.backends[0])
    assert not answers, "the change was acknowledged before the disk had it"
    assert lab.backends_of("web")[lab.backends[3].address4]["weight"] == 1, "the change shows before the disk has it"
    # A second change waits too. Reads are answered.
    second = _in_background(lambda: answers.append(patient.patch(_path(lab, 2), {"weight": 5})))
    assert lab.control.get("/v1/services/web")["name"] == "web"
    lab.slowness.unlink()
    change.join(60)
    second.join(60)
    assert sorted(answer["weight"] for answer in answers) == [5, 7]
    assert sorted(answer["revision"] for answer in answers) == [3, 4]
    wait_until(lab.in_force, 30, "the newest generation is not in force")


def test_a_dead_backend_is_taken_out_of_service_while_each_fsync_takes_five_seconds(slow_disk):
    lab = slow_disk
    lab.slowness.write_text("5000")
    stop = threading.Event()
    weights = []

    def change_all_the_time():
        patient = ControlClient(lab.socket_path, timeout_s=120)
        while not stop.is_set():
            weights.append(patient.patch(_path(lab, 3), {"weight": 2 + len(weights) % 5})["weight"])

    changes = _in_background(change_all_the_time)
    try:
        _await_out_of_service(lab, lab.backends[0])
        _await_out_of_service(lab, lab.backends[1])
    finally:
        stop.set()
        lab.slowness.unlink()
        changes.join(60)
    assert weights


def test_after_a_kill_while_the_disk_hangs_fairleadd_serves_the_acknowledged_state(slow_disk):
    """Health changed during the hang. The change of the weight was never acknowledged."""
    lab = slow_disk
    lab.slowness.write_text("hold")

    def change():
        try:
            ControlClient(lab.socket_path, timeout_s=60).patch(_path(lab, 3), {"weight": 7})
        except OSError:
            pass

    changing = _in_background(change)
    _await_out_of_service(lab, lab.backends[0])
    lab.fairleadd.kill()
    changing.join(60)
    lab.slowness.unlink()
    lab.start_control()
    states = lab.backends_of("web")
    assert states[lab.backends[3].address4]["weight"] in (1, 7)  # not acknowledged, so both are right
    wait_until(lambda: lab.backends_of("web")[lab.backends[0].address4]["state"] == "unhealthy", 30,
               "the dead backend is not unhealthy after the restart")
    wait_until(lab.in_force, 30, "the newest generation is not in force")
