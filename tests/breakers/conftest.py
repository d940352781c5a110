import pytest

from tests.breakers.daemons import Daemons


@pytest.fixture
def daemons(build):
    with Daemons(build) as both:
        yield both
