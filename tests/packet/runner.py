"""Runs frames through the real fairlead-dataplane by net_pcap: a file in, a file out, counters as JSON at exit."""
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import yaml

_ETHERNET = 1
_MAX_FRAME = 65535
_numbers = itertools.count(1)


def build_dir():
    try:
        return pathlib.Path(os.environ["FAIRLEAD_BUILD"]).resolve()
    except KeyError:
        raise RuntimeError("FAIRLEAD_BUILD is not set; set it to the build folder that contains the programs") from None


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _MAX_FRAME, _ETHERNET))
        for number, frame in enumerate(frames):
            out.write(struct.pack("<IIII", number // 1000000, number % 1000000, len(frame), len(frame)) + frame)


def read_pcap(path):
    data = pathlib.Path(path).read_bytes()
    if not data:
        return []
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    frames, at = [], 24
    while at < len(data):
        captured, length = struct.unpack_from(order + "II", data, at + 8)
        assert captured == length, f"{path}: a frame of {length} bytes has only {captured} bytes in the file"
        frames.append(data[at + 16:at + 16 + captured])
        at += 16 + captured
    return frames


@dataclasses.dataclass
class Outcome:
    frames: list  # the frames that left, in order
    report: dict  # the JSON that the dataplane prints at exit

    @property
    def drops(self):
        return {reason: count for reason, count in self.report["drops"].items() if count}

    def counters(self):
        return {**{name: self.report[name] for name in ("rx", "tx", "generated", "to_kernel")}, "drops": self.drops}

    def require_sound(self):
        """Checks what must hold after every run: the conservation law, and that no mbuf leaks."""
        report = self.report
        left = report["rx"] + report["generated"]
        right = report["tx"] + sum(report["drops"].values()) + report["to_kernel"]
        assert left == right, f"rx + generated = {left}, but tx + drops + to_kernel = {right}: {report}"
        assert report["mbufs_in_use"] == 0, f"{report['mbufs_in_use']} mbufs are still in use: {report}"
        assert len(self.frames) == report["tx"], f"{len(self.frames)} frames left, tx says {report['tx']}"


class Runner:
    """Runs the dataplane. There is one Runner for each test session. It builds each variant's image once."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-packets-"))
        self._images = {}

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def image(self, variant):
        if variant.name not in self._images:
            services = self.folder / f"{variant.name}.services.yaml"
            services.write_text(yaml.safe_dump(variant.services_yaml(), sort_keys=False))
            path = self.folder / f"{variant.name}.image"
            command = [build_dir() / "tools/fairctl/fairctl", "snapshot", "build", services, "-o", path]
            result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert result.returncode == 0, f"fairctl snapshot build failed: {result.stderr}"
            self._images[variant.name] = path
        return self._images[variant.name]

    def run(self, variant, frames, workers=1):
        """Sends all frames through one process. Several workers get them from the first, since pcap has one queue."""
        number = next(_numbers)
        source, sink = self.folder / f"{number}.in.pcap", self.folder / f"{number}.out.pcap"
        write_pcap(source, frames)
        config = self.folder / f"{number}.yaml"
        settings = {**variant.dataplane_yaml(f"pcap:{source},{sink}"), "workers": workers}
        if workers > 1:
            settings["ports"][0]["spread"] = "software"
        config.write_text(yaml.safe_dump(settings))
        return self.execute(["--config", config, "--snapshot", self.image(variant)], [], sink)

    def execute(self, arguments, eal, sink):
        command = [build_dir() / "dataplane/fairlead-dataplane", *arguments, "--exit-when-idle", "100ms", "--",
                   "--no-huge", "--no-pci", "--no-telemetry", f"--file-prefix=flpkt-{os.getpid()}-{next(_numbers)}",
                   *eal]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60,
                                check=False)
        assert result.returncode == 0, f"fairlead-dataplane: status {result.returncode}\n{result.stdout}{result.stderr}"
        lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
        assert len(lines) == 1, f"expected one JSON line at exit, found {len(lines)}:\n{result.stdout}{result.stderr}"
        return Outcome(read_pcap(sink), json.loads(lines[0]))
