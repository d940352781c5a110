"""The curves of docs/performance.md. The SVG has no dates or random names, so the same result gives the same files."""
import re

CURVES = (
    # file, axis, title, {label of the curve: pattern of its pipeline rows; the group is x}
    ("flows", "flows", "Cost over flows (IPv4, dsr, 64 B, 1,000 backends, buffers beyond L2)",
     {"adaptive": r"v4/dsr/adaptive/64B/flows:(\d+)/backends:1000/services:1/buffers:131072",
      "all": r"v4/dsr/all/64B/flows:(\d+)/backends:1000/services:1/buffers:131072"}),
    ("backends", "backends", "Cost over backends (IPv4, dsr, 64 B, 1M flows, buffers beyond L2)",
     {"adaptive": r"v4/dsr/adaptive/64B/flows:1000000/backends:(\d+)/services:1/buffers:131072"}),
    ("services", "services", "Cost over services (IPv4, dsr, 64 B, 1M flows, buffers beyond L2)",
     {"10 backends each": r"v4/dsr/adaptive/64B/flows:1000000/backends:10/services:(\d+)/buffers:131072",
      "100 backends each": r"v4/dsr/adaptive/64B/flows:1000000/backends:100/services:(\d+)/buffers:131072"}),
    ("buffers", "packet buffers in use", "Cost over the buffers' span (IPv4, dsr, 64 B, 1M flows, 1,000 backends)",
     {"adaptive": r"v4/dsr/adaptive/64B/flows:1000000/backends:1000/services:1/buffers:(\d+)"}),
    ("frame", "bytes on the wire", "Cost over frame size (IPv4, dsr, 1M flows, 1,000 backends, buffers beyond L2)",
     {"adaptive": r"v4/dsr/adaptive/(\d+)B/flows:1000000/backends:1000/services:1/buffers:131072"}),
    ("shifting", "per cent of slots shifting", "Cost while slots shift (IPv4, dsr, 64 B, 1M flows, buffers beyond L2)",
     {"adaptive": r"v4/dsr/adaptive/64B/flows:1000000/backends:1000/services:1/buffers:131072(?:/shifting:(\d+))?"}),
)


def points(rows, pattern):
    """(x, median, spread) of the pipeline rows that match as a whole, by x."""
    found = {}
    for row in rows:
        match = re.fullmatch(pattern, row["name"]) if row["part"] == "pipeline" and "median" in row else None
        if match:
            found[int(match[1] or 0)] = (row["median"], row["spread"])
    return [(x, *found[x]) for x in sorted(found)]


def draw(rows, folder):
    """Writes <folder>/<name>.svg for each plot with a curve of at least two points. Returns their (name, title)."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    matplotlib.rcParams["svg.hashsalt"] = "fairlead"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, axis, title, curves in CURVES:
        lines = {label: points(rows, pattern) for label, pattern in curves.items()}
        lines = {label: found for label, found in lines.items() if len(found) > 1}
        if not lines:
            continue
        figure, axes = pyplot.subplots(figsize=(7, 3.6))
        for label, found in lines.items():
            xs, ys, spreads = zip(*found)
            axes.errorbar(xs, ys, yerr=[y * s for y, s in zip(ys, spreads)], marker="o", capsize=3, label=label)
        if min(xs) > 0:
            axes.set_xscale("log")
        axes.set(xlabel=axis, ylabel="ns per packet", title=title, ylim=(0, None))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        pyplot.close(figure)
        drawn.append((name, title))
    return drawn
