"""python3 -m bench.suite [quick|full] | compare A B | report RESULT"""
import argparse
import dataclasses
import datetime
import json
import pathlib
import re
import subprocess
import sys
import time
import traceback

from bench.suite import checks, control, google, kernel, machine, report, rows, scale, stats, wire
from tests.lab import LabError, enter_namespace_rights

PARTS = {"micro": google.run_micro, "pipeline": google.run_pipeline, "wire": wire.run, "kernel": kernel.run,
         "control": control.run, "scale": scale.run, "checks": checks.run}


@dataclasses.dataclass
class Context:
    quick: bool
    native: pathlib.Path
    distributed: pathlib.Path | None
    tsc_ghz: float
    rows: str | None = None  # regular expression: only Google Benchmark rows that match

    def builds(self, part):
        """(name, folder) of the builds that a part measures. The pipeline is measured as distributed, too."""
        yield "native", self.native
        if part == "pipeline" and self.distributed:
            yield "x86-64-v2", self.distributed


NOTE = "Measured in an existing build folder: the commit is the source tree's, the programs may be a little older."


def tsc_ghz():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    return float(re.search(r"cpu MHz\s*: ([\d.]+)", cpuinfo)[1]) / 1e3


def folder_of(name):
    path = pathlib.Path(name)
    if (path / "build.ninja").exists():
        return path.resolve()
    return machine.checkout_and_build(name)


def run_parts(context, wanted):
    """Rows of all parts. A part that fails yields a row with the reason, and the next part runs."""
    for part in wanted:
        started = time.monotonic()
        print(f"\n{part}", flush=True)
        try:
            for row in PARTS[part](context):
                print(rows.line(row.as_json()), flush=True)
                yield row
        except (LabError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            traceback.print_exc()
            reason = f"it failed: {str(error).splitlines()[0][:200]}"
            yield rows.Skip(part, "what remains of this part", reason, failed=True)
        print(f"  ({time.monotonic() - started:.0f} s)", flush=True)


def measure(options):
    native = options.build or machine.build(machine.TOP / "build-bench", "native")
    distributed = None if options.build else machine.build(machine.TOP / "build-bench-v2", "x86-64-v2")
    context = Context(options.command == "quick", native.resolve(), distributed, tsc_ghz(), options.filter)
    folders = {machine.options_of(native)["machine"]: native} if distributed is None else {"native": native, "x86-64-v2": distributed}
    now = datetime.datetime.now(datetime.timezone.utc)
    result = {"when": now.isoformat(timespec="seconds"), "what": options.command, "machine": machine.facts(folders), "rows": []}
    if options.build:
        result["note"] = NOTE
    path = options.output or machine.TOP / "bench/results" / f"{now:%Y-%m-%dT%H%M}-{result['machine']['commit'][:12]}.json"
    path.parent.mkdir(exist_ok=True)
    failed = False
    try:
        for row in run_parts(context, options.only or PARTS):
            result["rows"].append(row.as_json())
            failed |= isinstance(row, rows.Skip) and row.failed
    finally:  # keeps what was measured before an interruption
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"\n{path}")
    return 1 if failed else 0


def compare(options):
    """Measures A B A B ..., each part as short as in `quick`. A row's samples are its rounds. Without --only and
    --filter it measures only the pipeline's rows of the figures."""
    folders = [folder_of(name) for name in options.builds]
    if options.filter is None and options.only in (None, ["pipeline"]):
        options.filter = google.HEADLINES
    samples = {}
    for round_number in range(options.rounds):
        for side, folder in enumerate(folders):
            context = Context(True, folder, None, tsc_ghz(), options.filter)
            for part in options.only or ["pipeline"]:
                for row in PARTS[part](context):
                    if isinstance(row, rows.Row):
                        samples.setdefault((part, row.name, row.better), ([], []))[side].append(row.median)
        print(f"round {round_number + 1} of {options.rounds} done", flush=True)
    print(f"\nB against A, median of the pairs' ratios; real = sign test below 0.05 and 1 outside the 95 % interval\n"
          f"A {options.builds[0]}   B {options.builds[1]}")
    for (part, name, better), (a, b) in samples.items():
        if len(a) != len(b):
            print(f"  {part + ' ' + name:<80} only one of the two builds has it")
            continue
        found = stats.compare(a, b, better)
        print(f"  {part + ' ' + name:<80} {found['ratio']:.3f} ({found['low']:.3f}..{found['high']:.3f}) "
              f"p={found['chance']:.3f} {found['verdict']}")
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench.sh", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    for name in ("quick", "full"):
        command = commands.add_parser(name)
        command.add_argument("--only", nargs="+", choices=PARTS, metavar="PART")
        command.add_argument("--build", type=pathlib.Path, help="measure this build folder as it is")
        command.add_argument("--output", type=pathlib.Path)
        command.add_argument("--filter", help="only rows of micro and pipeline that match this regular expression")
    command = commands.add_parser("compare")
    command.add_argument("builds", nargs=2, metavar="BUILD", help="a build folder or a commit")
    command.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help="default: pipeline")
    command.add_argument("--rounds", type=int, default=8)
    command.add_argument("--filter",
                         help="only rows that match this regular expression (default: the pipeline's figures)")
    command = commands.add_parser("report")
    command.add_argument("result", type=pathlib.Path)
    command.add_argument("--docs", type=pathlib.Path, default=machine.TOP / "docs")
    if not arguments or arguments[0].startswith("--only"):
        arguments = ["quick", *arguments]
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    if options.command == "report":
        report.write(json.loads(options.result.read_text()), options.result.name, options.docs)
        return 0
    if "kernel" in (options.only or PARTS):
        enter_namespace_rights()
    return compare(options) if options.command == "compare" else measure(options)


if __name__ == "__main__":
    sys.exit(main())
