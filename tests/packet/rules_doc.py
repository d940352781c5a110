#!/usr/bin/python3
"""Writes docs/packet-rules.md: every packet rule, and the rows that test it.

    rules_doc.py            writes it
    rules_doc.py --check    exits with status 1 if it is not up to date (test_rules_doc.py checks the same)
"""
import ast
import collections
import pathlib
import sys
import textwrap

_TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TOP))
from tests.packet.rows import all_rows  # noqa: E402
from tests.packet.variants import MODES, TUNNELS  # noqa: E402

PATH = _TOP / "docs/packet-rules.md"
_COLUMNS = 116
_HEAD = """# Packet rules

This page lists what Fairlead does with each packet, and the rows in `tests/packet` that test it. A row contains
packets made by scapy. For each packet, it has the frames that must leave and the counters that must change,
computed by scapy or by hand.

Each row runs through the real binary by pcap files (pytest), alone through the pipeline in C++ (`packet-rows-test`,
also with the frames split over segments), and as a benchmark (`bench/packet-rows`). Every run checks
`rx + generated = tx + sum(drops) + to_kernel`.

If several rules apply to a packet, the list in `dataplane/pipeline/pipeline.h` says which comes first.

*F* is an address that some frontend has. *Every mode* is `dsr`, `ipip` and `gue` with backends of either family,
and `nat`; each with clients of both families. *Tunnels* are `ipip` and `gue`. Other names are variants of the
configuration (`tests/packet/variants.py`).

`tests/packet/rules_doc.py` writes this page from the rows. Do not edit it.
"""


def _modes(variants):
    variants = [variant for variant in variants if variant]
    if set(MODES) <= set(variants):
        others = [variant for variant in variants if variant not in MODES]
        return ", ".join(["every mode", *others])
    if set(TUNNELS) == set(variants):
        return "tunnels"
    return ", ".join("dsr" if variant == "base" else variant for variant in variants)


def _names(names):
    if len(names) <= 4:
        return ", ".join(f"`{name}`" for name in names)
    return f"{len(names)} rows, `{names[0]}` to `{names[-1]}`"


def _sections():
    """Yields (title, [(rule, row names, variants)]) of each rows_*.py, in the order of the file."""
    rows = all_rows()
    for path in sorted(pathlib.Path(__file__).parent.glob("rows_*.py")):
        title = ast.get_docstring(ast.parse(path.read_text()))
        groups = collections.defaultdict(list)
        for row in rows:
            if row.source == path.stem:
                groups[row.rule].append(row)
        yield title.strip(), [(rule, list(dict.fromkeys(row.name for row in group)),
                                        list(dict.fromkeys(row.variant for row in group)))
                                       for rule, group in groups.items()]


def _entry(rule, names, variants):
    """A list entry: the rule, and in parentheses its rows and where they run."""
    return textwrap.fill(f"{rule}. ({_names(names)}: {_modes(variants)})", _COLUMNS, initial_indent="- ",
                         subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def text():
    rows = all_rows()
    names = {row.name for row in rows}
    lines = [_HEAD, f"There are {len(names)} rows. With their variants, they make {len(rows)} tests.", ""]
    for title, rules in _sections():
        lines += [f"## {title.rstrip('.')}", "", *(_entry(*rule) for rule in rules), ""]
    return "\n".join(lines).rstrip() + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        current = PATH.exists() and PATH.read_text() == text()
        if not current:
            print(f"{PATH} is not up to date; run tests/packet/rules_doc.py", file=sys.stderr)
        return 0 if current else 1
    PATH.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
