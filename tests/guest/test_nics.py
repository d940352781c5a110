"""Every NIC, every cell of the table (cells.py), compared with expected.json."""
import json

import pytest

from tests.guest.cells import CELLS
from tests.guest.models import BOOTS, tries
from tests.guest.nics_doc import EXPECTED

_EXPECTED = json.loads(EXPECTED.read_text())


def test_the_expected_table_has_every_cell_of_every_nic():
    models = [model for models in BOOTS for model in models]
    assert {model: set(row) for model, row in _EXPECTED.items()} == {model: set(CELLS) for model in models}


@pytest.mark.slow("boots a guest, or starts the dataplane in it")
@pytest.mark.parametrize("model,cell", tries())
def test_a_nic_does_what_the_table_says(matrix, model, cell):
    outcome = matrix.try_cell(model, cell)
    expected = _EXPECTED[model][cell]
    if str(outcome).startswith("not tried"):
        pytest.skip(outcome)
    assert outcome == expected, f"the table says {expected}, and it is {outcome}"
