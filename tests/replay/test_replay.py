"""tools/replay.sh on captures that are made here, on damaged copies of them, and with a defective dataplane."""
import json
import os
import pathlib
import stat
import struct
import subprocess
import sys

import pytest

from tests.packet.rows import all_rows
from tests.packet.runner import build_dir, write_pcap

_TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_TOP / "tools/replay"))
import captures  # noqa: E402
import modes  # noqa: E402

_MODES = list(modes.MODES)
_SEED = 20261125


def replay(*arguments, build=None, status=0):
    """What the tool prints with --json, one object for each run, and its stderr."""
    result = subprocess.run([_TOP / "tools/replay.sh", "--json", *map(str, arguments)], capture_output=True, text=True, timeout=600,
                            check=False, env={**os.environ, "FAIRLEAD_BUILD": str(build or build_dir())})
    assert result.returncode == status, result.stdout + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


@pytest.fixture(scope="session")
def frames():
    """The frames that the packet rows send: valid and invalid packets of every kind."""
    return [frame for row in all_rows() if row.variant == "base" and row.in_pcap for frame, _ in row.steps]


def test_every_mode_forwards_most_of_live_traffic(live_capture):
    runs, _ = replay(live_capture)
    assert [run["mode"] for run in runs] == _MODES
    for run in runs:
        assert run["rx"] > 100
        # The traffic is valid, so most of it is forwarded. Fragments of pings, ICMP errors of closed ports and the like are not.
        assert run["tx"] > run["rx"] / 2, run
        assert run["balance"] == 0 and run["mbufs_in_use"] == 0


def test_damaged_copies_of_live_traffic_violate_nothing(live_capture):
    print("seed", _SEED)
    runs, _ = replay("--mutations", 3, "--seed", _SEED, live_capture)
    assert len(runs) == 4 * len(_MODES)
    assert all(run["rx"] > 100 and run["balance"] == 0 for run in runs)
    assert any(run["drops"].get("bad_ip_length") for run in runs)


@pytest.mark.slow("replays every packet row and its damaged copies in every mode")
def test_packet_rows_and_damaged_copies_violate_nothing(tmp_path, frames):
    write_pcap(tmp_path / "rows.pcap", frames)
    print("seed", _SEED)
    runs, _ = replay("--mutations", 2, "--seed", _SEED, tmp_path)
    assert len(runs) == 3 * len(_MODES)
    assert all(run["rx"] >= len(frames) * 0.9 and run["balance"] == 0 for run in runs)


def test_the_same_seed_makes_the_same_damage(tmp_path, frames):
    write_pcap(tmp_path / "rows.pcap", frames[:500])
    arguments = ("--modes", "dsr", "--mutations", 2, tmp_path)
    first, again, other = (replay("--seed", seed, *arguments)[0] for seed in (1, 1, 2))
    assert [run["drops"] for run in first] == [run["drops"] for run in again]
    assert first[0]["drops"] == other[0]["drops"] and first[1]["drops"] != other[1]["drops"]


def _pcap(order, magic, frames):
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack(order + "IIII", 1, 2, len(frame), len(frame) + 7) + frame for frame in frames)


def _block(order, kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def _pcapng(order, frames, link=1):
    section = _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = _block(order, 1, struct.pack(order + "HHI", link, 0, 0))
    packets = [_block(order, 6, struct.pack(order + "IIIII", 0, 0, 0, len(frame), len(frame)) + frame) for frame in frames[1:]]
    return section + interface + _block(order, 3, struct.pack(order + "I", len(frames[0])) + frames[0]) + b"".join(packets)


_FORMATS = {"little-us.pcap": lambda frames: _pcap("<", 0xA1B2C3D4, frames), "big-us.pcap": lambda frames: _pcap(">", 0xA1B2C3D4, frames),
            "little-ns.pcap": lambda frames: _pcap("<", 0xA1B23C4D, frames), "big-ns.pcap": lambda frames: _pcap(">", 0xA1B23C4D, frames),
            "little.pcapng": lambda frames: _pcapng("<", frames), "big.pcapng": lambda frames: _pcapng(">", frames),
            "two-sections.pcapng": lambda frames: _pcapng("<", frames[:200]) + _pcapng(">", frames[200:])}


@pytest.mark.parametrize("name", _FORMATS)
def test_every_capture_format_is_read(tmp_path, frames, name):
    path = tmp_path / name
    path.write_bytes(_FORMATS[name](frames[:400]))
    assert captures.read(path) == frames[:400]


@pytest.mark.parametrize("name", _FORMATS)
def test_a_file_that_ends_within_a_frame_is_read_up_to_that_frame(tmp_path, frames, name):
    whole = _FORMATS[name](frames[:400])
    (tmp_path / name).write_bytes(whole[:-10])
    assert captures.read(tmp_path / name) == frames[:399]


def test_a_capture_rewritten_by_tcpdump_reads_the_same(tmp_path, frames):
    write_pcap(tmp_path / "in.pcap", frames[:400])
    subprocess.run(["tcpdump", "-r", tmp_path / "in.pcap", "-w", tmp_path / "out.pcap"], capture_output=True, check=True)
    assert captures.read(tmp_path / "out.pcap") == frames[:400]


def test_files_that_are_no_ethernet_captures_are_skipped_with_a_reason(tmp_path, frames):
    (tmp_path / "cooked.pcapng").write_bytes(_pcapng("<", frames[:3], link=113))
    (tmp_path / "text.pcap").write_text("not a capture, but longer than a header")
    runs, stderr = replay(tmp_path, status=1)
    assert runs == []
    assert "cooked.pcapng: skipped: link type 113 is not Ethernet" in stderr
    assert "text.pcap: skipped: neither pcap nor pcapng" in stderr


# ---- violations are detected ----------------------------------------------------------------------------------------

_RIGHT_COUNTS = {"rx": 3, "tx": 0, "generated": 0, "to_kernel": 3, "drops": {}, "mbufs_in_use": 0}


def _build_with(tmp_path, script):
    """A build folder whose dataplane is this shell script, and whose fairctl is the real one."""
    build = tmp_path / "build"
    for program in ("dataplane/fairlead-dataplane", "tools/fairctl/fairctl"):
        (build / program).parent.mkdir(parents=True)
    (build / "tools/fairctl/fairctl").symlink_to(build_dir() / "tools/fairctl/fairctl")
    dataplane = build / "dataplane/fairlead-dataplane"
    dataplane.write_text(f"#!/bin/sh\n{script}\n")
    dataplane.chmod(dataplane.stat().st_mode | stat.S_IXUSR)
    return build


@pytest.mark.parametrize("change, message", [
    ({"rx": 2, "to_kernel": 2}, "rx 2 of 3 frames"), ({"to_kernel": 2}, "rx + generated - tx - drops - to_kernel = 1"),
    ({"mbufs_in_use": 4}, "4 mbufs still in use"), ({"tx": 1, "to_kernel": 2}, "tx 1, but 0 frames left")])
def test_wrong_counts_are_a_violation(tmp_path, frames, change, message):
    write_pcap(tmp_path / "three.pcap", frames[:3])
    build = _build_with(tmp_path, f"echo '{json.dumps({**_RIGHT_COUNTS, **change})}'")
    runs, _ = replay("--modes", "dsr", tmp_path / "three.pcap", build=build, status=1)
    assert message in runs[0]["violation"]
    _expect_input_was_kept(runs[0], frames[:3])


@pytest.mark.parametrize("script, message", [("kill -SEGV $$", "killed by signal 11"), ("exit 3", "status 3"), ("exit 0", "0 reports")])
def test_a_crash_is_a_violation(tmp_path, frames, script, message):
    write_pcap(tmp_path / "three.pcap", frames[:3])
    runs, _ = replay("--modes", "dsr", tmp_path / "three.pcap", build=_build_with(tmp_path, script), status=1)
    assert message in runs[0]["violation"]
    _expect_input_was_kept(runs[0], frames[:3])


def _expect_input_was_kept(run, frames):
    kept = pathlib.Path(run["violation"].rsplit("the input: ", 1)[1])
    assert len(captures.read(kept)) == len(frames)
    kept.unlink()
