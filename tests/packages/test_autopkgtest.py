"""The tests of debian/tests, which Debian runs on installed packages: here on a booted machine. Only with --long."""
import os

import pytest

from tests.packages import rootfs
from tests.packages.conftest import TOP
from tests.packages.machine import Machine, commands

_TOOLS = ("curl", "ethtool", "python3")
pytestmark = pytest.mark.skipif("FAIRLEAD_LONG" not in os.environ, reason="only with --long")


@pytest.fixture(scope="module")
def tools_and_packages(debs):
    return rootfs.layers(debs, extra=_TOOLS)


@pytest.mark.slow("boots a machine and installs the packages")
@pytest.mark.parametrize("name", ["status", "request", "upgrade"])
def test_on_a_booted_machine(lab, source, tools_and_packages, name):
    with Machine(tools_and_packages, source, lab) as machine:
        machine.run("\n".join(commands(TOP / "docs/install.md", "first request")[:2]))
        for file in ("lib.sh", name):
            machine.path("/root").joinpath(file).write_text((TOP / "debian/tests" / file).read_text())
        machine.run(f"sh -e /root/{name}")
