"""The figures to reach, the rows that they are read from, and the values of these rows."""
import dataclasses
import re

BEYOND = "64B/flows:1000000/backends:1000/services:1/buffers:131072"
HOT = "64B/flows:1000000/backends:100/services:1/buffers:32"


@dataclasses.dataclass(frozen=True)
class Figure:
    """`rows`: names of one or two rows of `part`. The value is the median (or `extra`) of one row, or the median of the
    first divided by the median of the second. `at_most`: the target is a maximum, else a minimum."""
    what: str
    part: str
    rows: tuple
    target: float
    unit: str
    at_most: bool = True
    extra: str = ""


FIGURES = (
    Figure("pipeline, settled, IPv4 64 B, dsr, 1M flows, 1,000 backends, beyond L2", "pipeline",
           (f"v4/dsr/adaptive/{BEYOND}",), 20, "ns"),
    Figure("the same, hot: 32 buffers, 100 backends", "pipeline", (f"v4/dsr/adaptive/{HOT}",), 12, "ns"),
    Figure("ipip against dsr, beyond L2", "pipeline",
           (f"v4/ipip/adaptive/{BEYOND}", f"v4/dsr/adaptive/{BEYOND}"), 1.25, "x"),
    Figure("gue against dsr, beyond L2", "pipeline",
           (f"v4/gue/adaptive/{BEYOND}", f"v4/dsr/adaptive/{BEYOND}"), 1.25, "x"),
    Figure("nat against dsr, beyond L2", "pipeline",
           (f"v4/nat/adaptive/{BEYOND}", f"v4/dsr/adaptive/{BEYOND}"), 1.6, "x"),
    Figure("IPv6 against IPv4, dsr, beyond L2", "pipeline",
           (f"v6/dsr/adaptive/{BEYOND}", f"v4/dsr/adaptive/{BEYOND}"), 1.35, "x"),
    Figure("10M live flows: tracking all against adaptive", "pipeline",
           ("v4/dsr/all/64B/flows:10000000/backends:1000/services:1/buffers:131072",
            "v4/dsr/adaptive/64B/flows:10000000/backends:1000/services:1/buffers:131072"), 3, "x", False),
    Figure("1,000 services against 1, 10 backends each", "pipeline",
           ("v4/dsr/adaptive/64B/flows:1000000/backends:10/services:1000/buffers:131072",
            "v4/dsr/adaptive/64B/flows:1000000/backends:10/services:1/buffers:131072"), 1.3, "x"),
    Figure("wire over memif, dsr, against testpmd macswap", "wire",
           ("fairlead dsr adaptive, 64 B, 1,000 flows",), 0.85, "x", False, "to_macswap"),
    Figure("wire over memif, ipip, against testpmd macswap", "wire",
           ("fairlead ipip adaptive, 64 B, 1,000 flows",), 0.85, "x", False, "to_macswap"),
    Figure("veth + AF_XDP, requests per second against nftables DNAT", "kernel",
           ("requests, fairlead AF_XDP",), 1, "x", False, "to_nftables"),
    Figure("veth + AF_XDP, requests per second against HAProxy TCP", "kernel",
           ("requests, fairlead AF_XDP", "requests, HAProxy TCP"), 3, "x", False),
    Figure("p99 latency at half load while 100 changes a second land, against none", "control",
           ("forwarding at half the no-drop rate, 100 a second changes, p99",
            "forwarding at half the no-drop rate, no changes, p99"), 2, "x"),
    Figure("the same at full load", "control",
           ("forwarding as fast as it goes, 100 a second changes, p99",
            "forwarding as fast as it goes, no changes, p99"), 2, "x"),
    Figure("packets lost at half load while 100 changes a second land", "control",
           ("forwarding at half the no-drop rate, 100 a second changes, p99",), 0, "packets", True, "lost"),
    Figure("the same at full load", "control",
           ("forwarding as fast as it goes, 100 a second changes, p99",), 0, "packets", True, "lost"),
    Figure("Maglev rebuild, 65,537 slots x 1,000 backends", "micro",
           (r"table: BuildSlots/equal/backends:1000",), 2e6, "ns"),
    Figure("snapshot of 1,000 services x 100 backends, one changed: in force", "micro",
           (r"publish: PublishOneChanged/services:1000/backends:100",), 10e6, "ns"),
    Figure("flow table lookup, 16M records, bulk", "micro", (r"table: FlowFind/hit_bulk/records:16777216",), 25, "ns"),
    Figure("flow table insert, 16M records, bulk", "micro", (r"table: FlowInsert/bulk/records:16777216",), 60, "ns"),
    Figure("10,000 TCP checks each 2 s: CPU of fairleadd", "checks",
           ("10,000 TCP checks each 2 s, direct: fairleadd's CPU",), 35, "%"),
    Figure("the same through the dataplane", "checks",
           ("10,000 TCP checks each 2 s, dataplane: fairleadd's CPU",), 35, "%"),
    Figure("1,000 HTTPS checks each 2 s through the dataplane: CPU of fairleadd", "checks",
           ("1,000 HTTPS checks each 2 s, dataplane: fairleadd's CPU",), 60, "%"),
    Figure("backend that falls silent: later than `fall` intervals and a timeout, p99", "checks",
           ("silent backend: unhealthy after `fall` intervals and a timeout, p99",), 100, "ms"),
    Figure("resident memory beyond packet buffers, 100 services x 100 backends", "control",
           ("resident beyond packet buffers, 100 services x 100 backends, settled",), 64, "MiB"),
)


def value_of(rows, part, name, extra=""):
    for row in rows:
        if row["part"] == part and row["name"] == name and "median" in row:
            return row.get(extra) if extra else row["median"]
    return None


def measured(figure, rows):
    """The value, or None when a row is missing."""
    values = [value_of(rows, figure.part, name, figure.extra) for name in figure.rows]
    if any(value is None for value in values):
        return None
    return values[0] if len(values) == 1 else values[0] / values[1]


def reached(figure, value):
    return value <= figure.target if figure.at_most else value >= figure.target


def rerun(figure):
    """The shortest command that measures it. Lines after the first continue the command."""
    if figure.part == "pipeline":
        return f"build-bench/bench/pipeline \\\n  --benchmark_filter='^{pattern_of(figure.rows)}/manual_time'"
    if figure.part == "micro":
        program, name = figure.rows[0].split(": ")
        return f"build-bench/bench/micro-{program} --benchmark_filter='{name}$'"
    return f"./tools/bench.sh full --only {figure.part}"


def pattern_of(names):
    """A regular expression that finds the rows. Where their names differ, it has both words: v4/(ipip|dsr)/adaptive."""
    words = zip(*(re.split("([/:])", name) for name in names), strict=True)
    return "".join(each[0] if len(set(each)) == 1 else f"({'|'.join(each)})" for each in words)
