"""The start of the dataplane: what it opens, what it refuses, and how it can be ended."""
import os
import signal
import time

import pytest

from tests.lab import wait_until


@pytest.mark.quick
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_hangs_in_a_driver_can_be_ended(bare_lab, number):
    """The pcap driver opens a FIFO that nobody writes, and waits."""
    lab = bare_lab
    fifo = lab.dir / "never.pcap"
    os.mkfifo(fifo)
    hangs = lab.start_dataplane(device=f"pcap:{fifo},", extra=["--verbose"], wait=False)
    doing = f"opening port wan (pcap:{fifo},)"
    wait_until(lambda: doing in hangs.errors(), 30, lambda: f"no step is logged: {hangs.errors()}")
    time.sleep(0.5)
    assert hangs.running()
    hangs.send_signal(number)
    assert hangs.wait(20) == -number
    assert f"ended by {signal.Signals(number).name} while {doing}" in hangs.errors()
