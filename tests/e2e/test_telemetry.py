"""rte_telemetry of a running dataplane, which dpdk-telemetry.py shows."""
import signal
import time

import pytest

from tests.e2e.conftest import web_targets
from tests.lab import wait_until


@pytest.mark.quick
def test_telemetry_lists_names_and_shows_counters(balanced):
    lab = balanced
    figures = lab.start_load(targets=web_targets(lab), count=100).wait()
    assert figures["failed"] == 0
    assert lab.telemetry("/fairlead/services") == ["echo", "web"]
    assert lab.telemetry("/fairlead/ports") == ["wan"]
    addresses = [backend.address4 for backend in lab.backends]
    assert lab.telemetry("/fairlead/backends,web") == addresses

    def counts():
        return (lab.telemetry("/fairlead/services,web"),
                [lab.telemetry(f"/fairlead/backends,web,{address}") for address in addresses])

    def same_packets():  # repeated, since a late packet may arrive between two telemetry answers
        web, backends = counts()
        return web["packets"] == sum(backend["packets"] for backend in backends) >= 500 and (web, backends)
    web, backends = wait_until(same_packets, 20,
                               lambda: f"the packets of web and of its backends differ, or are below 500: {counts()}")
    assert web["backends"] == 4
    assert 100 <= sum(backend["new_flows"] for backend in backends) < 120  # a retransmitted SYN counts again
    port = lab.telemetry("/fairlead/ports,wan")
    assert (port["device"], port["interface"], port["mtu"]) == ("af_packet:eth0", "eth0", 1500)
    assert port["mac"] == lab.balancer.mac
    assert port["tx"] >= web["packets"]
    assert lab.telemetry("/fairlead/stats")["generation"] == lab.control.get("/v1/status")["generation"]


@pytest.mark.quick
def test_the_longest_pause_shows_that_a_worker_had_no_cpu(balanced):
    lab = balanced
    wait_until(lambda: lab.control.get("/v1/stats")["dataplane"]["workers"] == 1, 20, "fairleadd has no statistics")
    pause_s = lab.longest_pause_s() + 1  # longer than any before, also on a busy machine
    lab.dataplane.send_signal(signal.SIGSTOP)
    time.sleep(pause_s)
    lab.dataplane.send_signal(signal.SIGCONT)
    least_s = 0.99 * pause_s  # DPDK measures the TSC's rate with an error of some parts in a thousand
    wait_until(lambda: lab.longest_pause_s() >= least_s, 20,
               lambda: f"the longest pause is {lab.longest_pause_s()} s, not {pause_s} s")
    line = next(line for line in lab.control.raw("GET", "/metrics")[1].splitlines()
                if line.startswith('fairlead_worker_longest_pause_seconds{worker="0"} '))
    assert float(line.split()[1]) >= least_s
    assert "workers: longest pause between two polls since start" in lab.fairctl("stats").stdout


@pytest.mark.quick
@pytest.mark.parametrize("command", ["/fairlead/services,none", "/fairlead/ports,none", "/fairlead/backends",
                                     "/fairlead/backends,none", "/fairlead/backends,web,192.0.2.1"])
def test_telemetry_answers_null_for_unknown_names(balanced, command):
    assert balanced.telemetry(command) is None
