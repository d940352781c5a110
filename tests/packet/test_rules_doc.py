"""docs/packet-rules.md says what the rows are."""
from tests.packet.rules_doc import PATH, text


def test_document_is_what_the_rows_say():
    assert PATH.read_text() == text(), "run tests/packet/rules_doc.py"
