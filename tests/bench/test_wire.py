"""Small runs of the wire bench: the generator accepts right packets and detects wrong ones. Each test takes seconds. Phases
during which a signal must arrive are long, since a busy machine may deliver it late."""
import os
import pathlib
import signal
import time

import pytest

from bench.suite.wire import Wire, check, measure
from tests.lab.process import LabError, wait_until

BUILD = pathlib.Path(os.environ.get("FAIRLEAD_BUILD", "build")).resolve()


def test_fairlead_forwards_every_packet_to_its_flows_backend():
    phases = ["20000:2", "max:0.5"]
    # No more packets in flight than fit into the rings: none is lost if a process does not run for a while.
    results = measure(BUILD, "fairlead", phases, flows=500, image=("--services", "3", "--backends", "7"),
                      generator=("--in-flight", "512"))
    assert [result["received"] > 1000 for result in results] == [True, True]
    assert results[0]["sent"] + results[0]["missed"] == pytest.approx(40_000, rel=0.2)
    assert 0 < results[0]["p50_ns"] <= results[0]["p99_ns"] <= results[0]["p999_ns"]


def test_the_generator_detects_packets_that_go_to_another_backend():
    with Wire(BUILD) as wire:
        image = wire.image("right", "--backends", "7")
        wire.start_generator("--backends", "8", "--flows", "500", "--phase", "20000:1")
        wire.start_fairlead("--snapshot", image, "--no-link")
        result = wire.results()[0]
    # With 8 backends instead of 7, Maglev moves an eighth of the slots to the new one, and some between the others.
    assert result["received"] / 20 < result["wrong_backend"] < result["received"] / 2
    with pytest.raises(LabError, match="wrong_backend"):
        check("other backends", result)


def test_with_any_backend_the_generator_accepts_a_forwarder_that_is_no_balancer():
    """dsr to one backend, checked like any forwarder: like testpmd's io mode except for the MAC addresses."""
    with Wire(BUILD) as wire:
        image = wire.image("right", "--backends", "1")
        wire.start_generator("--any-backend", "--flows", "10", "--phase", "5000:0.2")
        wire.start_fairlead("--snapshot", image, "--no-link")
        check("any", wire.results()[0])


def test_a_phase_does_not_count_time_when_the_generator_did_not_run():
    with Wire(BUILD) as wire:
        image = wire.image("right")
        wire.start_generator("--flows", "100", "--skip-gaps", "--in-flight", "64", "--phase", "20000:0.05", "--phase", "20000:5")
        wire.start_fairlead("--snapshot", image, "--no-link")
        wait_until(lambda: "{" in wire.generator.output() or wire.generator.require_running(), 30, "no phase ends")
        time.sleep(1)  # The second phase begins some time after the first one's result. The gap must lie inside it.
        os.kill(wire.generator.pid, signal.SIGSTOP)
        time.sleep(1)  # the gap
        os.kill(wire.generator.pid, signal.SIGCONT)
        result = wire.results()[1]
    check("a gap", result)
    assert result["gaps"] >= 1 and result["gap_seconds"] >= 0.9
    assert result["seconds"] == pytest.approx(5, rel=0.02)
    assert result["sent"] + result["missed"] == pytest.approx(100_000, rel=0.02)  # packets of the gap are not sent later
    assert result["p999_ns"] < 250e6


def test_packets_that_come_back_late_do_not_stop_the_next_phase():
    """The device is stopped in the second phase, and goes on in the third one."""
    def results():
        return wire.generator.output().count("{")

    with Wire(BUILD) as wire:
        image = wire.image("right")
        wire.start_generator("--flows", "100", "--in-flight", "64", "--phase", "20000:0.05", "--phase", "20000:2",
                             "--phase", "20000:3")
        wire.start_fairlead("--snapshot", image, "--no-link")
        wait_until(lambda: results() >= 1 or wire.generator.require_running(), 30, "no phase ends")
        os.kill(wire.device.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: results() >= 2 or wire.generator.require_running(), 30, "the second phase does not end")
        finally:
            os.kill(wire.device.pid, signal.SIGCONT)
        stopped, after = wire.results()[1:]
    assert stopped["lost"] >= 1
    check("after the stop", after)
    assert after["sent"] > 1000


def test_no_more_packets_are_under_way_than_allowed():
    """The device is stopped and does not empty its ring of 1024. So all packets that are under way are lost."""
    with Wire(BUILD) as wire:
        image = wire.image("right")
        wire.start_generator("--flows", "100", "--in-flight", "100", "--phase", "20000:0.05", "--phase", "20000:5")
        wire.start_fairlead("--snapshot", image, "--no-link")
        wait_until(lambda: "{" in wire.generator.output() or wire.generator.require_running(), 30, "no phase ends")
        os.kill(wire.device.pid, signal.SIGSTOP)
        try:
            result = wire.results()[1]
        finally:
            os.kill(wire.device.pid, signal.SIGCONT)
    assert result["lost"] == 100
    assert result["missed"] > 0


@pytest.mark.parametrize("result", [{"reordered": 1}, {"foreign": 1}, {"bad_checksum": 1}, {"lost": 900_000}])
def test_a_result_with_wrong_packets_is_refused(result):
    right = {"sent": 1_000_000, "lost": 0, "foreign": 0, "reordered": 0, "wrong_backend": 0, "bad_checksum": 0}
    check("right", right)
    with pytest.raises(LabError):
        check("wrong", {**right, **result})


def test_invalid_phases_are_refused():
    with Wire(BUILD) as wire:
        for phase in ("50%:1", "fast:1", "max", "1000:0", "10x:1"):
            wire.start_generator("--flows", "1", "--phase", phase, "--timeout-ms", "1")
            with pytest.raises(LabError):
                wire.results(10)
