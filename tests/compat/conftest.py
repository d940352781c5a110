"""A lab with programs of two releases. It uses the fixtures of the end-to-end tests."""
import pytest

from tests.compat.build_base import build_base
from tests.e2e.conftest import bare_lab, limit_s, pytest_configure  # noqa: F401

DATAPLANE, FAIRLEADD = "dataplane/fairlead-dataplane", "controlplane/fairleadd"


@pytest.fixture(scope="session")
def base_build(build):
    return build_base(build.parent / "build-base")


class Releases:
    """A lab. Its start functions take which release to start: the base release or today's."""

    def __init__(self, lab, base):
        self.lab = lab
        self._base = base

    def start_dataplane(self, is_base):
        self._choose(DATAPLANE, is_base)
        self.lab.start_dataplane()

    def start_control(self, is_base):
        self._choose(FAIRLEADD, is_base)
        self.lab.start_control()

    def replace_dataplane(self, is_base):
        self.lab.dataplane.stop(timeout_s=20)
        self.start_dataplane(is_base)

    def replace_control(self, is_base):
        self.lab.fairleadd.stop(timeout_s=20)
        self.start_control(is_base)

    def _choose(self, program, is_base):
        self.lab.builds.pop(program, None)
        if is_base:
            self.lab.builds[program] = self._base


@pytest.fixture
def releases(bare_lab, base_build):  # noqa: F811
    return Releases(bare_lab, base_build)
