#!/usr/bin/env python3
"""Runs the simulator in full, and writes the table of docs/survival.md, docs/plots/survival.json and survival.svg.

    bench/pcc/publish.py BUILD [--from FILE ...]    with --from, uses the figures of earlier runs
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = TOP / "docs" / "survival.md"
PLOTS = TOP / "docs" / "plots"
BEGIN, END = "<!-- figures: bench/pcc/publish.py -->", "<!-- end of figures -->"
SYSTEMS = {"maglev": "#9aa0a6", "lru": "#e8a33d", "fairlead": "#6aa5d8", "fairlead+agent": "#1f5f99"}
LEFT, WIDTH, BAR, GAP, TOP_MARGIN = 150, 560, 9, 14, 58
FLOOR, CEILING = 1e-4, 10.0  # percent, logarithmic


def percent(share):
    return "0" if share == 0 else f"{share:.4f}"


def table(runs):
    lines = ["| scenario | flows | Maglev | LRU | Fairlead | with agent | LRU's peak records | Fairlead's | ratio | looked up |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for run in runs:
        of = run["systems"]
        broken = " | ".join(percent(of[name]["broken_percent"]) for name in SYSTEMS)
        lines.append(f"| {run['scenario']} | {run['flows']:,} | {broken} | {of['lru']['peak_records']:,} | "
                     f"{of['fairlead']['peak_records']:,} | {run['records_ratio']:.1f} | {of['fairlead']['lookup_percent']:.1f} % |")
    lines += ["", "| goal | reached |", "|---|---|"]
    for run in runs:
        lines += [f"| {run['scenario']}: {goal['what']} | {'yes' if goal['reached'] else '**no**'} |" for goal in run["goals"]]
    return "\n".join(lines)


def position(share):
    span = math.log10(CEILING) - math.log10(FLOOR)
    return WIDTH * min(1, max(0, (math.log10(max(share, FLOOR)) - math.log10(FLOOR)) / span))


def plot(runs):
    group = BAR * len(SYSTEMS) + GAP
    height = TOP_MARGIN + group * len(runs) + 30
    bottom = TOP_MARGIN + group * len(runs)
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" '
           'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="{LEFT}" y="18" font-size="13">Flows broken although their backend was in service, % (logarithmic)</text>']
    for i, (name, color) in enumerate(SYSTEMS.items()):
        svg.append(f'<rect x="{LEFT + i * 120}" y="28" width="10" height="10" fill="{color}"/>'
                   f'<text x="{LEFT + i * 120 + 14}" y="37">{name}</text>')
    for power in range(-4, 2):
        x = LEFT + position(10.0 ** power)
        svg.append(f'<line x1="{x:.1f}" y1="{TOP_MARGIN - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>'
                   f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0 ** power:g}</text>')
    for row, run in enumerate(runs):
        y = TOP_MARGIN + row * group
        svg.append(f'<text x="{LEFT - 8}" y="{y + group / 2 - 3}" text-anchor="end">{run["scenario"]}</text>')
        for i, (name, color) in enumerate(SYSTEMS.items()):
            share = run["systems"][name]["broken_percent"]
            svg.append(f'<rect x="{LEFT}" y="{y + i * BAR}" width="{position(share):.1f}" height="{BAR - 1}" fill="{color}"/>'
                       f'<text x="{LEFT + position(share) + 4:.1f}" y="{y + i * BAR + 8}" font-size="9">{percent(share)}</text>')
    return "\n".join([*svg, "</svg>", ""])


def simulate(build):
    with tempfile.TemporaryDirectory() as folder:
        figures = pathlib.Path(folder) / "figures.json"
        result = subprocess.run([build / "bench" / "pcc" / "pcc", "--json", figures], check=False)
        if not figures.exists():
            sys.exit(f"publish.py: the simulator ended with status {result.returncode} and wrote no figures")
        return json.loads(figures.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--from", dest="files", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    runs = [run for name in options.files for run in json.loads(name.read_text())] if options.files else simulate(options.build)
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / "survival.json").write_text(json.dumps(runs, indent=1) + "\n")
    (PLOTS / "survival.svg").write_text(plot(runs))
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(runs)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
