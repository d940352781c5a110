#!/usr/bin/python3
"""Writes the tables of emulated NICs in docs/operations.md from expected.json.

    nics_doc.py            writes them
    nics_doc.py --check    exits with status 1 if they are not up to date (test_nics_doc.py checks the same)
"""
import json
import pathlib
import re
import sys
import textwrap

_TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TOP))
from tests.guest.cells import CAPABILITIES, CELLS  # noqa: E402

PATH = _TOP / "docs/operations.md"
EXPECTED = pathlib.Path(__file__).with_name("expected.json")
_COLUMNS = 118
_BEGIN = "<!-- tests/guest/nics_doc.py writes from here -->\n"
_END = "<!-- to here -->\n"


def table(first, columns, rows):
    """A table of Markdown. `rows`: [(name, {column: word})]."""
    lines = [f"| {first} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(words.get(column, "") for column in columns) + " |" for name, words in rows]
    return "\n".join(lines) + "\n"


def outcomes_table(outcomes):
    """`outcomes`: {NIC: {cell: outcome}}. Outcomes other than `ok` are below the table, in full."""
    rows = [(cell.what, {model: outcomes[model][name].split(":")[0] for model in outcomes if name in outcomes[model]})
            for name, cell in CELLS.items() if name != CAPABILITIES]
    reasons = {}
    for model, row in outcomes.items():
        for name, outcome in row.items():
            if name != CAPABILITIES and ":" in outcome:
                reasons.setdefault((model, outcome), []).append(CELLS[name].what)
    notes = [_entry(model, outcome, whats) for (model, outcome), whats in reasons.items()]
    return table("", list(outcomes), rows) + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _entry(model, outcome, whats):
    where = "everything" if len(whats) == len(CELLS) - 1 else ", ".join(whats)
    return textwrap.fill(f"*{model}*, {where}: {outcome}", _COLUMNS, initial_indent="- ", subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False)


def capabilities_table(outcomes):
    rows = {model: row[CAPABILITIES] for model, row in outcomes.items() if isinstance(row.get(CAPABILITIES), dict)}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return table("NIC", columns, list(rows.items()))


def with_tables(page):
    """The page's text with today's tables."""
    outcomes = json.loads(EXPECTED.read_text())
    tables = f"{capabilities_table(outcomes)}\n{outcomes_table(outcomes)}"
    return re.sub(f"(?s)(?<={re.escape(_BEGIN)}).*(?={re.escape(_END)})", lambda _: tables, page)


def main():
    current = PATH.read_text()
    if sys.argv[1:] == ["--check"]:
        if current != with_tables(current):
            print(f"{PATH} is not up to date; run tests/guest/nics_doc.py", file=sys.stderr)
            return 1
        return 0
    PATH.write_text(with_tables(current))
    return 0


if __name__ == "__main__":
    sys.exit(main())
