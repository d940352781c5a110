#!/usr/bin/env python3
"""Runs every benchmark for a moment, because each checks its result before it is timed. The times do not matter here.

    bench/smoke.py BUILD        ends with 'N passed, N failed'; each benchmark row is one test
"""
import json
import pathlib
import subprocess
import sys

# Rows whose warm-up alone takes seconds are not run here.
FILTERS = {"pipeline": r"/flows:10?0?/|buffers:32/|buffers:2048/|services:100/|shifting:10/|syn_flood"}


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
        filters = [f"--benchmark_filter={FILTERS[name]}"] if name in FILTERS else []
        result = subprocess.run([program, "--benchmark_min_time=0.001", "--benchmark_format=json", *filters],
                                capture_output=True, text=True, timeout=600)
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
