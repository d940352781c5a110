"""What may become of a frame, as plain values: every row's expectation is one of these.

    Forward(frames)        leaves as exactly these frames: one, or the pieces that it had to be cut into (the extra ones are `generated`)
    Reply(frame)           is consumed (drop reason `answered`), and exactly this frame leaves
    Drop(reason, error)    is dropped and counted under that reason; nothing leaves but the ICMP error, if there is one
    Kernel()               is counted as to_kernel; nothing leaves
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
    verdict = "reply"
    reason = ""
    generated = 1

    @property
    def frames(self):
        return (self.frame,)


@dataclasses.dataclass(frozen=True)
class Drop:
    reason: str
    error: bytes = None
    late: bool = False  # a fragment that waits, in vain
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
    """rx, tx, generated, to_kernel and drops that they must lead to; they keep the conservation law by themselves."""
    drops = collections.Counter(e.reason for e in expectations if e.verdict == "drop")
    replies = sum(e.verdict == "reply" for e in expectations)
    if replies:
        drops["answered"] += replies
    counts = {"rx": len(expectations), "tx": sum(len(e.frames) for e in expectations),
              "generated": sum(e.generated for e in expectations),
              "to_kernel": sum(e.verdict == "to_kernel" for e in expectations), "drops": dict(drops)}
    assert counts["rx"] + counts["generated"] == counts["tx"] + sum(drops.values()) + counts["to_kernel"], counts
    return counts
