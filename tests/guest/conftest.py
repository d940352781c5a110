"""Fixtures of the guest tests: one guest for many tests, and a time limit for each test."""
import os
import pathlib
import shutil
import signal

import pytest

from tests.guest.matrix import Matrix
from tests.guest.models import BOOTS
from tools.vm import payload, root

_LIMIT_S = 1800


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): the test fails after that long (default 1800)")


def pytest_collection_modifyitems(items):
    missing = _missing()
    for item in items:
        if missing and {"matrix", "guest_lab"} & set(item.fixturenames):
            item.add_marker(pytest.mark.skip(reason=missing))


def _missing():
    """Why this host cannot run a guest, or None."""
    if os.geteuid() != 0:
        return "a guest needs root: for debootstrap, TAPs and namespaces"
    if not os.access("/dev/net/tun", os.W_OK):
        return "/dev/net/tun cannot be opened"
    for program in ("qemu-system-x86_64", "debootstrap", "mke2fs"):
        if not shutil.which(program):
            return f"{program} is missing; run tools/install-deps.sh guest"
    return None


@pytest.fixture(scope="session")
def build():
    if "FAIRLEAD_BUILD" not in os.environ:
        pytest.fail("FAIRLEAD_BUILD is not set; set it to the build folder that contains the programs")
    return pathlib.Path(os.environ["FAIRLEAD_BUILD"]).resolve()


@pytest.fixture(scope="session")
def image():
    """What a guest needs. The first time, this takes some minutes."""
    payload.disk()
    root.ensure()


@pytest.fixture(scope="session")
def matrix(build, image):
    matrix = Matrix(build, BOOTS, build / "test-logs")
    try:
        yield matrix
    finally:
        matrix.close()
        matrix.write()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the guest's logs to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    for name in ("matrix", "guest_lab"):
        if report.when == "call" and report.failed and name in item.funcargs:
            report.sections.append(("the guest", item.funcargs[name].tails()))


@pytest.fixture(autouse=True)
def _bounded(request):
    """Makes a test that hangs fail."""
    marker = request.node.get_closest_marker("limit")
    limit_s = marker.args[0] if marker else _LIMIT_S

    def too_long(*_):
        raise TimeoutError(f"the test took longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit_s)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
