"""The tables of NICs in the documentation are generated from expected.json."""
from tests.guest.nics_doc import PATH, with_tables


def test_the_document_has_the_expected_tables():
    page = PATH.read_text()
    assert page == with_tables(page), f"{PATH} is not up to date; run tests/guest/nics_doc.py"
