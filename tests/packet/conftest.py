import pytest

from tests.packet.runner import Runner


@pytest.fixture(scope="session")
def runner():
    made = Runner()
    yield made
    made.close()
