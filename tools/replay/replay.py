#!/usr/bin/python3
"""The implementation of tools/replay.sh: runs captures through the real dataplane by net_pcap, in every mode.

Checks for each run, whatever the capture contains:
    the process ends by itself, with status 0 and one JSON line (else: crash or hang)
    rx = the number of frames in its input
    rx + generated = tx + sum(drops) + to_kernel
    mbufs_in_use = 0
    tx = the frames in the output file, none of which has an IP packet larger than the port's MTU
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import captures
import modes
import rewrite

_SUFFIXES = (".pcap", ".pcapng", ".cap")
_TIMEOUT_S = 300
_numbers = itertools.count(1)


class Violation(Exception):
    """A run broke one of the rules. The message says which."""


def files_of(names):
    """All captures that are named, or are in a named folder. Exits with a message if there are none."""
    found = []
    for name in map(pathlib.Path, names):
        if name.is_dir():
            found += sorted(path for path in name.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
        elif name.is_file():
            found.append(name)
        else:
            sys.exit(f"replay.sh: {name}: no such file or folder")
    if not found:
        sys.exit(f"replay.sh: no capture ({', '.join(_SUFFIXES)}) in {', '.join(map(str, names))}")
    return found


def mutate(frames, generator):
    """A damaged copy: flipped bits, truncated frames, bytes inserted or removed, frames repeated or reordered."""
    made = []
    for frame in frames:
        data = bytearray(frame)
        for _ in range(generator.choice((0, 1, 1, 2, 5))):
            if not data:
                break
            # Most damage goes into headers, since they decide what happens to a packet.
            at = generator.randrange(min(len(data), generator.choice((64, 128, len(data)))))
            what = generator.randrange(5)
            if what == 0:
                data[at] ^= 1 << generator.randrange(8)
            elif what == 1:
                data[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
            elif what == 2:
                del data[at:]
            elif what == 3:
                del data[at:at + generator.choice((1, 2, 4, 8))]
            else:
                data[at:at] = generator.randbytes(generator.choice((1, 2, 4, 8, 40)))
        made.append(bytes(data) or b"\0")
        if generator.randrange(20) == 0:
            made.append(made[-1])
        if generator.randrange(20) == 0 and len(made) > 1:
            made[-1], made[-2] = made[-2], made[-1]
    return made


def prepared(frames, mode):
    """The frames to send: to frontends, and for nat also from backends. A buffer's length is at most 65,535."""
    frames = [frame[:65535] for frame in frames if frame]
    made = [rewrite.to_frontend(frame) for frame in frames]
    if mode == "nat":
        made += [reply for reply in map(rewrite.from_backend, frames) if reply is not None]
    return made


def ip_length(frame):
    """Length of the IP packet in a frame that was sent; 0 if it is not IP."""
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    network = frame[at + 2:]
    if frame[at:at + 2] == b"\x08\x00":
        return int.from_bytes(network[2:4], "big")
    return 40 + int.from_bytes(network[4:6], "big") if frame[at:at + 2] == b"\x86\xdd" else 0


class Replayer:
    def __init__(self, build, folder):
        self._build, self._folder = pathlib.Path(build), pathlib.Path(folder)
        self._images = {}

    def _image(self, mode):
        if mode not in self._images:
            # JSON is YAML, too.
            services = self._folder / f"{mode}.services.yaml"
            services.write_text(json.dumps(modes.services_yaml(mode)))
            image = self._folder / f"{mode}.image"
            result = subprocess.run([self._build / "tools/fairctl/fairctl", "snapshot", "build", services, "-o", image],
                                    capture_output=True, text=True, check=False)
            if result.returncode != 0:
                sys.exit(f"replay.sh: fairctl refused the configuration of mode {mode}: {result.stderr}")
            self._images[mode] = image
        return self._images[mode]

    def run(self, mode, frames):
        """Returns the report of one run. Raises Violation."""
        number = next(_numbers)
        source, sink, config = (self._folder / f"{number}.{name}" for name in ("in.pcap", "out.pcap", "yaml"))
        captures.write(source, frames)
        config.write_text(json.dumps(modes.dataplane_yaml(source, sink)))
        command = [self._build / "dataplane/fairlead-dataplane", "--config", config, "--snapshot", self._image(mode),
                   "--exit-when-idle", "100ms", "--", "--no-huge", "--no-pci", "--no-telemetry",
                   f"--file-prefix=flreplay-{os.getpid()}-{number}"]
        try:
            result = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace",
                                    timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Violation(f"still running after {_TIMEOUT_S} s; the input: {self._keep(source)}") from None
        try:
            report = self._report(result, sink, len(frames))
        except Violation as violation:
            raise Violation(f"{violation}; the input: {self._keep(source)}") from None
        for path in (source, sink, config):
            path.unlink(missing_ok=True)
        return report

    @staticmethod
    def _keep(source):
        """Copies the input of a bad run out of the temporary folder. Returns the copy's name."""
        handle, name = tempfile.mkstemp(prefix="fairlead-replay-", suffix=".pcap")
        os.close(handle)
        pathlib.Path(name).write_bytes(source.read_bytes())
        return name

    @staticmethod
    def _report(result, sink, given):
        lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
        if result.returncode != 0 or len(lines) != 1:
            last = (result.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
            how = f"killed by signal {-result.returncode}" if result.returncode < 0 else f"status {result.returncode}"
            raise Violation(f"crash: {how}, {len(lines)} reports: {last}")
        report = json.loads(lines[0])
        left = captures.read(sink) if sink.exists() and sink.stat().st_size else []
        dropped = sum(report["drops"].values())
        balance = report["rx"] + report["generated"] - report["tx"] - dropped - report["to_kernel"]
        largest = max(map(ip_length, left), default=0)
        for wrong, text in ((report["rx"] != given, f"rx {report['rx']} of {given} frames"),
                            (balance != 0, f"rx + generated - tx - drops - to_kernel = {balance}"),
                            (report["mbufs_in_use"] != 0, f"{report['mbufs_in_use']} mbufs still in use"),
                            (len(left) != report["tx"], f"tx {report['tx']}, but {len(left)} frames left"),
                            (largest > modes.MTU, f"an IP packet of {largest} bytes left")):
            if wrong:
                raise Violation(text)
        report["balance"], report["dropped"] = balance, dropped
        return report


def line_of(name, mode, report):
    reasons = sorted(((count, reason) for reason, count in report["drops"].items() if count), reverse=True)
    drops = " ".join(f"{reason} {count}" for count, reason in reasons)
    return (f"{name:<32} {mode:<6} {report['rx']:>8} {report['tx']:>8} {report['generated']:>9} "
            f"{report['to_kernel']:>9} {report['dropped']:>8} {report['balance']:>4} {report['mbufs_in_use']:>5}"
            f"  {drops}")


def arguments():
    parser = argparse.ArgumentParser(prog="replay.sh",
                                     description="Replays captures through the dataplane in every forwarding mode.")
    parser.add_argument("captures", nargs="+", metavar="DIR-or-PCAP")
    parser.add_argument("--modes", default=",".join(modes.MODES), help="modes, separated by commas (default: all)")
    parser.add_argument("--mutations", type=int, default=0, metavar="N",
                        help="also replay N damaged copies of each capture")
    parser.add_argument("--seed", type=int, default=1, help="random seed of the damage (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object for each run instead of the table")
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    for mode in options.modes:
        if mode not in modes.MODES:
            parser.error(f"--modes: unknown mode '{mode}'; choose from {', '.join(modes.MODES)}")
    return options


def copies(path, options):
    """(name, frames) of a capture and of its damaged copies. The same seed always gives the same copies."""
    frames = captures.read(path)
    yield path.name, frames
    for number in range(1, options.mutations + 1):
        generator = random.Random(f"{options.seed}/{path.name}/{number}")
        yield f"{path.name}~{number}", mutate(frames, generator)


def replay(replayer, options):
    """Replays all captures in all modes, and prints each run. Returns the numbers of runs and of violations."""
    runs = violations = 0
    for path in files_of(options.captures):
        try:
            for name, frames in copies(path, options):
                for mode in options.modes:
                    runs += 1
                    try:
                        report = replayer.run(mode, prepared(frames, mode))
                        print(json.dumps({"file": name, "mode": mode, **report}) if options.json
                              else line_of(name, mode, report), flush=True)
                    except Violation as violation:
                        violations += 1
                        print(json.dumps({"file": name, "mode": mode, "violation": str(violation)}) if options.json
                              else f"{name:<32} {mode:<6} VIOLATION: {violation}", flush=True)
        except captures.CaptureError as error:
            print(f"{path.name}: skipped: {error}", file=sys.stderr)
    return runs, violations


def main():
    options = arguments()
    if not options.json:
        if options.mutations:
            print(f"{options.mutations} damaged copies of each capture, seed {options.seed}")
        print(f"{'file':<32} {'mode':<6} {'rx':>8} {'tx':>8} {'generated':>9} {'to_kernel':>9} {'drops':>8} {'sum':>4} "
              f"{'mbufs':>5}")
    with tempfile.TemporaryDirectory(prefix="fairlead-replay-") as folder:
        runs, violations = replay(Replayer(os.environ["FAIRLEAD_BUILD"], folder), options)
    if not options.json:
        print(f"{runs} runs, {violations} violations")
    return 1 if violations or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
