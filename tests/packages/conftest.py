"""Fixtures: the packages, built once, and a machine without them in a lab."""
import os
import shutil
import signal

import pytest

from tests.lab import Lab
from tests.lab.process import run
from tests.packages import built, rootfs
from tests.packages.machine import Machine

TOP = built.TOP
_LIMIT_S = 1200  # --long: four times as much


def pytest_configure(config):
    config.addinivalue_line("markers", "slow(reason): may take more than 20 s")
    # SIGTERM ends the whole run as Ctrl-C does, so that machines are cleaned up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _needs_root():
    if os.geteuid() != 0 or run(["unshare", "-nm", "true"], check=False).returncode != 0:
        pytest.skip("needs root: these tests boot a machine with systemd-nspawn")
    missing = [name for name in ("systemd-nspawn", "debootstrap", "dh", "lintian", "blhc") if not shutil.which(name)]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found; run tools/install-deps.sh package")
    rootfs.sweep()


@pytest.fixture(autouse=True)
def _bounded():
    """Makes a test that hangs fail. Its machine is cleaned up as after any test."""
    def too_long(*_):
        raise TimeoutError(f"the test took longer than {_LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(4 * _LIMIT_S if "FAIRLEAD_LONG" in os.environ else _LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def package_run():
    """tools/package.sh's result. FAIRLEAD_PACKAGES names a folder of packages to use in place of it."""
    return built.package_run()


@pytest.fixture(scope="session")
def debs():
    return built.debs()


@pytest.fixture
def lab():
    """The network, with two backends that serve."""
    with Lab(os.environ["FAIRLEAD_BUILD"], backends=2) as network:
        network.start_backends()
        yield network


@pytest.fixture
def source(debs, tmp_path):
    """A folder that is a source for apt."""
    folder = tmp_path / "source"
    folder.mkdir()
    for deb in debs:
        shutil.copy(deb, folder)
    rootfs.write_index(folder)
    return folder


@pytest.fixture
def machine(lab, debs, source):
    """A machine where none of the packages is installed yet. It sees `source` as /srv/fairlead."""
    with Machine(rootfs.layers(debs), source, lab) as booted:
        yield booted
