"""What the daemons tell systemd: when they are ready, what they do, and that they work (WatchdogSec)."""
import os
import socket
import time

import pytest

from tests.e2e.conftest import configure
from tests.lab import ControlClient, wait_until
from tests.lab.notify import NotifySocket, stopped_thread, threads


@pytest.mark.quick
def test_fairleadd_is_ready_when_its_api_answers(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify") as manager:
        fairleadd = lab.start_control(wait=False, env=manager.env)
        manager.wait_for("READY=1", fairleadd)
        # No second try.
        assert lab.control.get("/v1/status")["dataplane"]["connected"] is False
        lab.start_dataplane()
        manager.wait_for("STATUS=connected to the dataplane; 0 service(s), 0 backend(s)", fairleadd)
        configure(lab)
        manager.wait_for("STATUS=connected to the dataplane; 2 service(s), 8 backend(s)", fairleadd)
        manager.read()
        assert not [message for message in manager.messages if message.startswith("WATCHDOG")]
        assert fairleadd.stop() == 0
        manager.read()
        assert "STOPPING=1" in manager.messages
        assert manager.messages.count("READY=1") == 1


@pytest.mark.quick
def test_a_start_that_fails_is_never_ready(bare_lab):
    lab = bare_lab
    lab.start_control()
    with NotifySocket(lab.dir / "notify") as manager:
        second = lab.start_control(wait=False, env=manager.env)
        assert second.wait(30) == 1
        refused = lab.start_dataplane(wait=False, env=manager.env, device="af_packet:nowhere")
        assert refused.wait(30) == 1
        manager.read()
        assert "READY=1" not in manager.messages


@pytest.mark.quick
def test_a_dataplane_that_systemd_starts_waits_for_an_absent_interface(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify") as manager:
        dataplane = lab.start_dataplane(wait=False, env=manager.env, device="af_packet:eth9")
        manager.wait_for("STATUS=starting: waiting for af_packet:eth9 of port wan", dataplane)
        assert "waiting for af_packet:eth9 of port wan" in dataplane.errors()
        lab.balancer.namespace.ip("link add eth9 type veth peer name far9", "link set eth9 up")
        manager.wait_for("READY=1", dataplane)


@pytest.mark.quick
def test_a_long_start_is_not_ready_and_asks_for_more_time(bare_lab):
    """The pcap driver opens a FIFO that nobody writes, and waits. The dataplane tells it every 10 s."""
    lab = bare_lab
    fifo = lab.dir / "never.pcap"
    os.mkfifo(fifo)
    with NotifySocket(lab.dir / "notify") as manager:
        hangs = lab.start_dataplane(device=f"pcap:{fifo},", wait=False, env=manager.env)
        manager.wait_for("EXTEND_TIMEOUT_USEC=30000000", hangs)
        assert f"STATUS=starting: opening port wan (pcap:{fifo},)" in manager.messages, manager.messages
        assert "READY=1" not in manager.messages
        hangs.stop()


@pytest.mark.quick
def test_the_dataplane_is_ready_when_it_forwards(bare_lab):
    lab = bare_lab
    lab.start_control()
    with NotifySocket(lab.dir / "notify") as manager:
        dataplane = lab.start_dataplane(wait=False, env=manager.env)
        manager.wait_for("READY=1", dataplane)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.settimeout(60)
            link.connect(str(lab.link_path))
            assert link.recv(4096)[:4] == b"FLNK"
        assert manager.messages[0] == "STATUS=1 port(s), 1 worker(s), no services yet", manager.messages
        configure(lab)
        manager.wait_for("STATUS=1 port(s), 1 worker(s), generation ", dataplane)
        assert dataplane.stop() == 0
        manager.read()
        assert manager.messages[-1] == "STOPPING=1", manager.messages
        # The next one has the saved services at once.
        restarted = lab.start_dataplane(wait=False, env=manager.env)
        manager.wait_for("READY=1", restarted)
        status = [message for message in manager.messages if message.startswith("STATUS")][-1]
        assert " generation " in status, manager.messages


@pytest.mark.quick
def test_a_worker_that_stands_still_ends_the_dataplanes_watchdog_messages(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify", watchdog_s=1) as manager:
        dataplane = lab.start_dataplane(env=manager.env)  # it sleeps between two polls
        manager.wait_for("WATCHDOG=1", dataplane, count=4)
        worker, = threads(dataplane.pid, "rte-worker")
        with stopped_thread(worker):
            time.sleep(1)  # one more message is possible: the worker has polled since the last one
            assert manager.count_for("WATCHDOG=1", seconds=3) == 0
            wait_until(lambda: "worker 0 has not polled its ports for" in dataplane.errors(), 30,
                       lambda: f"no warning: {dataplane.errors()}")
            # The management thread still works.
            assert lab.telemetry("/fairlead/stats")["generation"] == 0
        manager.wait_for("WATCHDOG=1", dataplane, count=3)


@pytest.mark.quick
def test_a_management_thread_that_stands_still_ends_the_dataplanes_watchdog_messages(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify", watchdog_s=1) as manager:
        dataplane = lab.start_dataplane(env=manager.env)
        manager.wait_for("WATCHDOG=1", dataplane)
        with stopped_thread(dataplane.pid):
            assert manager.count_for("WATCHDOG=1", seconds=3) == 0
        manager.wait_for("WATCHDOG=1", dataplane, count=2)


@pytest.mark.quick
def test_a_main_loop_that_stands_still_ends_fairleadds_watchdog_messages(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify", watchdog_s=1) as manager:
        fairleadd = lab.start_control(env=manager.env)
        manager.wait_for("WATCHDOG=1", fairleadd, count=4)
        with stopped_thread(fairleadd.pid):
            assert manager.count_for("WATCHDOG=1", seconds=3) == 0
        manager.wait_for("WATCHDOG=1", fairleadd, count=2)
        assert ControlClient(lab.socket_path, timeout_s=60).get("/v1/status")["services"] == 0


@pytest.mark.quick
def test_a_service_manager_that_does_not_read_stops_nothing(bare_lab):
    lab = bare_lab
    with NotifySocket(lab.dir / "notify", watchdog_s=0.02) as manager:
        lab.start_dataplane(env=manager.env)
        lab.start_control(env=manager.env)
        time.sleep(3)  # 300 messages of each; the queue has 10 places, under systemd 512
        configure(lab)
        assert lab.control.get("/v1/status")["dataplane"]["connected"] is True
        assert len(manager.read()) < 600
