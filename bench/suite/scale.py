"""Part 6: the real dataplane with one worker and with two, each on a core of its own.

The generator would need a third core, so the packets come from memory. DPDK's pcap port with infinite_rx receives the
same frames again and again (a copy each), has one queue for each worker, and discards what is sent. The figures include
the port's copy. With one queue for two workers, the first receives and spreads in software."""
import json
import os
import struct

from bench.suite import stats
from bench.suite.rows import Row
from bench.suite.wire import Wire
from tests.lab.process import Process

FRAMES = 512  # the port keeps them in a ring


def write_pcap(path, first_flow):
    """TCP ACKs of FRAMES flows to 100.64.0.0:80, the image's first frontend."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for flow in range(first_flow, first_flow + FRAMES):
            source = bytes([11, 0, flow >> 8 & 255, flow & 255])
            header = struct.pack("!BBHHHBBH", 0x45, 0, 46, 0, 0x4000, 64, 6, 0) + source + bytes([100, 64, 0, 0])
            words = struct.unpack("!10H", header)
            total = sum(words)
            total = (total & 0xffff) + (total >> 16)
            checksum = ~((total & 0xffff) + (total >> 16)) & 0xffff
            header = header[:10] + struct.pack("!H", checksum) + header[12:]
            tcp = struct.pack("!HHIIBBHHH", 1024 + flow % 60000, 80, 1, 1, 0x50, 0x10, 0xffff, 0, 0)
            frame = bytes.fromhex("020000000001020000000002") + b"\x08\x00" + header + tcp + bytes(6)
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def forwarded_per_second(build, workers, queues, seconds):
    with Wire(build) as wire:
        image = wire.image("")
        files = [wire.dir / f"in{i}.pcap" for i in range(queues)]
        for i, path in enumerate(files):
            write_pcap(path, i * FRAMES)
        receive = ",".join(f"rx_pcap={path}" for path in files)
        cores = "1" if workers == 1 else "0-1"
        device = Process("scale", [build / "dataplane/fairlead-dataplane", "--port", "wan=vdev:net_pcap0",
                                   "--mac", "wan=02:00:00:00:00:01", "--snapshot", image, "--cores", cores,
                                   "--spread", f"wan={'software' if queues < workers else 'auto'}",
                                   "--link", wire.run / "link.sock", "--", "--no-huge", "--no-pci",
                                   f"--file-prefix={wire.prefix}", f"--vdev=net_pcap0,{receive},infinite_rx=1"], wire.log_dir)
        wire.device = device
        rate = wire.rate("tx", seconds)
        device.stop(10)
        report = json.loads(next(text for text in device.output().splitlines() if text.startswith("{")))
    unsent = report["rx"] - report["tx"] - report["drops"].get("spread_full", 0)  # a full queue between two workers
    if unsent != 0 or report["mbufs_in_use"] != 0:
        raise RuntimeError(f"not every packet was forwarded: {report['rx']} in, {report['tx']} out, {report['drops']}")
    return rate


def run(context):
    rounds, seconds = (3, 1) if context.quick else (7, 2)
    rates = {(1, 1): [], (2, 2): [], (2, 1): []}  # by workers and queues
    for _ in range(rounds):
        for (workers, queues), samples in rates.items():
            if workers <= os.cpu_count():
                samples.append(forwarded_per_second(context.native, workers, queues, seconds) / 1e6)
    for (workers, queues), samples in rates.items():
        if samples:
            extra = {"to_one": round(stats.median([b / a for a, b in zip(rates[1, 1], samples)]), 2)}
            name = f"{workers} worker{'s' if workers > 1 else ''}{', spread in software' if queues < workers else ''}"
            yield Row("scale", f"{name}, pcap from memory, 64 B", "Mpps", samples, "higher", extra)
