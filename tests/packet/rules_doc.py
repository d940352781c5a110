#!/usr/bin/python3
"""Writes docs/packet-rules.md: every rule of the packet rows and the rows that hold Fairlead to it.

    rules_doc.py            writes it
    rules_doc.py --check    status 1 when it is not up to date (test_rules_doc.py asks the same)
"""
import collections
import importlib
import pathlib
import sys

_TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TOP))
from tests.packet.rows import all_rows  # noqa: E402
from tests.packet.variants import MODES, TUNNELS  # noqa: E402

PATH = _TOP / "docs/packet-rules.md"
_HEAD = """# What every packet gets

What becomes of each packet, and the rows of `tests/packet` that hold Fairlead to it. Each row is packets made by scapy and, for each of
them, what must leave and what must be counted, worked out by scapy or by hand; it runs through the real binary by pcap files (pytest),
alone through the pipeline in C++ (`packet-rows-test`, with the same frames split over segments, too) and as a benchmark
(`bench/packet-rows`). Every run keeps `rx + generated = tx + sum(drops) + to_kernel`.

Which rule comes first when several apply: the list in `dataplane/pipeline/pipeline.h`.

*Every mode*: `dsr`, `ipip` and `gue` with backends of either family, `nat`; each with clients of both families. Other names are
variants of the configuration (`tests/packet/variants.py`). Written by `tests/packet/rules_doc.py`; do not edit.
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
    return f"`{names[0]}` … `{names[-1]}` ({len(names)} rows)"


def _sections():
    """(title, [(rule, row names, variants)]) of each rows_*.py, in the order in which they are written."""
    rows = all_rows()
    for path in sorted(pathlib.Path(__file__).parent.glob("rows_*.py")):
        module = importlib.import_module(f"tests.packet.{path.stem}")
        groups = collections.defaultdict(list)
        for row in rows:
            if row.source == path.stem:
                groups[row.rule].append(row)
        yield module.__doc__.strip(), [(rule, list(dict.fromkeys(row.name for row in group)),
                                        list(dict.fromkeys(row.variant for row in group))) for rule, group in groups.items()]


def text():
    rows = all_rows()
    lines = [_HEAD, f"{len({row.name for row in rows})} rows, {len(rows)} with each counted once for each variant that it runs under.", ""]
    for title, rules in _sections():
        lines += [f"## {title.rstrip('.')}", "", "| rule | rows | under |", "|---|---|---|"]
        lines += [f"| {rule.replace('|', '/')} | {_names(names)} | {_modes(variants)} |" for rule, names, variants in rules]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        current = PATH.exists() and PATH.read_text() == text()
        if not current:
            print(f"{PATH} is not up to date: run tests/packet/rules_doc.py", file=sys.stderr)
        return 0 if current else 1
    PATH.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
