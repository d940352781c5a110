"""Out of memory: the dataplane refuses changes, fairleadd refuses requests. Both keep running; forwarding continues."""
import json
import pathlib

import pytest

from tests.e2e.conftest import web_targets
from tests.lab import wait_until
from tests.lab.process import run

_MANY = 12000  # backends in one body of less than 1 MiB


def _limit_memory(process, more_bytes):
    """Limits the process to its present address space plus `more_bytes`. None: no limit."""
    limit = "unlimited"
    if more_bytes is not None:
        lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
        limit = 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmSize:"))) + more_bytes
    run(["prlimit", "--pid", str(process.pid), f"--as={limit}:unlimited"])


def _large(lab, name, port):
    backends = [{"address": f"10.{100 + n // 60000}.{n // 250 % 240}.{1 + n % 250}", "mac": "02:00:00:00:ee:01"}
                for n in range(_MANY)]
    return {"name": name, "frontends": [f"{lab.vip4}:{port}/tcp"], "health_check": {"type": "none"},
            "backends": backends}


@pytest.mark.quick
def test_a_dataplane_without_memory_refuses_the_change_and_forwards(balanced, build):
    if "sanitizers" in str(build):
        pytest.skip("sanitizers reserve the whole address space at the start")
    lab = balanced
    load = lab.start_load(targets=web_targets(lab), keep=20, interval_ms=50, new_per_second=100).wait_steady()
    pid = lab.dataplane.pid
    _limit_memory(lab.dataplane, 0)
    for number in range(20):
        # Memory that the process has freed may suffice for some of these services.
        lab.control.post("/v1/services", _large(lab, f"big{number}", 81 + number))

        def outcome():
            if "memory" in lab.control.get("/v1/status")["dataplane"]["error"]:
                return "refused"
            return lab.in_force() and "in force"
        seen = wait_until(outcome, 60,
                          lambda: f"neither in force nor refused: {lab.control.get('/v1/status')['dataplane']}")
        if seen == "refused":
            break
    else:
        pytest.fail("the dataplane refused none of 20 large services")
    load.wait_answered(100, "tcp_new")
    assert lab.dataplane.running() and lab.dataplane.pid == pid
    _limit_memory(lab.dataplane, None)
    wait_until(lab.in_force, 30,
               lambda: f"not in force after the limit was removed: {lab.control.get('/v1/status')['dataplane']}")
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_a_control_plane_without_memory_refuses_requests_and_keeps_running(balanced, build):
    if "sanitizers" in str(build):
        pytest.skip("sanitizers reserve the whole address space at the start")
    lab = balanced
    pid = lab.fairleadd.pid
    before = lab.control.get("/v1/services")
    statuses = set()
    for more in (1 << 20, 2 << 20, 4 << 20, 8 << 20, 12 << 20):
        _limit_memory(lab.fairleadd, more)
        for number in range(3):
            try:
                service = json.dumps(_large(lab, f"big{number}", 90 + number))
                status, _ = lab.control.raw("POST", "/v1/services", service)
            except OSError:
                status = 0  # fairleadd closed the connection: it had no memory for an answer
            statuses.add(status)
            if status == 201:
                lab.control.delete(f"/v1/services/big{number}")
        assert lab.fairleadd.running() and lab.fairleadd.pid == pid, lab.fairleadd.tail()
        _limit_memory(lab.fairleadd, None)
        assert lab.control.get("/v1/status")["services"] == 2
    assert statuses & {0, 503}, statuses
    _limit_memory(lab.fairleadd, None)
    now = lab.control.get("/v1/services")
    assert [service["name"] for service in now["services"]] == [service["name"] for service in before["services"]]
    dead = lab.backends[0]
    dead.nginx.kill()
    wait_until(lambda: lab.backends_of("web")[dead.address4]["state"] == "unhealthy" and lab.in_force(), 30,
               f"health checks did not detect that {dead.name} is dead")
