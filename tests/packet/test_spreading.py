"""Two workers behind one receive queue: the first receives, and passes packets on by the flow's hash."""
import collections
import struct

import pytest

from tests.packet.judge import complaint
from tests.packet.rows import all_rows, ether, ip4, tcp, udp
from tests.packet.variants import VARIANTS

# A worker that gets no CPU loses no packet as long as all packets fit into its ring (1,023).
_MOST = 1000


def groups(rows):
    """Yields rows that together have at most _MOST packets."""
    group = []
    for row in rows:
        if sum(len(each.steps) for each in [*group, row]) > _MOST:
            yield group
            group = []
        group.append(row)
    yield group


@pytest.mark.parametrize("variant", ["base", "gue6", "nat"])
def test_rows_give_the_expected_results_with_two_workers(runner, variant):
    """Every kind of packet, with fragments in any order. Frames of different flows may leave in any order."""
    for rows in groups([row for row in all_rows() if row.variant == variant and row.in_pcap and len(row.steps) < 100]):
        steps = []
        queues = [collections.deque(row.steps) for row in rows]
        while any(queues):
            steps += [queue.popleft() for queue in queues if queue]
        outcome = runner.run(VARIANTS[variant], [frame for frame, _ in steps], workers=2)
        outcome.require_sound()
        assert all(outcome.report["rx_by_worker"]), outcome.report
        wrong = complaint(steps, outcome, one_worker=False)
        assert wrong is None, wrong


def test_the_packets_of_a_flow_leave_in_order(runner):
    flows = [(tcp if flow % 2 else udp)(source_port=20000 + flow) for flow in range(40)]
    frames = [bytes(ether() / ip4(id=number) / flow) for number in range(25) for flow in flows]
    assert len(frames) <= _MOST
    outcome = runner.run(VARIANTS["base"], frames, workers=2)
    outcome.require_sound()
    assert not outcome.drops and outcome.report["tx"] == len(frames)
    by_flow = collections.defaultdict(list)
    for frame in outcome.frames:
        number, = struct.unpack_from("!H", frame, 18)
        by_flow[frame[23], frame[34:36]].append(number)
    assert len(by_flow) == len(flows)
    assert all(numbers == list(range(25)) for numbers in by_flow.values()), by_flow
    first, second = outcome.report["rx_by_worker"]
    assert min(first, second) >= 100 and first + second == len(frames), outcome.report
