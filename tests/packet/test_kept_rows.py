"""The rows that one process made, and others take (rows.all_rows)."""
import itertools

import pytest

from tests.packet import rows

_IN_BUFFERS = [row for row in rows.all_rows() if any(isinstance(frame, rows.Framed) for frame, _ in row.steps)][:5]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "rows_one.py").write_text("first")
    monkeypatch.setattr(rows, "_FOLDER", tmp_path)
    monkeypatch.setattr(rows, "_CACHE", tmp_path / "kept")
    monkeypatch.setattr(rows, "_ports", itertools.count(30000))
    return tmp_path


@pytest.mark.parametrize("change, taken", [("first", True), ("other", False)])
def test_kept_rows_are_taken_until_a_file_changes(folder, monkeypatch, change, taken):
    monkeypatch.setattr(rows, "_rows", list(_IN_BUFFERS))
    rows._write_cache()
    assert rows.port() == 30000
    monkeypatch.setattr(rows, "_rows", [])
    (folder / "rows_one.py").write_text(change)
    assert rows._read_cache() == taken
    assert rows._rows == (_IN_BUFFERS if taken else [])
    if taken:
        buffers = [frame.buffer for row in rows._rows for frame, _ in row.steps if isinstance(frame, rows.Framed)]
        assert buffers and rows.Buffer() not in buffers
        assert rows.port() == 30000  # the ports of the rows are not used again
