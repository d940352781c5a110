"""docs/performance.md from a result file. Everything with a digit in it comes from the result."""
import math

from bench.suite import figures, plots
from bench.suite.rows import number

LINE_RATES = (10, 25, 100)
FRAMES = (64, 512)
BUSY = 0.7  # load average from which other processes are to be reckoned with
HEADROOM = 0.7  # of a core that one would plan to use


def packets_per_second(gbit, frame_bytes):
    return gbit * 1e9 / ((frame_bytes + 20) * 8)  # preamble and gap are 20 bytes


def cores(gbit, frame_bytes, ns_per_packet):
    return math.ceil(packets_per_second(gbit, frame_bytes) * ns_per_packet * 1e-9 / HEADROOM)


def table(head, lines):
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(line)} |" for line in lines), ""]


def machine_section(result):
    machine = result["machine"]
    builds = ", ".join(f"{name} (`{flags}`)" for name, flags in machine["builds"].items())
    changed = f", with {len(machine['changed_files'])} files changed" if machine["changed_files"] else ""
    return ["## On what", "", *table(("", ""), [
        ("when, how", f"{result['when']}, `tools/bench.sh {result['what']}`"),
        ("commit", f"`{machine['commit'][:12]}`{changed}"),
        ("CPU", f"{machine['cpu']}, {machine['cpus']} CPUs{', virtual machine' if machine['virtual'] else ''}; "
                + ", ".join(f"{name} {size}" for name, size in machine["caches"].items())),
        ("memory, kernel", f"{machine['memory_gib']} GiB, Linux {machine['kernel']}"),
        ("compiler, DPDK", f"{machine['compiler']}; DPDK {machine['dpdk']}"),
        ("builds", f"{builds}; {machine['flags']}"),
        ("load average at the start", number(machine["load_average_at_start"])),
    ])] + ([] if machine["load_average_at_start"] < BUSY else
           ["**The machine was not idle when this was measured**: latencies and whatever needs both CPUs are worse than they would be.", ""])


def figures_section(rows):
    lines = []
    for figure in figures.FIGURES:
        value = figures.measured(figure, rows)
        scale, unit = (1e6, "ms") if figure.unit == "ns" and figure.target >= 1e6 else (1, figure.unit)
        word = "not measured" if value is None else "yes" if figures.reached(figure, value) else "**no**"
        lines.append((figure.what, f"{'at most' if figure.at_most else 'at least'} {number(figure.target / scale)} {unit}",
                      "-" if value is None else f"{number(value / scale)} {unit}", word, f"`{figures.rerun(figure)}`".replace("|", "\\|")))
    return ["## The figures that were asked for", "",
            "Each is a median of rounds, or a ratio of two medians measured in turn in the same run.", "",
            *table(("what", "asked", "measured", "reached", "again with"), lines)]


def part_section(rows, part, title, text, keep=lambda row: True):
    found = [row for row in rows if row["part"] == part and keep(row)]
    if not found:
        return []
    lines = []
    for row in found:
        if "skipped" in row:
            lines.append((row["name"], "not measured", "", row["skipped"]))
            continue
        extra = ", ".join(f"{key.replace('_', ' ')} {number(value) if isinstance(value, (int, float)) else value}"
                          for key, value in row.items()
                          if key not in ("part", "name", "unit", "better", "median", "spread", "samples"))
        lines.append((row["name"], f"{number(row['median'])} {row['unit']}", f"{row['spread'] * 100:.0f} %", extra))
    return [f"## {title}", "", text, "", *table(("what", "median", "spread", "and"), lines)]


def curves_section(drawn):
    lines = ["## How cost grows", "", "Bars: the spread of the rounds. Each curve starts at zero ns.", ""]
    for name, title in drawn:
        lines += [f"![{title}](plots/{name}.svg)", ""]
    return lines


def model_section(rows):
    name = f"v4/dsr/adaptive/{figures.BEYOND}"
    pipeline_ns = figures.value_of(rows, "pipeline", name)
    wire_mpps = figures.value_of(rows, "wire", "fairlead dsr adaptive, 64 B, 1,000 flows")
    if pipeline_ns is None or wire_mpps is None:
        return []
    costs = (("pipeline only, beyond L2", pipeline_ns), ("with memif's port and its copies", 1e3 / wire_mpps))
    lines = [(f"{gbit} GbE, {frame} B: {number(packets_per_second(gbit, frame) / 1e6)} Mpps",
              *(str(cores(gbit, frame, ns)) for _, ns in costs)) for gbit in LINE_RATES for frame in FRAMES]
    return ["## A model: cores for a line rate", "",
            f"No NIC was measured. The model: cores = packets per second x cost per packet / {HEADROOM}, rounded up. Assumptions: the "
            "cost does not fall or rise with the number of workers (each has its queue; the tables are read-only and shared); "
            f"{100 - HEADROOM * 100:.0f} % of a core stay free for bursts; a poll-mode NIC driver costs something between nothing (first column) and "
            "what memif costs, which copies each packet twice (second). "
            f"First column: {number(costs[0][1])} ns a packet; second: {number(costs[1][1])} ns.", "",
            *table(("line rate, one direction", costs[0][0], costs[1][0]), lines)]


HEAD = """# Performance

This page is generated: `./tools/bench.sh report bench/results/{name}`. All its figures come from that file, where every sample
is. To measure on your machine: `./tools/bench.sh quick` (some 4 minutes) or `full` (some 25), then `report` with what it wrote.
What each trick brought, and what bounds the figures that are not reached: [optimisations](optimisations.md).
To know whether a change made a difference: `./tools/bench.sh compare A B` runs two builds in turn and tells by a sign test and a
bootstrap interval.

## How to read it

Figures are medians; `spread` is the median distance from the median. What is compared was measured in turn within one run (A B
A B), and the ratio is worth more than either side. On a shared or virtual machine the absolute figures of two runs differ by tens
of per cent. Cycles are of the time stamp counter, which runs at a fixed rate, not the core's clock.

What it does not show: a physical NIC, its driver, its DMA and its interrupts; more than two cores; real traffic's mix of sizes and
bursts; huge pages reserved at boot (buffers and the flow table lie on transparent ones, memif's rings on small ones). Over veth the
client, the balancer and the servers share the CPUs.
"""


def write(result, name, docs):
    """docs/performance.md and docs/plots/*.svg."""
    rows = result["rows"]
    drawn = plots.draw(rows, docs / "plots")
    text = [HEAD.format(name=name), *machine_section(result), *([result["note"], ""] if "note" in result else []), *figures_section(rows), *curves_section(drawn),
            *part_section(rows, "pipeline", "Pipeline", "One core: from the receive call's buffers to the transmit call's. Rows: family / mode / "
                          "tracking / frame / flows / backends / services / buffers. Again: `build-bench/bench/pipeline`."),
            *part_section(rows, "wire", "Wire", "The real dataplane between two memif ports, one worker; the generator on the other core judges every "
                          "packet (loss, order within a flow, backend, checksums) and a wrong one is an error, not a figure. testpmd in the same place, in turn. "
                          "Again: `./tools/bench.sh full --only wire`."),
            *part_section(rows, "kernel", "Kernel path", "Over veth, in network namespaces, beside what else one would take. Again: `./tools/bench.sh full "
                          "--only kernel`."),
            *part_section(rows, "control", "Control", "A change is acknowledged when it is on the disk and in force in all workers: the time of one "
                          "request. While changes land under load the worker has CPU 1 for itself; generator, fairleadd, its client and "
                          "the management thread share CPU 0. Latencies of packets that were under way while the generator did not run are not "
                          "counted: then a worker's delay could not be told from its own. `missed`: packets for which the ring had no room. "
                          "Again: `./tools/bench.sh full --only control`."),
            *part_section(rows, "scale", "Scale", "Frames from memory by DPDK's pcap port (a copy each), so that both CPUs can forward. Again: "
                          "`./tools/bench.sh full --only scale`."),
            *model_section(rows),
            *part_section(rows, "micro", "Micro", "One operation of each kind. Again: `build-bench/bench/micro-*`.")]
    (docs / "performance.md").write_text("\n".join(text).rstrip() + "\n")
