"""FIFOs, links and folders of others in place of the daemons' files: they are reported and block nothing."""
import json
import os
import pathlib
import stat

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until
from tests.lab.kept_image import await_kept_image


def _all_answered(lab):
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]


def _mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def _read_more(file, written):
    try:
        while more := os.read(file, 65536):
            written += more
    except BlockingIOError:
        pass
    return written


def _fifo(path):
    os.mkfifo(path, 0o666)


def _dangling(path):
    path.symlink_to("/nowhere/at/all")


@pytest.mark.quick
@pytest.mark.parametrize("plant", [_fifo, _dangling, pathlib.Path.mkdir])
def test_the_dataplane_starts_forwards_and_ends_with_other_objects_in_place_of_its_files(bare_lab, plant):
    lab = bare_lab
    for name in ("dataplane.snapshot", "dataplane.snapshot.new", "dataplane.flows", "dataplane.slots"):
        if not (name == "dataplane.slots" and plant is pathlib.Path.mkdir):
            plant(lab.dir / name)
    lab.start_dataplane()
    lab.start_control()
    configure(lab)
    _all_answered(lab)
    lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 3})
    wait_until(lab.in_force, 30, "the change is not in force")
    _all_answered(lab)
    assert lab.dataplane.stop(timeout_s=30) == 0, lab.dataplane.tail()
    said = lab.dataplane.tail(200)
    assert "dataplane.snapshot" in said and "dataplane.flows" in said, said
    assert not pathlib.Path("/nowhere").exists()


@pytest.mark.quick
def test_fairleadd_reports_other_objects_in_place_of_its_stores_files_and_does_not_hang(lab):
    configure(lab)
    lab.fairleadd.stop()
    for suffix in ("-journal", "-wal", "-shm", ".new"):
        for plant in (_fifo, _dangling):
            path = pathlib.Path(f"{lab.store_path}{suffix}")
            path.unlink(missing_ok=True)
            plant(path)
            if suffix == ".new":  # fairleadd ignores it while the store exists
                lab.start_control()
                lab.fairleadd.stop()
            else:
                refused = lab.start_control(wait=False)
                assert refused.wait(30) != 0
                assert f"{path} is " in refused.errors(), refused.tail()
            path.unlink()
    lab.start_control()
    _all_answered(lab)


@pytest.mark.quick
def test_with_umask_0_no_file_or_folder_is_readable_by_others(bare_lab):
    lab = bare_lab
    run = lab.dir / "run" / "fairlead"
    lab.link_path, lab.socket_path = run / "dataplane.sock", run / "control.sock"
    lab.store_path = lab.dir / "lib" / "fairlead" / "fairlead.db"
    old = os.umask(0)
    try:
        lab.start_dataplane()
        lab.start_control()
    finally:
        os.umask(old)
    configure(lab)
    # Changes a healthy backend, so that slots shift: an unchecked one has no slots.
    lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 3})
    wait_until(lambda: (run / "dataplane.slots").exists(), 30,
               "dataplane.slots does not exist")
    await_kept_image(lab.link_path, lab.control)
    for folder in (run, lab.store_path.parent):
        assert _mode(folder) in (0o750, 0o751), folder
    assert _mode(run / "dataplane.slots") == 0o700
    for path in (run / "dataplane.snapshot", *(run / "dataplane.slots").iterdir()):
        assert _mode(path) == 0o600, path
    assert _mode(run / "control.sock") == _mode(run / "dataplane.sock") == 0o660
    for path in lab.store_path.parent.iterdir():
        assert _mode(path) == 0o640, path


@pytest.mark.quick
def test_a_snapshot_file_of_another_user_is_not_loaded(balanced):
    lab = balanced
    if os.geteuid() != 0 or os.environ.get("FAIRLEAD_LAB_UNSHARED"):
        pytest.skip("chown to another user needs root")
    image = await_kept_image(lab.link_path, lab.control)
    lab.fairleadd.stop()
    lab.dataplane.kill()
    os.chown(image, 65534, 65534)
    lab.start_dataplane()
    assert "dataplane.snapshot belongs to user 65534" in lab.dataplane.tail(200)
    assert lab.telemetry("/fairlead/stats")["generation"] == 0
    lab.start_control()
    wait_until(lab.in_force, 30, "the new fairleadd did not publish")
    _all_answered(lab)
    assert os.lstat(image).st_uid == 0


@pytest.mark.quick
def test_a_full_log_pipe_does_not_block_fairleadd(balanced):
    """fairleadd's stderr is a full pipe."""
    lab = balanced
    lab.fairleadd.stop()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write_end, True)
    try:
        command = [lab.program("controlplane/fairleadd"), "--socket", lab.socket_path, "--store", lab.store_path,
                   "--link", lab.link_path, "--log-level", "debug", "--log-format", "json"]
        lab.fairleadd = lab.spawn("fairleadd-mute", command, lab.balancer.namespace, stderr=write_end)
        wait_until(lambda: lab.socket_path.exists() and lab.control.get("/v1/status")["dataplane"]["connected"], 30,
                   "fairleadd does not serve, or is not connected")
        for number in range(50):
            lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 1 + number % 7})
        metrics = lab.control.raw("GET", "/metrics")[1].splitlines()
        dropped = next(line.split()[1] for line in metrics if line.startswith("fairlead_log_lines_dropped_total "))
        assert int(dropped) > 30
        wait_until(lab.in_force, 30, "the changes are not in force")
        os.set_blocking(read_end, False)
        written = bytearray()
        _read_more(read_end, written)
        lab.control.patch(f"/v1/services/web/backends/{lab.backends[0].address4}", {"weight": 9})
        wait_until(lambda: b"log_lines_lost" in _read_more(read_end, written), 30, "no event log_lines_lost is logged")
        assert lab.fairleadd.stop(timeout_s=30) == 0
        _read_more(read_end, written)
        lines = [json.loads(line) for line in written.decode().lstrip("x").splitlines()]
        assert [int(line["lines"]) > 30 for line in lines if line["event"] == "log_lines_lost"] == [True]
    finally:
        os.close(read_end)
        os.close(write_end)
