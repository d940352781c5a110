#!/usr/bin/env python3
"""Builds and runs all tests, in parallel where the machine allows, and adds up the suites' results.

    tests/run.py [--quick | --long] [--only NAME ...]

tests/whole_run/suites.py is the table of builds and suites. A suite fails if it ran nothing, if it ran fewer tests
than tests/expected-counts.json says, or if it ended with an error status without naming a failed test. The last line
is the sum over all suites: 'N passed, N failed'.
"""
import argparse
import fcntl
import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tests.whole_run import reports  # noqa: E402
from tests.whole_run.machine import Machine  # noqa: E402
from tests.whole_run.scheduler import Job, Scheduler  # noqa: E402
from tests.whole_run.suites import BUILDS, TOP  # noqa: E402

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    "LSAN_OPTIONS": f"print_suppressions=0:suppressions={TOP}/tests/lsan.supp",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}
WARN_ABOVE_MINUTES = 25
IDLE_SHARE = 0.05  # the machine counts as idle if other programs use less than this share of the CPUs


class Run:
    def __init__(self, options):
        self.options = options
        self.machine = Machine()
        self.expected = reports.ExpectedCounts(TOP / "tests/expected-counts.json")
        self.total = reports.Report()
        self.builds = []  # (name, seconds, CPU seconds)
        self.exceeded = []
        self.scheduler = Scheduler(self.machine.cpus, TOP)
        self.in_memory = _folder_in_memory()

    def folder(self, build):
        # FAIRLEAD_BUILD names another folder for the release build, as in tools/build.sh.
        if build.name == "release":
            return pathlib.Path(os.environ.get("FAIRLEAD_BUILD", TOP / build.folder))
        return TOP / build.folder

    def execute(self):
        """Runs everything. Returns the exit status."""
        self.scheduler.add([self._build_job(build) for build in BUILDS if self._wants_build(build)])
        try:
            self.scheduler.run()
        except KeyboardInterrupt:
            self.total.failed += 1
            print("interrupted; all running suites were ended", flush=True)
        except Exception:
            self.total.failed += 1
            traceback.print_exc()
        self._summarize()
        print(f"{self.total.passed} passed, {self.total.failed} failed", flush=True)
        return 1 if self.total.failed or not self.total.passed else 0

    # ---- selection --------------------------------------------------------------------------------------------------

    def _wants_build(self, build):
        if build.when == "long" and not self.options.long or build.when == "full" and self.options.quick:
            return False
        if not self.options.only:
            return True
        # Meson lists the test programs only after the build. Before it, their names come from the expected counts.
        # Builds of --long have no expected counts.
        suites = build.suites(self.folder(build), self.options)
        known = {*self.expected.suites(build.name), *(suite.name for suite in suites)}
        return not known or any(self._wants(build, name) for name in known)

    def _wants(self, build, suite):
        label = _label(build, suite)
        return not self.options.only or any(word in label for word in self.options.only)

    # ---- jobs -------------------------------------------------------------------------------------------------------

    def _logs(self, build):
        logs = self.folder(build) / "test-logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs

    def _environment(self, build):
        long = {"FAIRLEAD_LONG": "1"} if self.options.long else {}
        return {**os.environ, **SANITIZERS, **long, "FAIRLEAD_BUILD": str(self.folder(build)), "PYTHONPATH": str(TOP)}

    def _build_job(self, build):
        command = ["tools/build.sh", *build.setup, "--", *build.targets]
        environment = {**self._environment(build), "CXX": build.compiler}
        return Job(f"built {build.name}", command, "all", self._logs(build) / "build.log", environment,
                   lambda job: self._built(build, job))

    def _built(self, build, job):
        self.builds.append((build.name, job.seconds, job.cpu_seconds))
        if job.status != 0:
            self._fail(build, job, f"built {build.name}", "the build failed")
            return []
        print(f"{time.strftime('%T')}  built {build.name} in {job.seconds:.0f} s, {job.cpu_seconds:.0f} s of CPU time",
              flush=True)
        suites = list(build.suites(self.folder(build), self.options))
        if not any(suite.report == "gtest" for suite in suites):
            self._fail(build, job, f"suites of {build.name}", "meson lists no test programs")
        long = argparse.Namespace(long=True, fuzz_seconds=None)
        everything = [suite.name for suite in build.suites(self.folder(build), long)]
        for name in self.expected.missing(build.name, everything):
            if self._wants(build, name):
                self._fail(build, job, _label(build, name),
                           "tests/expected-counts.json has this suite, but suites.py does not; remove its count")
        return [self._suite_job(build, suite) for suite in suites if self._wants(build, suite.name)]

    def _suite_job(self, build, suite):
        stem = self._logs(build) / suite.name.replace(" ", "-")
        report = stem.with_suffix(".json" if suite.report == "gtest" else ".xml")
        report.unlink(missing_ok=True)
        command = [*suite.command, *reports.arguments(suite.report, report)]
        environment = self._environment(build)
        if suite.report == "gtest" and self.in_memory:
            environment["TMPDIR"] = self.in_memory.name
        return Job(suite.name, command, suite.weight, stem.with_suffix(".log"), environment,
                   lambda job: self._suite_ended(build, suite, report, job))

    def _suite_ended(self, build, suite, report_path, job):
        label = _label(build, suite.name)
        output = job.log.read_text(encoding="utf-8", errors="replace")
        report = reports.read(suite.report, report_path, output)
        note = ""
        if report.ran == 0:
            note = "ran nothing" if job.status == 0 else f"reported nothing, ended with status {job.status}"
            report.failed = 1
        elif job.status != 0 and report.failed == 0:
            report.failed, note = 1, f"ended with status {job.status}"
        elif complaint := self.expected.complaint(build.name, suite.name, report):
            report.failed, note = report.failed + 1, complaint
        # The counts are those of usual runs: suites may run more tests with --long.
        if not self.options.long and report.failed == 0 and self.expected.exceeded(build.name, suite.name, report.ran):
            self.exceeded.append((build.name, suite.name, report.ran))
        self._tell(label, report, job, note)
        if report.failed:
            self._show_log(job)
        for seconds, name, reason in report.tests:
            reason = reason if suite.report == "pytest" else "not pytest"
            self.total.tests.append((seconds, f"{label}: {name}", reason))

    def _fail(self, build, job, label, note):
        self._tell(label, reports.Report(failed=1), job, note)
        self._show_log(job)

    def _tell(self, label, report, job, note):
        self.total.passed += report.passed
        self.total.failed += report.failed
        skipped = f"{report.skipped} skipped  " if report.skipped else ""
        print(f"  {label:<34} {report.passed:>5} passed {report.failed:>4} failed  {job.seconds:6.1f} s  "
              f"CPU {job.cpu_seconds:6.1f} s  {skipped}{note}", flush=True)

    @staticmethod
    def _show_log(job):
        output = job.log.read_text(encoding="utf-8", errors="replace")
        print("\n".join("    | " + line for line in output.splitlines()[-60:]))
        print(f"    the whole output: {job.log}", flush=True)

    # ---- summary ----------------------------------------------------------------------------------------------------

    def _summarize(self):
        print("\nbuilds: " + ", ".join(f"{name} {seconds:.0f} s (CPU {cpu_seconds:.0f} s)"
                                      for name, seconds, cpu_seconds in self.builds))
        slowest = sorted(self.total.tests, reverse=True)
        print("the ten slowest tests:")
        for seconds, name, _ in slowest[:10]:
            print(f"  {seconds:6.1f} s  {name}")
        for seconds, name, reason in slowest:
            if seconds > reports.LONG_TEST_S and not reason:
                print(f"warning: {name} took {seconds:.0f} s, more than {reports.LONG_TEST_S} s, and has no marker "
                      "slow(\"reason\")")
        own, others, stolen = self.machine.shares()
        minutes = self.machine.elapsed_s / 60
        print(f"{minutes:.1f} minutes on {self.machine.cpus} CPUs; CPU time used by this run {own:.0%}, "
              f"by other programs {others:.0%}, by the hypervisor {stolen:.0%}")
        if minutes > WARN_ABOVE_MINUTES and others + stolen < IDLE_SHARE and not self.options.long:
            print(f"warning: the run took more than {WARN_ABOVE_MINUTES} minutes on an idle machine")
        if self.options.record_counts:
            for build, suite, ran in self.exceeded:
                self.expected.record(build, suite, ran)
            self.expected.save()
        elif self.exceeded:
            print("more tests ran than tests/expected-counts.json says; raise it with tests/run.py --record-counts: " +
                  ", ".join(f"{build}: {suite} {ran}" for build, suite, ran in self.exceeded))


def _label(build, suite):
    return suite if build.name == "release" else f"{suite} {build.name}"


def _folder_in_memory():
    """A folder for the unit tests' files, or None. Some tests write some thousand times to a store, which waits for the
    disk each time."""
    try:
        memory = os.statvfs("/dev/shm")
        if memory.f_bavail * memory.f_frsize < 256 << 20:
            return None
        return tempfile.TemporaryDirectory(prefix="fairlead-tests-", dir="/dev/shm", ignore_cleanup_errors=True)
    except OSError:
        return None


def _lock():
    """Prevents two runs in one clone, which would write to the same build folders. Held until the process ends."""
    handle = open(TOP / "tests/run.py", "rb")  # any file of the clone that every user may read
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"run.py: another test run uses {TOP}; wait for it, or use another clone")
    return handle


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="run only the suites of the release build")
    length.add_argument("--long", action="store_true", help="run also the longer checks, about an hour")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME",
                        help="run only suites whose name contains one of these")
    parser.add_argument("--fuzz-seconds", type=int, help="seconds that each fuzzer runs (20; with --long 60)")
    parser.add_argument("--record-counts", action="store_true",
                        help="raise tests/expected-counts.json to the number of tests that ran")
    options = parser.parse_args(arguments)
    if options.record_counts and options.long:
        parser.error("--record-counts records the counts of a usual run; leave --long out")
    return options


def main():
    options = parse()
    lock = _lock()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        return Run(options).execute()
    finally:
        lock.close()


if __name__ == "__main__":
    sys.exit(main())
