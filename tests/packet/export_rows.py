#!/usr/bin/python3
"""Writes all rows as JSON, for the C++ programs that replay them (packet_rows.h).

    export_rows.py OUT        OUT: a file, or - for standard output

    {"variants": [{"name", "services": {hash_seed, services: [...]}, "macs": [...], "addresses": [...],
                   "ipip_source": [...], "gateway", "mtu", "replies_per_second", "icmp_errors_per_second"}],
     "rows": [{"name", "rule", "variant", "records": number or -1,
               "steps": [{"frame": hex, "verdict": "forward" | "answer" | "drop" | "to_kernel",
                          "reason": drop reason or "", "late": true if it waits for a later frame,
                          "out": [hex, ...], "headroom", "linear", "nic_bad_checksum"}]}]}
"""
import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.packet.rows import Buffer, Framed, all_rows  # noqa: E402
from tests.packet.variants import VARIANTS  # noqa: E402

_PLAIN = Buffer()


def _step(frame, expectation):
    buffer = frame.buffer if isinstance(frame, Framed) else _PLAIN
    return {"frame": frame.hex(), "verdict": expectation.verdict, "reason": expectation.reason,
            "late": getattr(expectation, "late", False), "out": [out.hex() for out in expectation.frames],
            **dataclasses.asdict(buffer)}


def exported():
    variants = [{"name": variant.name, "services": variant.services_yaml(), "macs": variant.macs,
                 "addresses": variant.addresses,
                 "ipip_source": variant.ipip_source, "gateway": variant.gateway, "mtu": variant.mtu,
                 "replies_per_second": variant.replies_per_second,
                 "icmp_errors_per_second": variant.icmp_errors_per_second}
                for variant in VARIANTS.values()]
    rows = [{"name": row.name, "rule": row.rule, "variant": row.variant, "records": -1 if row.records is None
             else row.records,
             "steps": [_step(*step) for step in row.steps]} for row in all_rows()]
    return {"variants": variants, "rows": rows}


def main():
    text = json.dumps(exported())
    if sys.argv[1:] == ["-"]:
        print(text)
    else:
        pathlib.Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
