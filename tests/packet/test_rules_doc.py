"""docs/packet-rules.md is generated from the rows."""
from tests.packet.rules_doc import PATH, text


def test_the_document_is_up_to_date_with_the_rows():
    assert PATH.read_text() == text(), f"{PATH} is not up to date; run tests/packet/rules_doc.py"
