#!/usr/bin/env python3
"""Runs the suites one after the other and adds up what they report.

    tests/run.py BUILD [--asan BUILD] [--tsan BUILD] [--fuzz BUILD] [--only NAME ...]

A suite is a command. What it ran is read from its own closing lines (GoogleTest, pytest, or a plain
'N passed, N failed'); a suite that ran nothing, or that ended badly without saying which test failed,
counts as one failure. The last line sums up all suites.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": f"print_suppressions=0:suppressions={TOP}/tests/lsan.supp",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def gtest_programs(build, suite):
    """The test executables of a meson suite, as (name, command)."""
    listing = subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                             capture_output=True, text=True).stdout
    return [(test["name"], test["cmd"]) for test in json.loads(listing)
            if any(name.split(":")[-1] == suite for name in test["suite"])]


def count(output):
    """(passed, failed) as the output's own closing lines say."""
    passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) tests?", output, re.M))
    failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) tests?", output, re.M))
    # pytest; without the frame of '=' where it is quiet
    for line in re.findall(r"^(?:=+ )?\d+ (?:passed|failed|error|skipped).* in [\d.]+s\b", output, re.M):
        for number, word in re.findall(r"(\d+) (passed|failed|error)", line):
            passed += int(number) if word == "passed" else 0
            failed += int(number) if word != "passed" else 0
    for good, bad in re.findall(r"^(\d+) passed, (\d+) failed$", output, re.M):
        passed, failed = passed + int(good), failed + int(bad)
    return passed, failed


def run(name, command, build, logs):
    """Runs one suite; returns (passed, failed). Its whole output goes to a log file."""
    log = logs / f"{name.replace(' ', '-')}.log"
    started = time.monotonic()
    environment = {**os.environ, **SANITIZERS, "FAIRLEAD_BUILD": str(build)}
    with open(log, "w", encoding="utf-8", errors="replace") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=TOP,
                                env=environment, stdin=subprocess.DEVNULL).returncode
    output = log.read_text(encoding="utf-8", errors="replace")
    passed, failed = count(output)
    note = ""
    if passed + failed == 0:
        failed, note = 1, "ran nothing"
    elif status != 0 and failed == 0:
        failed, note = 1, f"ended with status {status}"
    elapsed = time.monotonic() - started
    print(f"  {name:<28} {passed:>5} passed {failed:>4} failed  {elapsed:6.1f} s  {note}",
          flush=True)
    if failed:
        print("\n".join("    | " + line for line in output.splitlines()[-60:]))
        print(f"    the whole output: {log}", flush=True)
    return passed, failed


def suites(options):
    """(name, command, build) of everything that the given builds can run."""
    release = options.build
    yield "lint", [PYTHON, "tests/lint.py", str(release)], release
    for label, build in [("", release), (" asan", options.asan)]:
        if build:
            for name, command in gtest_programs(build, "unit"):
                yield name + label, command, build
    if options.tsan:
        for name, command in gtest_programs(options.tsan, "threads"):
            yield name + " tsan", command, options.tsan
    pytest = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE"]
    for label, build in [("", release), (" asan", options.asan)]:
        if build:
            yield "packets" + label, [*pytest, "tests/packet"], build
    yield "replay", [*pytest, "tests/replay"], release
    yield "end to end", [*pytest, "tests/e2e"], release
    # The two eBPF programs; root of the host's own user namespace. Each some 15 s on an idle machine.
    yield "steering", [*pytest, "tests/steering"], release
    yield "agent", [*pytest, "tests/agent"], release
    if options.asan:
        yield "end to end asan", [*pytest, "tests/e2e", "-m", "quick"], options.asan
    if options.fuzz:
        yield "fuzz", ["tests/fuzz/run.sh", str(options.fuzz_seconds), str(options.fuzz)], options.fuzz
    yield "bench tools", [*pytest, "tests/bench"], release
    yield "benches check their results", [PYTHON, "bench/smoke.py", str(release)], release
    yield "survival in small", [str(release / "bench/pcc/pcc"), "--quick"], release


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--asan", type=pathlib.Path)
    parser.add_argument("--tsan", type=pathlib.Path)
    parser.add_argument("--fuzz", type=pathlib.Path)
    parser.add_argument("--fuzz-seconds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[], help="suites whose name holds one of these")
    options = parser.parse_args()
    logs = options.build / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    for name, command, build in suites(options):
        if options.only and not any(word in name for word in options.only):
            continue
        good, bad = run(name, command, build.resolve(), logs)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
