#!/usr/bin/python3
"""Writes every row as JSON, for what replays them in C++ (packet_rows.h).

    export_rows.py OUT        OUT: a file, or - for standard output

    {"variants": [{"name", "services": {hash_seed, services: [...]}, "macs": [...], "mtu", "replies_per_second"}],
     "rows": [{"name", "rule", "variant", "steps": [{"frame": hex, "verdict": "forward" | "reply" | "drop" | "to_kernel",
                                                    "reason": drop reason or "", "out": hex or ""}]}]}
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.packet.rows import all_rows  # noqa: E402
from tests.packet.variants import VARIANTS  # noqa: E402


def exported():
    variants = [{"name": variant.name, "services": variant.services_yaml(), "macs": list(variant.macs), "mtu": variant.mtu,
                 "replies_per_second": variant.replies_per_second} for variant in VARIANTS.values()]
    rows = [{"name": row.name, "rule": row.rule, "variant": row.variant,
             "steps": [{"frame": frame.hex(), "verdict": expectation.kind.split()[0],
                        "reason": getattr(expectation, "reason", ""), "out": getattr(expectation, "frame", b"").hex()}
                       for frame, expectation in row.steps]} for row in all_rows()]
    return {"variants": variants, "rows": rows}


def main():
    text = json.dumps(exported())
    if sys.argv[1:] == ["-"]:
        print(text)
    else:
        pathlib.Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
