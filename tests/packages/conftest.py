"""Fixtures: the packages, built once, and a machine without them in a lab."""
import os
import shutil

import pytest

from tests.lab import Lab
from tests.lab.process import run
from tests.packages import built, rootfs
from tests.packages.machine import Machine

TOP = built.TOP


@pytest.fixture(autouse=True, scope="session")
def _needs_root():
    if os.geteuid() != 0 or run(["unshare", "-nm", "true"], check=False).returncode != 0:
        pytest.skip("needs root: these tests boot a machine with systemd-nspawn")
    missing = [name for name in ("systemd-nspawn", "debootstrap", "dh", "lintian", "blhc") if not shutil.which(name)]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found; run tools/install-deps.sh package")
    rootfs.sweep()


@pytest.fixture(scope="session")
def limit_s():
    return 4800 if "FAIRLEAD_LONG" in os.environ else 1200


@pytest.fixture(scope="session")
def package_run():
    """tools/package.sh's result. FAIRLEAD_PACKAGES names a folder of packages to use in place of it."""
    return built.package_run()


@pytest.fixture(scope="session")
def debs():
    return built.debs()


@pytest.fixture
def lab(build):
    """The network, with two backends that serve."""
    with Lab(build, backends=2) as network:
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
