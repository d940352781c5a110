"""Holds what came out against what the rows expect."""
from tests.packet.rows import Forward, Reply, describe, totals


def expected_frames(steps):
    return [expectation.frame for _, expectation in steps if isinstance(expectation, (Forward, Reply))]


def complaint(steps, outcome):
    """None when the outcome is what the steps expect, else a readable account of the first difference of each sort."""
    lines = []
    wanted, got = expected_frames(steps), outcome.frames
    if wanted != got:
        at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
        lines.append(f"frames that left: expected {len(wanted)}, got {len(got)}; the first difference is number {at}")
        causes = [frame for frame, expectation in steps if isinstance(expectation, (Forward, Reply))]
        for label, frames in (("sent    ", causes), ("expected", wanted), ("got     ", got)):
            lines.append(f"  {label} {describe(frames[at]) if at < len(frames) else '(none)'}")
        if at < min(len(wanted), len(got)) and len(wanted[at]) == len(got[at]):
            places = [i for i, (a, b) in enumerate(zip(wanted[at], got[at])) if a != b]
            lines.append(f"  differing bytes: {places}")
    counters = totals([expectation for _, expectation in steps])
    if outcome.counters() != counters:
        lines.append(f"counters: expected {counters}\n          got      {outcome.counters()}")
        if wanted == got:
            lines.append(f"  sent {describe(steps[0][0])}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else ""))
    return "\n".join(lines) or None
