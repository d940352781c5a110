"""Reading of suites' reports, and comparison with the expected counts. The tests run small suites to make reports."""
import json
import os
import subprocess
import sys
import types

import pytest

from tests.whole_run import reports, suites

_SUITE = """
import pytest

def test_good():
    pass

def test_bad():
    assert 1 == 2

@pytest.mark.skip
def test_skipped():
    pass

@pytest.mark.slow("counts to ten")
def test_slow():
    pass

@pytest.fixture
def broken():
    raise RuntimeError("no")

def test_error(broken):
    pass
"""


def _pytest(folder, source):
    (folder / "test_made.py").write_text(source)
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    path = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *reports.arguments("pytest", path),
               folder]
    result = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(suites.TOP)}, capture_output=True,
                            text=True, check=False)
    return path, result


def test_a_pytest_report_has_the_counts_and_the_reasons_of_slow_tests(tmp_path):
    path, _ = _pytest(tmp_path, _SUITE)
    report = reports.read("pytest", path, "")
    assert (report.passed, report.failed, report.skipped, report.ran) == (2, 2, 1, 4)
    reasons = {name.rsplit("::", 1)[1]: reason for _, name, reason in report.tests}
    assert reasons["test_slow"] == "counts to ten" and reasons["test_good"] == ""


@pytest.mark.parametrize("marker", ["@pytest.mark.slow", "@pytest.mark.slow(' ')"])
def test_a_slow_test_without_a_reason_is_refused(tmp_path, marker):
    path, result = _pytest(tmp_path, f"import pytest\n{marker}\ndef test_it():\n    pass\n")
    assert "the marker slow has no reason" in result.stdout + result.stderr
    assert reports.read("pytest", path, "").ran == 0


@pytest.fixture
def gtest_program():
    folder = os.environ.get("FAIRLEAD_BUILD")
    if not folder:
        pytest.fail("FAIRLEAD_BUILD is not set; set it to the build folder that contains the programs")
    return f"{folder}/tests/unit/base/unit-base"


def test_a_gtest_report_has_the_tests_that_ran(tmp_path, gtest_program):
    path = tmp_path / "report.json"
    output = subprocess.run([gtest_program, "--gtest_filter=Result.*", *reports.arguments("gtest", path)],
                            capture_output=True, text=True, check=True).stdout
    report = reports.read("gtest", path, output)
    assert report.passed == output.count("[       OK ]") > 0
    assert (report.failed, report.skipped) == (0, 0)
    assert all(name.startswith("Result.") for _, name, _ in report.tests)


def test_a_gtest_report_has_failures_and_skipped_tests(tmp_path):
    path = tmp_path / "report.json"
    case = {"status": "RUN", "result": "COMPLETED", "time": "0.5s"}
    path.write_text(json.dumps({"testsuites": [{"name": "A", "testsuite": [
        {**case, "name": "good"}, {**case, "name": "bad", "failures": [{"failure": "x"}]},
        {**case, "name": "left", "result": "SKIPPED"},
        {**case, "name": "off", "status": "NOTRUN", "result": "SUPPRESSED"}]}]}))
    report = reports.read("gtest", path, "")
    assert (report.passed, report.failed, report.skipped) == (1, 1, 1)


def test_summary_lines_are_added_up():
    report = reports.read("lines", None, "3 passed, 1 failed\nwords\n4 passed, 0 failed\n5 passed, 0 failed, or so\n")
    assert (report.passed, report.failed) == (7, 1)


@pytest.mark.parametrize("kind", ["gtest", "pytest", "lines"])
def test_a_missing_or_truncated_report_counts_as_no_tests(tmp_path, kind):
    assert reports.read(kind, tmp_path / "missing", "").ran == 0
    (tmp_path / "cut").write_text("{")
    assert reports.read(kind, tmp_path / "cut", "").ran == 0


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "counts.json"
    path.write_text('{"release": {"a": 10}}')
    return reports.ExpectedCounts(path)


def test_fewer_tests_than_expected_are_a_failure(expected):
    assert expected.complaint("release", "a", reports.Report(passed=10)) is None
    assert expected.complaint("release", "a", reports.Report(passed=9, failed=1)) is None
    assert expected.complaint("release", "a", reports.Report(passed=9)).startswith("ran 9 tests, expected at least 10")
    assert expected.complaint("release", "new", reports.Report(passed=1)) is None


def test_skipped_pytest_tests_count_as_run_only_without_root(expected, monkeypatch):
    report = reports.Report(passed=9, skipped=1, kind="pytest")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert expected.complaint("release", "a", report) is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert expected.complaint("release", "a", report) is not None
    report.kind = "gtest"  # test programs skip tests of instructions that this CPU lacks
    assert expected.complaint("release", "a", report) is None


def test_counts_can_be_raised_and_missing_suites_are_listed(expected, tmp_path):
    assert expected.exceeded("release", "a", 11) and not expected.exceeded("release", "a", 10)
    expected.record("release", "a", 11)
    expected.record("tsan", "b", 2)
    expected.save()
    again = reports.ExpectedCounts(tmp_path / "counts.json")
    assert again.suites("tsan") == ["b"]
    assert again.missing("release", ["b"]) == ["a"] and again.missing("release", ["a"]) == []


def test_every_expected_suite_exists(monkeypatch):
    """A count of a suite that no longer exists would otherwise stay in the file unnoticed."""
    counts = json.loads((suites.TOP / "tests/expected-counts.json").read_text())
    assert set(counts) == {build.name for build in suites.BUILDS if build.when != "long"}
    monkeypatch.setattr(suites, "_gtest", lambda *_: [])
    options = types.SimpleNamespace(long=True, fuzz_seconds=None)
    fixed = {build.name: {suite.name for suite in build.suites(suites.TOP, options)} for build in suites.BUILDS}
    for build, names in counts.items():
        unknown = {name for name in names if not name.startswith(("unit-", "threads-", "packet-rows"))} - fixed[build]
        assert not unknown, f"{build}: {unknown}"
