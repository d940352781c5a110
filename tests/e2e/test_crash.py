"""kill -9 of either daemon at any time: no acknowledged change is lost, and forwarding continues or resumes."""
import random
import threading
import time

import pytest

from tests.e2e.conftest import configure, web_targets
from tests.lab import wait_until

_SEED = 20261124


class _Changer(threading.Thread):
    """Makes one change after the other and records which were acknowledged."""

    def __init__(self, lab, first):
        super().__init__()
        self.lab = lab
        self.number = first
        self.acknowledged = []  # addresses added to `scratch`
        self.attempted = None
        self.weight = None

    def run(self):
        while True:
            self.attempted = f"10.9.{self.number // 250}.{1 + self.number % 250}"
            self.number += 1
            try:
                self.lab.control.post("/v1/services/scratch/backends",
                                      {"address": self.attempted, "mac": "02:00:00:00:ee:01"})
                self.acknowledged.append(self.attempted)
                weight = self.number % 1000
                self.lab.control.patch(f"/v1/services/scratch/backends/{self.attempted}", {"weight": weight})
                self.weight = (self.attempted, weight)
            except OSError:
                return  # fairleadd was killed
            except Exception:
                if self.lab.fairleadd.running():
                    raise
                return


@pytest.mark.slow("kills the control plane up to 32 times")
@pytest.mark.limit(240)
def test_a_killed_control_plane_loses_no_acknowledged_change(balanced):
    lab = balanced
    chance = random.Random(_SEED)
    lab.control.post("/v1/services", {"name": "scratch", "frontends": ["203.0.113.99:80/tcp"],
                                      "health_check": {"type": "none"}})
    load = lab.start_load(targets=web_targets(lab), keep=50, interval_ms=50, new_per_second=100, udp=20,
                          udp_interval_ms=50).wait_steady()
    acknowledged, number = set(), 0
    for killed in range(1, 33):
        changer = _Changer(lab, number)
        changer.start()
        time.sleep(chance.uniform(0.02, 0.6))
        lab.fairleadd.kill()
        changer.join(30)
        assert not changer.is_alive()
        acknowledged |= set(changer.acknowledged)
        number = changer.number
        lab.start_control()
        stored = lab.backends_of("scratch")
        assert acknowledged <= set(stored), f"lost backends: {sorted(acknowledged - set(stored))} (seed {_SEED})"
        extra = set(stored) - acknowledged
        assert extra <= {changer.attempted}, f"backends that were never added: {extra}"
        acknowledged |= extra
        if changer.weight:
            address, weight = changer.weight
            assert stored[address]["weight"] == weight
        if killed >= 8 and len(acknowledged) > 20:
            break
    assert len(acknowledged) > 20
    lab.wait_healthy("web", 4)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_forwarding_continues_without_a_control_plane(balanced):
    lab = balanced
    load = lab.start_load(targets=web_targets(lab), keep=50, interval_ms=20, new_per_second=200, udp=20,
                          udp_interval_ms=20).wait_steady()
    lab.fairleadd.kill()
    time.sleep(3)
    assert lab.start_load(targets=web_targets(lab), count=200).wait()["failed"] == 0
    lab.start_control()
    lab.wait_healthy("web", 4)
    time.sleep(1)
    figures = load.stop()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
@pytest.mark.parametrize("control_plane", ["alive", "dead"])
def test_a_restarted_dataplane_forwards_again_and_breaks_no_connection(balanced, control_plane):
    lab = balanced
    # These clients have a long timeout. TCP retransmits what is lost in the gap, to the same backend as before.
    load = lab.start_load(targets=web_targets(lab), keep=50, interval_ms=20, timeout_ms=20000).wait_steady()
    # These clients time out before TCP retransmits the SYN. A flow with an answer began while the dataplane forwarded.
    impatient = lab.start_load(targets=[f"{lab.vip4}:80"], new_per_second=200, timeout_ms=500,
                               events=True).wait_steady()
    if control_plane == "dead":
        lab.fairleadd.kill()
    killed = time.monotonic()
    lab.dataplane.kill()
    lab.start_dataplane()
    back = time.monotonic()
    impatient.wait_answered(300, "tcp_new")
    load.wait_answered(2 * 50)
    if control_plane == "alive":
        wait_until(lab.in_force, 30, "the control plane did not publish to the new dataplane")
    figures, _ = load.stop(), impatient.stop()
    assert figures["failed"] == 0, figures["details"]
    answered = [start for start, _, backend in impatient.flows() if backend]
    gap = min(start for start in answered if start > killed + 0.02) - killed
    print(f"no forwarding for about {gap:.2f} s after kill -9 of the dataplane")
    assert gap < 10
    assert sum(start > back for start in answered) > 100
    if control_plane == "dead":
        lab.start_control()
        lab.wait_healthy("web", 4)


@pytest.mark.quick
def test_both_daemons_can_be_killed_and_restarted_in_either_order(balanced):
    lab = balanced
    for dataplane_first in (True, False):
        lab.fairleadd.kill()
        lab.dataplane.kill()
        for start in (lab.start_dataplane, lab.start_control)[::1 if dataplane_first else -1]:
            start()
        lab.wait_healthy("web", 4)
        figures = lab.start_load(targets=web_targets(lab), count=200).wait()
        assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_drain_survives_a_killed_control_plane(balanced):
    lab = balanced
    leaving = lab.backends[0]
    lab.start_load(targets=web_targets(lab), keep=40, interval_ms=50).wait_steady()
    before = lab.control.put(f"/v1/services/web/backends/{leaving.address4}/drain", {"timeout": "200s"})
    lab.fairleadd.kill()
    lab.start_control()
    drain = lab.control.get(f"/v1/services/web/backends/{leaving.address4}/drain")
    assert drain["state"] == "draining"
    assert (drain["started"], drain["deadline"]) == (before["started"], before["deadline"])
    lab.wait_healthy("web", 3)
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert leaving.name not in figures["tcp_new"]["flows_by_backend"]


@pytest.mark.quick
def test_a_damaged_store_is_refused_by_its_path_and_forwarding_continues(lab):
    configure(lab)
    lab.fairleadd.stop()
    data = bytearray(lab.store_path.read_bytes())
    lab.store_path.write_bytes(data[:len(data) // 2])
    refused = lab.start_control(wait=False)
    assert refused.wait(30) != 0
    assert str(lab.store_path) in refused.errors(), refused.tail()
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0, figures["details"]


@pytest.mark.quick
def test_a_lost_store_or_a_malformed_services_file_does_not_replace_the_tables(lab):
    """A fairleadd without a store, or with a malformed services file, leaves the dataplane's tables in force."""
    configure(lab)
    lab.fairleadd.stop()
    generation = lab.telemetry("/fairlead/stats")["generation"]
    for path in lab.dir.glob(lab.store_path.name + "*"):
        path.unlink()
    half = lab.dir / "services.yaml"
    half.write_text(f"services:\n  - name: web\n    frontends: ['{lab.vip4}:80/tcp']\n"
                    f"    backends: [{lab.backends[0].address4}]\n  - name: echo\n    frontends: [")
    refused = lab.start_control(extra=["--services", half], wait=False)
    assert refused.wait(30) != 0
    assert str(half) in refused.errors(), refused.tail()
    lab.start_control()
    status = lab.control.get("/v1/status")
    assert (status["generation"], status["services"]) == (0, 0), status
    time.sleep(2)  # longer than fairleadd delays publishing after a start
    assert lab.telemetry("/fairlead/stats")["generation"] == generation
    assert_all_serve(lab)
    lab.dataplane.kill()
    lab.start_dataplane()
    assert lab.telemetry("/fairlead/stats")["generation"] == generation
    assert_all_serve(lab)


def assert_all_serve(lab):
    figures = lab.start_load(targets=web_targets(lab), count=200).wait()
    assert figures["failed"] == 0, figures["details"]
    assert set(figures["tcp_new"]["flows_by_backend"]) == {backend.name for backend in lab.backends}
