"""Reads the suites' reports: how many tests passed, failed or were skipped, and how long each took."""
import dataclasses
import json
import os
import pathlib
import re
import xml.etree.ElementTree

LONG_TEST_S = 20


@dataclasses.dataclass
class Report:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    kind: str = "lines"
    tests: list = dataclasses.field(default_factory=list)  # (seconds, name, reason of its `slow` marker)

    @property
    def ran(self):
        return self.passed + self.failed


def arguments(kind, path):
    """The command-line arguments that make a suite write its report to `path`."""
    return {"gtest": [f"--gtest_output=json:{path}"], "pytest": [f"--junitxml={path}"], "lines": []}[kind]


def read(kind, path, output):
    """`path`: the report; it is missing if the suite crashed. `output`: everything that the suite printed."""
    try:
        if kind == "gtest":
            return _gtest(json.loads(pathlib.Path(path).read_text()))
        if kind == "pytest":
            return _pytest(xml.etree.ElementTree.parse(path))
    except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError):
        return Report(kind=kind)
    return _lines(output)


def _gtest(report):
    result = Report(kind="gtest")
    for group in report["testsuites"]:
        for test in group["testsuite"]:
            if test["status"] != "RUN":
                continue
            result.skipped += test["result"] == "SKIPPED"
            if test["result"] != "SKIPPED":
                result.failed += "failures" in test
                result.passed += "failures" not in test
            result.tests.append((float(test["time"].rstrip("s")), f"{group['name']}.{test['name']}", ""))
    return result


def _pytest(tree):
    result = Report(kind="pytest")
    for case in tree.iter("testcase"):
        kinds = {child.tag for child in case}
        result.failed += bool(kinds & {"failure", "error"})
        result.skipped += "skipped" in kinds
        result.passed += not kinds & {"failure", "error", "skipped"}
        reason = next((entry.get("value") for entry in case.iter("property") if entry.get("name") == "slow"), "")
        result.tests.append((float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}", reason))
    return result


def _lines(output):
    lines = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.M)
    return Report(sum(int(good) for good, _ in lines), sum(int(bad) for _, bad in lines))


class ExpectedCounts:
    """tests/expected-counts.json: how many tests each suite ran when the file was last updated."""

    def __init__(self, path):
        self._path = pathlib.Path(path)
        self._counts = json.loads(self._path.read_text()) if self._path.exists() else {}

    def complaint(self, build, suite, report):
        """A message if the suite ran too few tests, else None.

        Skipped tests of test programs count as run: this CPU or kernel may lack a feature. Skipped tests of pytest
        count as run only for users other than root.
        """
        expected = self._counts.get(build, {}).get(suite, 0)
        ran = report.ran + (report.skipped if report.kind == "gtest" or os.geteuid() != 0 else 0)
        if ran >= expected:
            return None
        return (f"ran {ran} tests, expected at least {expected}; "
                f"lower the count in {self._path.name} if tests were removed on purpose")

    def suites(self, build):
        return list(self._counts.get(build, {}))

    def missing(self, build, names):
        """Suites of the build that have a count but are not in `names`."""
        return [name for name in self.suites(build) if name not in names]

    def record(self, build, suite, ran):
        self._counts.setdefault(build, {})[suite] = ran

    def exceeded(self, build, suite, ran):
        return ran > self._counts.get(build, {}).get(suite, 0)

    def save(self):
        self._path.write_text(json.dumps(self._counts, indent=2, sort_keys=True) + "\n")
