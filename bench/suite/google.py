"""Parts 1 and 2: the Google Benchmark programs."""
import json
import re
import subprocess

from bench.suite import figures
from bench.suite.rows import Row

MICRO = ["micro-net", "micro-encap", "micro-table", "micro-snapshot", "micro-publish"]
# The rows that `quick` runs. `full` runs all.
QUICK = {
    "micro-net": r"^(Parse|RewriteDsr)/v[46]_(tcp|udp)/frames:(32|4096)$|Checksum",
    "micro-encap": r"frames:32$",
    "micro-table": r"HashKeys.*/32$|services:(1|1000)$|bulk/records:(1024|1048576|16777216)$|flows:(1024|1048576)$|backends:1000$",
    "micro-snapshot": r".*", "micro-publish": r".*",
    "pipeline": r"buffers:32/|B/flows:1000000/backends:1000/services:1/buffers:131072|flows:10000000|"
                r"backends:10/services:(1|1000)/buffers:131072|backends:100/services:1000/",
}
# The rows that are also measured with the build as distributed.
HEADLINES = f"/({figures.BEYOND}|{figures.HOT})/manual_time"
# A change takes milliseconds. The first after the start takes twice as long, because its memory is new.
LEAST_SECONDS = {"micro-publish": 0.3}
SCALE = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def run_program(program, pattern, seconds):
    command = [program, "--benchmark_format=json", f"--benchmark_min_time={seconds}"]
    if pattern:
        command.append(f"--benchmark_filter={pattern}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{program}: status {result.returncode}\n{result.stderr[-2000:]}")
    if "{" not in result.stdout:
        return []  # the filter matched nothing
    return json.loads(result.stdout[result.stdout.index("{"):])["benchmarks"]


def ns_of(row):
    """Nanoseconds per operation. An operation is what the program counts as one, else an iteration."""
    for counter, scale in (("ns_per_packet", 1), ("s/packet", 1e9), ("s/op", 1e9)):
        if counter in row:
            return row[counter] * scale
    return row["cpu_time"] * SCALE[row["time_unit"]]  # CPU time, without the time of other processes


def collect(context, part, programs, rounds, seconds):
    """Runs whole programs in turn, round by round, so that a busy minute of the machine affects one sample of a row."""
    found = {}
    for _ in range(rounds):
        for name in programs:
            for build, folder in context.builds(part):
                program = folder / "bench" / name
                pattern = context.rows or (HEADLINES if build != "native" else QUICK[name] if context.quick else None)
                for row in run_program(program, pattern, max(seconds, LEAST_SECONDS.get(name, 0))):
                    if row.get("error_occurred"):
                        raise RuntimeError(f"{name}: {row['name']}: {row['error_message']}")
                    title = re.sub(r"/manual_time$|^BM_", "", row["name"])
                    key = (build, name.removeprefix("micro-"), title)
                    found.setdefault(key, []).append(row)
    for (build, name, title), rows in found.items():
        samples = [ns_of(row) for row in rows]
        label = (f"{name}: {title}" if part == "micro" else title) + ("" if build == "native" else f" [{build}]")
        row = Row(part, label, "ns", samples)
        row.extra["cycles"] = round(row.median * context.tsc_ghz, 1)
        if part == "pipeline":
            row.extra["mpps"] = round(1e3 / row.median, 2)
        elif row.median > 0:
            row.extra["items_per_second"] = round(1e9 / row.median)
        yield row


def run_micro(context):
    yield from collect(context, "micro", MICRO, 1 if context.quick else 3, 0.01 if context.quick else 0.1)


def run_pipeline(context):
    yield from collect(context, "pipeline", ["pipeline"], 1 if context.quick else 3, 0.05 if context.quick else 0.15)
