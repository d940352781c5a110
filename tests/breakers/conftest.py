import os
import pathlib

import pytest

from tests.breakers.daemons import Daemons


@pytest.fixture
def daemons():
    if "FAIRLEAD_BUILD" not in os.environ:
        pytest.fail("FAIRLEAD_BUILD is not set; set it to the build folder that contains the programs")
    with Daemons(pathlib.Path(os.environ["FAIRLEAD_BUILD"]).resolve()) as both:
        yield both
