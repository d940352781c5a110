#!/usr/bin/env python3
"""Runs every benchmark for a moment, because each checks its result before it is timed. The times do not matter here.

    bench/smoke.py BUILD        ends with 'N passed, N failed'; each benchmark row is one test

With FAIRLEAD_LONG in the environment, it runs the rows with the largest tables, too.
"""
import json
import os
import pathlib
import subprocess
import sys

# Rows whose warm-up alone takes seconds are not run here.
FILTERS = {"pipeline": r"/flows:10?0?/|buffers:32/|buffers:2048/|services:100/|shifting:10/|syn_flood"}
# Tables of gigabytes. The other rows make the same checks of smaller ones.
LARGEST = {"micro-table": r"records:16777216|flows:8388608"}
# A row of packet-rows checks nothing after its check, so that its packets need to pass only once more.
SECONDS = {"packet-rows": "0"}


def arguments(name):
    chosen = FILTERS.get(name)
    if name in LARGEST and not os.environ.get("FAIRLEAD_LONG"):
        chosen = "-" + LARGEST[name]
    return [f"--benchmark_min_time={SECONDS.get(name, '0.001')}", "--benchmark_format=json",
            *([f"--benchmark_filter={chosen}"] if chosen else [])]


def programs(build):
    listing = subprocess.run(["meson", "introspect", "--targets", str(build)], check=True,
                             capture_output=True, text=True).stdout
    top = pathlib.Path(__file__).resolve().parent
    return sorted(target["filename"][0] for target in json.loads(listing)
                  if target["type"] == "executable"
                  and pathlib.Path(target["defined_in"]).parent == top
                  and not target["name"].startswith("fairlead-"))


def main():
    passed = failed = 0
    for program in programs(sys.argv[1]):
        name = pathlib.Path(program).name
        result = subprocess.run([program, *arguments(name)], capture_output=True, text=True, timeout=600)
        try:
            rows = json.loads(result.stdout[result.stdout.index("{"):])["benchmarks"]
        except ValueError:
            rows = []
        bad = [row for row in rows if row.get("error_occurred")]
        for row in bad:
            print(f"{name}: {row['name']}: {row.get('error_message', '')}")
        if result.returncode != 0 or not rows:
            print(f"{name}: status {result.returncode}, {len(rows)} rows\n{result.stderr[-2000:]}")
            failed += 1
        passed, failed = passed + len(rows) - len(bad), failed + len(bad)
        print(f"{name}: {len(rows)} rows")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
