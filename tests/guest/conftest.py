"""Fixtures of the guest tests: one guest for many tests."""
import os
import shutil

import pytest

from tests.guest.matrix import Matrix
from tests.guest.models import BOOTS
from tools.vm import payload, root


def pytest_collection_modifyitems(items):
    missing = _missing()
    for item in items:
        if missing and "image" in item.fixturenames:
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
def limit_s():
    return 1800


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
