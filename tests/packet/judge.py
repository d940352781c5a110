"""Compares the frames and counters of a run with the rows' expectations."""
import collections

from tests.packet.expect import totals
from tests.packet.rows import describe


def expected_frames(steps):
    return [frame for _, expectation in steps for frame in expectation.frames]


def _in_order(steps):
    """True if the frames must leave in the order of arrival: every step forwards one frame, or every step replies.

    The rules do not specify when ICMP errors, further fragments and fragments that waited leave.
    """
    verdicts = {expectation.verdict for _, expectation in steps if expectation.frames}
    return verdicts in ({"forward"}, {"answer"}) and not any(
        len(expectation.frames) > 1 or getattr(expectation, "late", False) for _, expectation in steps)


def _difference(label_frames, wanted, got):
    lines = [f"  {label:<9}{describe(frame) if frame is not None else '(none)'}" for label, frame in label_frames]
    if wanted and got and len(wanted) == len(got):
        lines.append(f"  differing bytes: {[i for i, (a, b) in enumerate(zip(wanted, got)) if a != b]}")
    return lines


def _ordered_complaint(steps, got):
    wanted = expected_frames(steps)
    if wanted == got:
        return []
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    causes = [frame for frame, expectation in steps for _ in expectation.frames]
    sent, expected, came = [frames[at] if at < len(frames) else None for frames in (causes, wanted, got)]
    return [f"frames that left: expected {len(wanted)}, got {len(got)}; the first difference is number {at}",
            *_difference((("sent", sent), ("expected", expected), ("got", came)), expected, came)]


def _unordered_complaint(steps, got):
    wanted = collections.Counter(expected_frames(steps))
    missing, extra = wanted - collections.Counter(got), collections.Counter(got) - wanted
    if not missing and not extra:
        return []
    expected = next(iter(missing), None)
    sent = next((frame for frame, expectation in steps if expected in expectation.frames), None)
    # Show the most similar unexpected frame: same length, most bytes in common.
    came = max(extra, default=None, key=lambda frame: (len(frame) == len(expected or b""),
                                                       sum(a == b for a, b in zip(frame, expected or b""))))
    return [f"frames that left: expected {sum(wanted.values())}, got {len(got)}; {sum(missing.values())} are missing, "
            f"{sum(extra.values())} are unexpected",
            *_difference((("sent", sent), ("expected", expected), ("got", came)), expected, came)]


def complaint(steps, outcome, one_worker=True):
    """None if the outcome is as the steps expect, else a text with the first difference of frames and of counters."""
    compare = _ordered_complaint if one_worker and _in_order(steps) else _unordered_complaint
    lines = compare(steps, outcome.frames)
    counters = totals([expectation for _, expectation in steps])
    if outcome.counters() != counters:
        if not lines:
            lines.append(f"  sent {describe(steps[0][0])}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else ""))
        lines.append(f"counters: expected {counters}\n          got      {outcome.counters()}")
    return "\n".join(lines) or None
