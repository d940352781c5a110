"""fairctl dataplane restart, and fairlead-dataplane --check.

A program of the test takes the place of systemctl. It restarts the lab's dataplane.
"""
import contextlib
import json
import os
import pathlib
import socket
import threading

import pytest

from tests.e2e.conftest import web_targets
from tests.lab import wait_until
from tests.lab.process import run

# Sends its arguments to the test, and prints and returns what the test answers.
_SYSTEMCTL = """#!/usr/bin/python3
import json, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
    asking.connect({path!r})
    asking.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    status, out = json.loads(asking.makefile().read())
print(out, end="")
sys.exit(status)
"""


class FakeSystemd:
    """Has one unit: the lab's dataplane with `extra` as its additional arguments."""

    def __init__(self, lab):
        self.lab = lab
        self.extra = []
        self.restarts = 0
        self.folder = lab.dir / "bin"
        self.folder.mkdir()
        path = str(lab.dir / "systemd.sock")
        program = self.folder / "systemctl"
        program.write_text(_SYSTEMCTL.format(path=path))
        program.chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)

    def fairctl(self, *arguments):
        """Runs fairctl where the dataplane runs. Returns its result."""
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        command = [self.lab.program("tools/fairctl/fairctl"), "--socket", self.lab.socket_path, *arguments]
        return run(self.lab.balancer.namespace.command(command), check=False, env=environment)

    def _arguments(self):
        """The arguments of the running dataplane, with today's `extra`."""
        argv = self.lab.dataplane.argv
        return [*argv[:argv.index("--")], *self.extra, *argv[argv.index("--"):]]

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rw") as stream:
                answer = self._answer(json.loads(stream.readline()))
                with contextlib.suppress(OSError):
                    stream.write(json.dumps(answer))
                    stream.flush()

    def _answer(self, arguments):
        assert arguments[-2:] == ["--", "fairlead-dataplane.service"], arguments
        if arguments[0] == "show":
            argv = self._arguments()
            return 0, ("LoadState=loaded\nActiveState=active\n"
                       f"MainPID={self.lab.dataplane.pid}\n"
                       f"ExecStart={{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no ; }}\n")
        assert arguments[0] == "restart", arguments
        self.restarts += 1
        self.lab.dataplane.stop()
        try:
            self.lab.start_dataplane(extra=self.extra)
        except Exception as error:  # the lab reports why; systemctl only that it failed
            return 1, f"{error}\n"
        return 0, ""


@pytest.fixture
def systemd(balanced):
    fake = FakeSystemd(balanced)
    yield fake
    fake.close()


def make_records(lab, load):
    """Makes flows that reach their backend only by their records, and slots that shift."""
    leaving = lab.backends[0]
    lab.control.put(f"/v1/services/web/backends/{leaving.address4}/drain", {"timeout": "1h"})
    wait_until(lambda: lab.backends_of("web")[leaving.address4]["flows"] > 5, 20,
               "no 5 flows of the draining backend are recorded")
    load.wait_answered(200)


def snapshot_of(folder):
    """What is in the folder: inode, size and time of the last change of each file."""
    rows = {}
    for path in pathlib.Path(folder).glob("dataplane.s*"):
        for each in (path, *path.glob("*")):
            info = each.lstat()
            rows[each] = (info.st_ino, info.st_size, info.st_mtime_ns)
    return rows


@pytest.mark.quick
def test_a_restart_takes_over_all_records_and_breaks_no_connection(systemd):
    lab = systemd.lab
    load = lab.start_load(targets=web_targets(lab), keep=100, interval_ms=50, timeout_ms=60000).wait_steady()
    make_records(lab, load)
    before = snapshot_of(lab.dir)
    dry = json.loads(systemd.fairctl("--json", "dataplane", "restart", "--dry-run").stdout)
    assert snapshot_of(lab.dir) == before
    assert systemd.restarts == 0
    parts = {part["name"]: part for part in dry["check"]["parts"]}
    assert dry["check"]["complete"], dry
    assert {name: part["outcome"] for name, part in parts.items()} == {
        "configuration": "taken_over", "snapshot": "taken_over", "flow_records": "taken_over",
        "slot_states": "taken_over"}
    assert parts["flow_records"]["count"] > 5

    pid = lab.dataplane.pid
    result = systemd.fairctl("dataplane", "restart", "--wait")
    assert result.returncode == 0, result.stdout + result.stderr
    assert systemd.restarts == 1
    status = lab.control.get("/v1/status")
    assert status["dataplane"]["pid"] == lab.dataplane.pid != pid
    assert status["dataplane"]["generation"] == status["generation"]
    records = status["dataplane"]["records_taken_over"]
    assert records > 5
    last = result.stdout.splitlines()[-1]
    assert last.startswith("restarted      forwarding stopped for at most "), result.stdout
    assert f" ms, {records} flow records taken over, pid {lab.dataplane.pid}, generation " in last
    load.wait_answered(200)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]
    assert figures["tcp_keep"]["flows"] == 100, "a connection was opened again"


@pytest.mark.quick
def test_a_restart_that_loses_records_is_refused_and_names_the_setting(systemd):
    lab = systemd.lab
    load = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50, timeout_ms=60000).wait_steady()
    make_records(lab, load)
    load.stop()
    pid = lab.dataplane.pid
    systemd.extra = ["--flow-records", "4096"]
    refused = systemd.fairctl("dataplane", "restart")
    assert refused.returncode == 1
    assert "records: flow_table.records is 4096, but the table has 1048576; to keep them, set it to 1048576" in \
        refused.stdout
    assert "a restart would lose: flow records" in refused.stderr
    assert systemd.restarts == 0 and lab.dataplane.pid == pid and lab.dataplane.running()
    forced = systemd.fairctl("--json", "dataplane", "restart", "--force", "--wait")
    assert forced.returncode == 0, forced.stdout + forced.stderr
    reply = json.loads(forced.stdout)
    assert reply["restarted"] and reply["records_taken_over"] == 0 and reply["pid"] == lab.dataplane.pid
    figures = lab.start_load(targets=web_targets(lab), count=50).wait()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
@pytest.mark.parametrize("extra, sentence", [
    (["--cores", "900"], "cores: CPU 900 is not in this process's affinity mask"),
    (["--port", "lan=af_packet:nothere"], "port lan: af_packet:nothere: "),
    (["--port", "wan=null"], "two ports are named 'wan'"),
    (["--no-such-option"], "--no-such-option"),
])
def test_a_dataplane_that_would_not_start_is_never_restarted(systemd, extra, sentence):
    lab = systemd.lab
    pid = lab.dataplane.pid
    systemd.extra = extra
    refused = systemd.fairctl("dataplane", "restart", "--force")
    assert refused.returncode == 1
    assert "would not start with the options of fairlead-dataplane.service" in refused.stderr
    assert sentence in refused.stderr
    assert systemd.restarts == 0 and lab.dataplane.pid == pid and lab.dataplane.running()


@pytest.mark.quick
def test_the_check_answers_beside_the_running_dataplane(systemd):
    """The command that an operator without systemd uses."""
    lab = systemd.lab
    argv = systemd._arguments()
    check = run(lab.balancer.namespace.command([argv[0], "--check", *argv[1:]]), check=False)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "configuration  taken over: 1 port, 1 worker\n" in check.stdout
    assert lab.dataplane.running()
    wrong = run(lab.balancer.namespace.command([argv[0], "--check", "--json", "--workers", "0", *argv[1:]]),
                check=False)
    assert wrong.returncode == 78


@pytest.mark.quick
def test_a_start_that_fails_leaves_the_flow_table_to_the_next(systemd):
    lab = systemd.lab
    load = lab.start_load(targets=web_targets(lab), keep=60, interval_ms=50, timeout_ms=60000).wait_steady()
    make_records(lab, load)
    load.stop()
    lab.dataplane.stop()
    for records in ("1048576", "4096"):
        failed = lab.start_dataplane(extra=["--kernel", "wan=tap:lo", "--flow-records", records], wait=False)
        assert failed.wait(20) == 1
        assert "kernel: tap:lo already exists" in failed.errors()
    lab.start_dataplane(extra=["--verbose"])
    assert "flow table: taken over from" in lab.dataplane.errors()
