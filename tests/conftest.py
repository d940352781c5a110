"""Shared by all pytest suites: the markers, time limits, logs of failed tests, and a clean end on SIGTERM."""
import os
import pathlib
import signal

import pytest


def pytest_configure(config):
    # SIGTERM ends the suite as Ctrl-C does, so that fixtures clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "slow(reason): takes more than 20 s on an idle machine, for this reason")
    config.addinivalue_line("markers", "limit(seconds): the test fails after that long; default: limit_s of its suite")


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("slow")
        if marker is None:
            continue
        if len(marker.args) != 1 or not marker.args[0].strip():
            raise pytest.UsageError(f"{item.nodeid}: the marker slow has no reason; "
                                    "write one, as in slow(\"waits for the idle timeout\")")
        item.user_properties.append(("slow", marker.args[0]))  # for the run's report


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the logs of labs to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for lab in {id(value): value for value in item.funcargs.values() if hasattr(value, "tails")}.values():
            report.sections.append(("the lab's programs", lab.tails()))


@pytest.fixture(scope="session")
def build():
    if "FAIRLEAD_BUILD" not in os.environ:
        pytest.fail("FAIRLEAD_BUILD is not set; set it to the build folder that contains the programs")
    return pathlib.Path(os.environ["FAIRLEAD_BUILD"]).resolve()


@pytest.fixture(scope="session")
def limit_s():
    """How long a test of the suite may take; 0: without a limit. A suite's conftest.py overrides it."""
    return 0


@pytest.fixture(autouse=True)
def _bounded(request, limit_s):
    """Makes a test that hangs fail. Its lab is cleaned up as after any test."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else limit_s

    def too_long(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
