"""The expected results of a frame. Every row's expectation is one of these values.

    Forward(frames)        it leaves as exactly these frames: one, or its fragments (all but the first are `generated`)
    Reply(frame)           it is dropped as `answered`, and exactly this frame leaves
    Drop(reason, error)    it is dropped under this reason; only the ICMP error leaves, if there is one
    Kernel()               it is counted as to_kernel; nothing leaves
"""
import collections
import dataclasses


@dataclasses.dataclass(frozen=True)
class Forward:
    frames: tuple
    late: bool = False  # a fragment that waits for a later frame of its row
    verdict = "forward"
    reason = ""

    @property
    def generated(self):
        return len(self.frames) - 1


@dataclasses.dataclass(frozen=True)
class Reply:
    frame: bytes
    verdict = "answer"
    reason = ""
    generated = 1

    @property
    def frames(self):
        return (self.frame,)


@dataclasses.dataclass(frozen=True)
class Drop:
    reason: str
    error: bytes = None
    late: bool = False  # a fragment that waits until it times out
    verdict = "drop"

    @property
    def frames(self):
        return (self.error,) if self.error else ()

    @property
    def generated(self):
        return len(self.frames)


@dataclasses.dataclass(frozen=True)
class Kernel:
    frames = ()
    verdict = "to_kernel"
    reason = ""
    generated = 0


def totals(expectations):
    """The counters that the expectations imply. They fulfil the conservation law."""
    drops = collections.Counter(e.reason for e in expectations if e.verdict == "drop")
    replies = sum(e.verdict == "answer" for e in expectations)
    if replies:
        drops["answered"] += replies
    counts = {"rx": len(expectations), "tx": sum(len(e.frames) for e in expectations),
              "generated": sum(e.generated for e in expectations),
              "to_kernel": sum(e.verdict == "to_kernel" for e in expectations), "drops": dict(drops)}
    assert counts["rx"] + counts["generated"] == counts["tx"] + sum(drops.values()) + counts["to_kernel"], counts
    return counts
