"""Part 3: the real dataplane and testpmd in turn between two memif ports: rates, and the latency that Fairlead adds.

CPU 0 runs the generator, CPU 1 the worker of the device under test. If another process uses CPU 1 for 20 ms, the p99 is
20 ms. So latencies are useful only on an idle machine, and are shown together with testpmd's."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import tempfile
import time

from bench.suite import stats
from bench.suite.rows import Row, Skip
from tests.lab.process import LabError, Process, wait_until

EAL = ["--no-huge", "--no-pci"]


class Wire:
    """A generator with its sockets, and one device under test at a time."""

    def __init__(self, build, logs=None):
        self.build = build
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"flwire-{os.getpid()}-"))
        # For the dataplane's socket and saved state, in memory, as /run is on a host. The store is in `dir`, on a disk.
        self.run = pathlib.Path(tempfile.mkdtemp(prefix=f"flwire-{os.getpid()}-", dir="/dev/shm"))
        self.prefix = self.dir.name
        self.generator = self.device = None
        self.log_dir = logs or self.dir

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.device, self.generator):  # a port's peer must end last (docs/limitations.md)
            if process:
                process.stop(5)
        for folder in (self.dir, self.run, pathlib.Path("/run/dpdk") / self.prefix):
            shutil.rmtree(folder, ignore_errors=True)

    def image(self, egress, *arguments):
        path = self.dir / "image"
        result = Process("image", [self.build / "bench/fairlead-wiregen", "image", "--egress", egress, "-o", path, *arguments],
                         self.log_dir)
        if result.wait(60) != 0:
            raise LabError(result.tail())
        return path

    def start_generator(self, *arguments, loop=False):
        """`loop`: one port for both directions."""
        self.sockets = [self.dir / "left.sock", self.dir / ("left.sock" if loop else "right.sock")]
        self.generator = Process("generator", ["taskset", "-c", "0", self.build / "bench/fairlead-wiregen", "run",
                                               "--send", self.sockets[0], "--receive", self.sockets[1],
                                               "--check-every", 64, "--stay", *arguments], self.log_dir)
        wait_until(lambda: "listening" in self.generator.output() or self.generator.require_running(), 30,
                   "the generator does not listen")

    def start_fairlead(self, *arguments, ports=2, workers_cpu="1", role="client", ring=1024):
        names = ["left", "right"][:ports]
        config = self.dir / "dataplane.yaml"
        # The generator knows only its own packets, so Fairlead must send no announcements.
        config.write_text("limits: {announcements_per_second: 0}\nports:\n" + "".join(
            f"  - {{name: {name}, device: \"memif:{path},role={role},ring={ring}\", mac: \"02:00:00:00:00:0{i}\", addresses: [192.0.2.{i}]}}\n"
            for i, (name, path) in enumerate(zip(names, self.sockets), 1)))
        self.device = Process("fairlead", [self.build / "dataplane/fairlead-dataplane", "--config", config, "--idle", "busy",
                                           "--cores", workers_cpu, *arguments, "--", *EAL,
                                           f"--file-prefix={self.prefix}"], self.log_dir)
        return self.device

    def start_testpmd(self, mode):
        vdevs = [f"--vdev=net_memif{i},role=client,socket={path},socket-abstract=no" for i, path in enumerate(self.sockets)]
        self.device = Process("testpmd", ["dpdk-testpmd", *EAL, "-m", "256",
                                          f"--file-prefix={self.prefix}", "--lcores=0@(0,1),1@1", "--main-lcore=0", *vdevs,
                                          "--", f"--forward-mode={mode}", "--nb-cores=1", "--total-num-mbufs=16384",
                                          "--rxd=1024", "--txd=1024", "--burst=32", "--no-lsc-interrupt"], self.log_dir,
                              open_input=True)
        return self.device

    def counters(self):
        """What the dataplane has counted so far, from DPDK's telemetry socket. `when` is the time of the reply."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as telemetry:
            telemetry.settimeout(10)
            telemetry.connect(f"/run/dpdk/{self.prefix}/dpdk_telemetry.v2")
            telemetry.recv(1 << 14)
            telemetry.send(b"/fairlead/stats")
            return {**json.loads(telemetry.recv(1 << 16))["/fairlead/stats"], "when": time.monotonic()}

    def rate(self, counter, seconds):
        """Packets per second, measured from the first packet on."""
        def counts():
            self.device.require_running()
            with contextlib.suppress(OSError, TypeError):  # no socket yet, no answer yet
                return self.counters()[counter] > 0
            return False
        wait_until(counts, 30, lambda: f"no packet arrives\n{self.device.tail()}")
        first = self.counters()
        time.sleep(seconds)  # the measurement itself
        last = self.counters()
        return (last[counter] - first[counter]) / (last["when"] - first["when"])

    def results(self, timeout_s=120):
        """Waits until the generator has run all phases. Returns one dict for each phase."""
        def over():
            if self.device:
                self.device.require_running()
            return "done" in self.generator.output().splitlines() or not self.generator.running()
        wait_until(over, timeout_s, lambda: f"the generator does not end\n{self.generator.tail()}", interval_s=0.05)
        if not self.generator.running():
            raise LabError(f"{self.generator.tail()}\n{self.device.tail() if self.device else ''}")
        return [json.loads(text) for text in self.generator.output().splitlines() if text.startswith("{")]


def check(name, result, may_lose=0.0):
    """Fails if a packet that came back was wrong, or if too many are lost. The figure does not count then."""
    for word in ("foreign", "reordered", "wrong_backend", "bad_checksum"):
        if result[word]:
            raise LabError(f"{name}: {result[word]} packets {word}")
    if result["lost"] > may_lose * result["sent"] + 4096:
        raise LabError(f"{name}: {result['lost']} of {result['sent']} packets lost")


def measure(build, device, phases, flows, frame=64, image=(), generator=()):
    """`device`: fairlead, or a mode of testpmd. Generator and dataplane get the same arguments of the image.
    `generator`: more arguments of the generator."""
    with Wire(build) as wire:
        path = wire.image("right", *image)
        foreign = [] if device == "fairlead" else ["--any-backend"]
        words = [word for phase in phases for word in ("--phase", phase)]
        wire.start_generator("--flows", flows, "--frame", frame, *foreign, *image, *generator, *words)
        if device == "fairlead":
            wire.start_fairlead("--snapshot", path, "--no-link", "--flow-records", max(1 << 20, 4 * flows))
        else:
            wire.start_testpmd(device)
        results = wire.results()
    for phase, result in zip(phases, results):
        check(f"{device} {phase}", result)
    return results


def devices(context):
    """(name, device, image arguments): the baselines, then what is compared with them."""
    yield "testpmd io", "io", ()
    yield "testpmd macswap", "macswap", ()
    for mode in ("dsr", "ipip", "gue", "nat"):
        yield f"fairlead {mode} adaptive", "fairlead", ("--mode", mode)
    if not context.quick:
        yield "fairlead dsr all", "fairlead", ("--tracking", "all")
        yield "fairlead dsr none", "fairlead", ("--tracking", "none")


def testpmd_load(build, seconds):
    """Load from an independent program: testpmd's flowgen on the other core, over one port. Its destinations are no
    frontends. So the rate shows how fast Fairlead gives a verdict to packets that it does not balance."""
    with Wire(build) as wire:
        path = wire.image("left")
        socket_path = wire.dir / "load.sock"
        wire.sockets = [socket_path]
        wire.start_fairlead("--snapshot", path, "--no-link", ports=1, role="server")
        wait_until(socket_path.exists, 30, lambda: f"fairlead makes no socket\n{wire.device.tail()}")
        load = Process("flowgen", ["dpdk-testpmd", *EAL, "-m", "256",
                                   f"--file-prefix={wire.prefix}-load", "--lcores=0@(0,1),1@0", "--main-lcore=0",
                                   f"--vdev=net_memif0,role=client,socket={socket_path},socket-abstract=no", "--",
                                   "--forward-mode=flowgen", "--flowgen-flows=4096", "--nb-cores=1", "--total-num-mbufs=16384",
                                   "--rxd=1024", "--txd=1024", "--eth-peer=0,02:00:00:00:00:01", "--no-lsc-interrupt"],
                       wire.log_dir, open_input=True)
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, f"/run/dpdk/{wire.prefix}-load", ignore_errors=True)
            stack.callback(load.stop, 5)
            rate = wire.rate("rx", seconds)
            wire.device.stop(10)
        report = json.loads(next(text for text in wire.device.output().splitlines() if text.startswith("{")))
        drops = sum(report["drops"].values())
        if report["rx"] + report["generated"] != report["tx"] + drops + report["to_kernel"]:
            raise LabError(f"packets are not conserved: {report}")
        return rate, report


def run(context):
    build = context.native
    rounds, seconds = (3, 0.5) if context.quick else (7, 1)
    flow_counts = (1000,) if context.quick else (1000, 1_000_000)
    skipped = set()
    for flows in flow_counts:
        rates = {}
        for _ in range(rounds):
            for name, device, image in devices(context):
                if name in skipped:
                    continue
                try:
                    result = measure(build, device, [f"max:{seconds}"], flows, image=image)[0]
                except LabError as error:
                    if "not supported" not in str(error) and "refused" not in str(error):
                        raise
                    skipped.add(name)
                    yield Skip("wire", name, "this build does not have the mode")
                    continue
                rates.setdefault(name, []).append(result["receive_pps"] / 1e6)
        for name, samples in rates.items():
            row = Row("wire", f"{name}, 64 B, {flows:,} flows", "Mpps", samples, "higher")
            pairs = zip(samples, rates["testpmd macswap"])
            row.extra["to_macswap"] = round(stats.median([a / b for a, b in pairs]), 3)
            yield row
    yield from sizes(context, build)
    yield from latency(context, build)
    yield from flowgen(context, build)


def sizes(context, build):
    for frame in (64, 512, 1518) if not context.quick else (512,):
        result = measure(build, "fairlead", [f"max:{0.5 if context.quick else 1}"], 1000, frame)[0]
        yield Row("wire", f"fairlead dsr adaptive, {frame} B, 1,000 flows, once", "Mpps", [result["receive_pps"] / 1e6], "higher",
                  {"gbit_s": round(result["receive_pps"] * (frame + 20) * 8 / 1e9, 2)})


def latency(context, build):
    seconds = 0.5 if context.quick else 1
    phases = [f"max:{seconds}", f"10%:{seconds}", f"50%:{seconds}", f"90%:{seconds}"]
    found = {}
    for _ in range(1 if context.quick else 5):
        for device in ("io", "fairlead"):
            for phase, result in zip(phases[1:], measure(build, device, phases, 1000)[1:]):
                found.setdefault((phase.split(":")[0], device), []).append(result)
    for (share, device), results in found.items():
        row = Row("wire", f"time through {'testpmd io' if device == 'io' else 'fairlead dsr'} at {share} of its no-drop rate, p50",
                  "us", [result["p50_ns"] / 1e3 for result in results])
        for word in ("p99", "p999"):
            row.extra[f"{word}_us"] = stats.median([result[f"{word}_ns"] for result in results]) / 1e3
        if device == "fairlead":
            below = zip(results, found[share, "io"])
            row.extra["added_p50_us"] = stats.median([(a["p50_ns"] - b["p50_ns"]) / 1e3 for a, b in below])
        row.extra["missed"] = sum(result["missed"] for result in results)
        yield row


def flowgen(context, build):
    seconds = 2 if context.quick else 4
    rate, report = testpmd_load(build, seconds)
    yield Row("wire", "testpmd flowgen into fairlead: packets judged, once", "Mpps", [rate / 1e6], "higher",
              {"to_kernel": report["to_kernel"], "dropped": sum(report["drops"].values())})
