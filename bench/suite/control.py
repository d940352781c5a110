"""Part 5: from a change to tables in force.

`fairleadd` answers a change when it is on the disk and in force in all workers. So the time of one request on a kept
connection is the time of the whole change. The rows also have the CPU time that fairleadd and the dataplane's management
thread spend on a change, and the time that the dataplane needed for the last one."""
import contextlib
import json
import os
import pathlib
import threading
import time

from bench.suite import stats
from bench.suite.rows import Row
from bench.suite.scale import write_pcap
from bench.suite.wire import Wire, check
from tests.lab.control import ControlClient
from tests.lab.process import LabError, Process, wait_until


class Pair:
    """Dataplane and control plane without a network: backends have static MACs."""

    def __init__(self, context, wire, dataplane_arguments=None):
        self.wire = wire
        self.link = wire.run / "link.sock"
        if dataplane_arguments is None:
            wire.sockets = []
            wire.device = Process("dataplane", [wire.build / "dataplane/fairlead-dataplane", "--port", "wan=null",
                                                "--link", self.link, "--", "--no-huge", "--no-pci",
                                                f"--file-prefix={wire.prefix}"], wire.log_dir)
        self.control = Process("fairleadd", [wire.build / "controlplane/fairleadd", "--socket", wire.dir / "control.sock",
                                             "--store", wire.dir / "fairlead.db", "--link", self.link], wire.log_dir)
        self.client = ControlClient(wire.dir / "control.sock", timeout_s=60, keep=True)

    def __enter__(self):
        def connected():
            self.control.require_running()
            self.wire.device.require_running()
            with contextlib.suppress(OSError):
                return ControlClient(self.wire.dir / "control.sock").get("/v1/status")["dataplane"]["connected"]
            return False
        wait_until(connected, 30, lambda: "fairleadd and the dataplane do not connect\n"
                                          f"{self.control.tail()}\n{self.wire.device.tail()}")
        return self

    def __exit__(self, *_):
        self.control.stop(5)

    def fill(self, services, backends):
        for s in range(services):
            self.client.post("/v1/services", {"name": f"s{s}", "frontends": [f"100.64.{s >> 8}.{s & 255}:80/tcp"],
                                              "health_check": {"type": "none"},
                                              "backends": [self.backend(s, b) for b in range(min(backends, 2000))]})
            for first in range(2000, backends, 2000):
                self.client.post(f"/v1/services/s{s}/backends",
                                 {"backends": [self.backend(s, b) for b in range(first, min(backends, first + 2000))]})

    @staticmethod
    def backend(s, b):
        number = s * 100 + b
        return {"address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                "mac": f"02:01:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"}

    def cpu_ms(self):
        """CPU time so far of fairleadd, and of the dataplane without its workers."""
        return cpu_ms_of(self.control.pid), cpu_ms_of(self.wire.device.pid)

    def change(self, i, service=0):
        """Changes one backend's weight. Returns the milliseconds until it is in force."""
        started = time.monotonic()
        answer = self.client.patch(f"/v1/services/s{service}/backends/{self.backend(service, 0)['address']}",
                                   {"weight": 2 + i % 2})
        taken = (time.monotonic() - started) * 1e3
        if not answer["in_force"]:
            raise LabError(f"a change is not in force after {taken:.0f} ms: {answer}")
        return taken


def cpu_ms_of(pid):
    """CPU time of all threads except workers, which poll."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread may end meanwhile
            if not (task / "comm").read_text().startswith("rte-worker"):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


def sizes(context):
    yield from ((1, 10), (1, 1000), (1, 10_000), (1000, 1), (1000, 100))


def acknowledgements(context):
    count = 30 if context.quick else 1000
    for services, backends in sizes(context):
        if context.quick and services * backends > 10_000:
            continue
        with Wire(context.native) as wire, Pair(context, wire) as pair:
            pair.fill(services, backends)
            for i in range(5):
                pair.change(i)
            before = pair.cpu_ms()
            times = [pair.change(i) for i in range(count)]
            extra = {"p99_ms": stats.percentile(times, 0.99), "changes": count, **split(pair, before, count)}
            yield Row("control", f"change to in force, {services:,} services x {backends:,} backends, p50", "ms",
                      [stats.median(times)], extra=extra)
            if backends > 1 and services * backends > 1000:
                yield from one_more_and_less(pair, services, backends, count // 10)
                yield from reads_beside_changes(pair, services, backends, count // 2)
            if services * backends == 100_000:
                yield from store_to_first_image(context, wire, pair)


def split(pair, before, count):
    """The costs of a change: CPU time of both processes, and the dataplane's time for the last one, from /v1/status."""
    spent = [(after - start) / count for start, after in zip(before, pair.cpu_ms())]
    return {"fairleadd_cpu_ms": round(spent[0], 2), "dataplane_cpu_ms": round(spent[1], 2),
            "dataplane_apply_ms": pair.client.get("/v1/status")["dataplane"]["applied_us"] / 1e3}


def one_more_and_less(pair, services, backends, count):
    """Adds and removes a backend. The entries of all backends after it move."""
    before = pair.cpu_ms()
    times = []
    for i in range(count):
        started = time.monotonic()
        if i % 2 == 0:
            pair.client.post("/v1/services/s0/backends", {"address": "10.200.0.1", "mac": "02:00:00:00:00:01"})
        else:
            pair.client.delete("/v1/services/s0/backends/10.200.0.1")
        times.append((time.monotonic() - started) * 1e3)
    yield Row("control", f"backend added or removed, {services:,} services x {backends:,} backends, p50", "ms",
              [stats.median(times)],
              extra={"p99_ms": stats.percentile(times, 0.99), "changes": count, **split(pair, before, count)})


def reads_beside_changes(pair, services, backends, count):
    """The time of GET requests while another client makes 100 changes a second."""
    client = ControlClient(pair.wire.dir / "control.sock", timeout_s=60, keep=True)
    for path in ("/v1/status", f"/v1/services/s{services - 1}/stats"):
        times = []
        with changing(pair):
            for _ in range(count):
                started = time.monotonic()
                client.get(path)
                times.append((time.monotonic() - started) * 1e3)
                time.sleep(0.005)
        yield Row("control",
                  f"GET {path} beside 100 changes a second, {services:,} services x {backends:,} backends, p50", "ms",
                  [stats.median(times)], extra={"p99_ms": stats.percentile(times, 0.99), "reads": count})


def store_to_first_image(context, wire, pair):
    """Starts both with the store's content. Measures the time until it is in force, and fairleadd's memory then."""
    samples, resident = [], []
    for _ in range(3):
        pair.control.stop(5)
        wire.device.stop(5)
        started = time.monotonic()
        with Pair(context, wire) as again:
            pair.control = again.control
            wait_until(lambda: again.client.get("/v1/status")["dataplane"]["generation"] > 0, 60,
                       "the store's content is not in force", interval_s=0.005)
            samples.append((time.monotonic() - started) * 1e3)
            resident.append(resident_mib(again.control.pid))
    yield Row("control", "start of both to the store's 100,000 backends in force", "ms", samples)
    yield Row("control", "fairleadd's resident memory with 100,000 backends", "MiB", resident)


# The ring's size, and the most packets in flight. So no packet is lost while the generator does not run.
RING = 16384
LOADS = {"50%": "at half the no-drop rate", "max": "as fast as it goes"}


def under_load(context):
    """The same loads without and with 100 changes a second."""
    seconds, rounds = (1, 3) if context.quick else (3, 5)
    phases = [f"max:{seconds}", *(f"{load}:{seconds}" for load in LOADS), *(f"{load}:{seconds}" for load in LOADS)]
    found = {(load, changes): [] for changes in ("no", "100 a second") for load in LOADS}
    for _ in range(rounds):
        with Wire(context.native) as wire:
            arguments = [word for phase in phases for word in ("--phase", phase)]
            wire.start_generator("--any-backend", "--flows", 1000, "--in-flight", RING, "--skip-gaps", *arguments,
                                 loop=True)
            wire.start_fairlead("--link", wire.run / "link.sock", ports=1, ring=RING)
            with Pair(context, wire, dataplane_arguments=()) as pair:
                pair.fill(1, 100)
                with worker_on_own_cpu(pair):
                    wait_until(lambda: wire.generator.output().count("{") > len(LOADS)
                               or wire.generator.require_running(), 120,
                               lambda: f"no phase ends\n{wire.generator.tail()}")
                    with changing(pair) as count:
                        results = wire.results()
                        per_second = count()
        for (load, changes), result in zip(found, results[1:]):
            check(f"{load} with {changes} changes", result)
            found[load, changes].append({**result, "changes_per_second": per_second})
    for (load, changes), results in found.items():
        yield Row("control", f"forwarding {LOADS[load]}, {changes} changes, p99", "us",
                  [result["p99_ns"] / 1e3 for result in results],
                  extra={"lost": sum(r["lost"] for r in results), "missed": sum(r["missed"] for r in results),
                         "mpps": stats.median([r["receive_pps"] / 1e6 for r in results]),
                         **({"changes_per_second": stats.median([r["changes_per_second"] for r in results])}
                            if changes != "no" else {})})


@contextlib.contextmanager
def changing(pair):
    """Makes 100 changes a second meanwhile. Yields a function that returns how many a second there were so far."""
    stop = threading.Event()
    changes = []
    changer = threading.Thread(target=_change_until, args=(pair, stop, changes))
    started = time.monotonic()
    changer.start()
    try:
        yield lambda: len(changes) / (time.monotonic() - started)
    finally:
        stop.set()
        changer.join()


@contextlib.contextmanager
def worker_on_own_cpu(pair):
    """The worker has CPU 1 for itself, as on a host with a CPU for each worker (isolcpus, CPUAffinity=). All else runs
    on CPU 0, which is the generator's."""
    mine = os.sched_getaffinity(0)
    for process in (pair.wire.device.pid, pair.control.pid, os.getpid()):
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError):  # the thread may end meanwhile
                if not (task / "comm").read_text().startswith("rte-worker"):
                    os.sched_setaffinity(int(task.name), {0})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _change_until(pair, stop, changes):
    """Makes a change each 10 ms, by the clock. After one that takes longer, the next ones follow sooner."""
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        changes.append(pair.change(len(changes)))
        due += 0.01


def from_memory(context):
    """Frames come from memory (part 6), so that no generator needs a CPU. The worker and the management thread run at
    the same time."""
    seconds, rounds = (1, 3) if context.quick else (3, 5)
    rates = {"no": [], "100 a second": []}
    lost, per_second = 0, []
    for _ in range(rounds):
        with Wire(context.native) as wire:
            write_pcap(wire.dir / "in.pcap", 0)
            wire.device = Process("fairlead", [wire.build / "dataplane/fairlead-dataplane", "--port", "wan=vdev:net_pcap0", "--mac",
                                               "wan=02:00:00:00:00:01", "--cores", "1", "--link", wire.run / "link.sock", "--",
                                               "--no-huge", "--no-pci", f"--file-prefix={wire.prefix}",
                                               f"--vdev=net_pcap0,rx_pcap={wire.dir / 'in.pcap'},infinite_rx=1"], wire.log_dir)
            with Pair(context, wire, dataplane_arguments=()) as pair:
                pair.fill(1, 100)
                with worker_on_own_cpu(pair):
                    before = not_forwarded(wire)
                    rates["no"].append(wire.rate("tx", seconds) / 1e6)
                    with changing(pair) as count:
                        rates["100 a second"].append(wire.rate("tx", seconds) / 1e6)
                        per_second.append(count())
                    lost += not_forwarded(wire) - before
    for changes, samples in rates.items():
        ratio = stats.median([b / a for a, b in zip(rates["no"], samples)])
        yield Row("control", f"forwarding from memory as fast as it goes, {changes} changes", "Mpps", samples, "higher",
                  {"to_none": round(ratio, 3), "lost": lost if changes != "no" else 0,
                   **({"changes_per_second": stats.median(per_second)} if changes != "no" else {})})


def not_forwarded(wire):
    """Packets that were dropped, for any reason, or given to the kernel."""
    return sum(value for name, value in wire.counters().items() if name.startswith("drop_") or name == "to_kernel")


def start_to_first_packet(context):
    samples = []
    for _ in range(3 if context.quick else 10):
        with Wire(context.native) as wire:
            image = wire.image("right")
            wire.start_generator("--phase", "1000:0.05")
            started = time.monotonic()
            wire.start_fairlead("--snapshot", image, "--no-link")
            wait_until(lambda: "forwarding" in wire.generator.output() or wire.generator.require_running(), 30,
                       lambda: f"no packet is forwarded\n{wire.generator.tail()}", interval_s=0.001)
            samples.append((time.monotonic() - started) * 1e3)
            wire.results()
    yield Row("control", "start of the dataplane to its first forwarded packet", "ms", samples)


def resident_mib(pid):
    """Resident memory without EAL's own, which is the packet buffers and little else."""
    total = buffers = 0
    inside = False
    for text in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = text.split()
        if "-" in fields[0] and not fields[0].endswith(":"):
            inside = len(fields) > 5 and "nohuge" in fields[5]
        elif fields[0] == "Rss:":
            total += int(fields[1])
            buffers += int(fields[1]) * inside
    return (total - buffers) / 1024


def memory(context):
    for services, backends in ((1, 1), (100, 100)):
        with Wire(context.native) as wire:
            image = wire.image("", "--services", services, "--backends", backends)
            wire.device = Process("dataplane", [wire.build / "dataplane/fairlead-dataplane", "--port", "wan=null", "--snapshot", image,
                                                "--link", wire.run / "link.sock", "--verbose", "--", "--no-huge", "--no-pci",
                                                f"--file-prefix={wire.prefix}"], wire.log_dir)
            wait_until(lambda: "running" in wire.device.errors() or wire.device.require_running(), 30,
                       lambda: f"the dataplane does not run\n{wire.device.tail()}")
            yield Row("control", f"resident beyond packet buffers, {services} services x {backends} backends, settled", "MiB",
                      [resident_mib(wire.device.pid)])


def run(context):
    yield from acknowledgements(context)
    yield from under_load(context)
    yield from from_memory(context)
    yield from start_to_first_packet(context)
    yield from memory(context)
