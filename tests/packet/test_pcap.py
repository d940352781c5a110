"""Runs every row through the real binary, by net_pcap.

Rows of one variant that expect the same kind of verdict run together, so that in most runs only one counter changes. If
a run differs from the expectation, its rows run again one by one, so that only the wrong rows fail. (rows_test.cc
checks every row alone, packet by packet.)
"""
import collections

import pytest

from tests.packet.judge import complaint
from tests.packet.expect import totals
from tests.packet.rows import all_rows, world
from tests.packet.runner import write_pcap
from tests.packet.variants import VARIANTS

_ROWS = [row for row in all_rows() if row.in_pcap]
_ALONE = ("limited",)  # each row needs full token buckets


class _Groups:
    """Runs a group of rows when the first of its rows is tested."""

    def __init__(self, runner):
        self._runner = runner
        self._good = {}
        self._rows = collections.defaultdict(list)
        for row in _ROWS:
            self._rows[self._key(row)].append(row)

    @staticmethod
    def _key(row):
        return row.variant, row.name if row.variant in _ALONE else row.kind

    def complaint(self, row):
        key = self._key(row)
        if key not in self._good:
            self._good[key] = self._judge(self._rows[key]) is None
        return None if self._good[key] else self._judge([row])

    def _judge(self, rows):
        steps = [step for row in rows for step in row.steps]
        outcome = self._runner.run(VARIANTS[rows[0].variant], [frame for frame, _ in steps])
        outcome.require_sound()
        return complaint(steps, outcome)


@pytest.fixture(scope="module")
def groups(runner):
    return _Groups(runner)


@pytest.mark.parametrize("row", _ROWS, ids=[f"{row.variant}-{row.name}" for row in _ROWS])
def test_each_frame_of_a_row_gets_the_expected_result(groups, row):
    wrong = groups.complaint(row)
    assert wrong is None, f"\n{row.rule}\n{wrong}"


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_rows_give_the_expected_results_when_mixed_in_bursts(runner, variant):
    # Interleaved, so that a burst contains every kind of verdict.
    rows = [row for row in _ROWS if row.variant == variant]
    if variant in _ALONE:
        rows = rows[:1]
    steps = []
    queues = [collections.deque(row.steps) for row in rows]
    while any(queues):
        steps += [queue.popleft() for queue in queues if queue]
    outcome = runner.run(VARIANTS[variant], [frame for frame, _ in steps])
    outcome.require_sound()
    wrong = complaint(steps, outcome)
    assert wrong is None, wrong


def test_services_and_backends_count_their_packets_and_bytes(runner):
    row = next(row for row in _ROWS if row.name == "spread4" and row.variant == "base")
    outcome = runner.run(VARIANTS["base"], [frame for frame, _ in row.steps])
    wanted = collections.Counter(expectation.frames[0][:6] for _, expectation in row.steps)
    web = next(service for service in VARIANTS["base"].services if service["name"] == "web")
    report = next(service for service in outcome.report["services"] if service["name"] == "web")
    assert report["packets"] == len(row.steps)
    assert report["bytes"] == sum(len(frame) - 14 for frame, _ in row.steps)
    for backend in web["backends"]:
        got = next(entry for entry in outcome.report["backends"]
                   if (entry["service"], entry["address"]) == ("web", backend["address"]))
        assert got["packets"] == wanted[bytes.fromhex(backend["mac"].replace(":", ""))]


def test_each_backend_owns_slots_in_proportion_to_its_weight():
    # In the twin's table, to which the rows above compare the binary. The tolerance is 1 % of the share.
    owners = world("base").twin._owners("web")
    web = next(service for service in VARIANTS["base"].services if service["name"] == "web")
    total = sum(backend["weight"] for backend in web["backends"])
    for position, backend in enumerate(web["backends"]):
        share = owners.count(position) / len(owners)
        assert share == pytest.approx(backend["weight"] / total, rel=0.01)


def test_a_device_of_the_eal_arguments_can_be_a_port(runner):
    """As in the documentation: --vdev after `--`, and the device as a port."""
    row = next(row for row in _ROWS if row.name == "tcp4-life" and row.variant == "base")
    source, sink = runner.folder / "vdev.in.pcap", runner.folder / "vdev.out.pcap"
    write_pcap(source, [frame for frame, _ in row.steps])
    variant = VARIANTS["base"]
    outcome = runner.execute(
        ["--snapshot", runner.image(variant), "--port", "wan=vdev:net_pcap0", "--mac", f"wan={variant.macs[0]}"],
        ["--vdev", f"net_pcap0,rx_pcap={source},tx_pcap={sink}"], sink)
    outcome.require_sound()
    assert complaint(row.steps, outcome) is None
    assert outcome.counters() == totals([expectation for _, expectation in row.steps])
