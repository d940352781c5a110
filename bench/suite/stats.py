"""Statistics for noisy machines: medians, ratios of pairs, and a test that assumes nothing about distributions."""
import math
import random


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        raise ValueError("no samples")
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(values):
    """Median distance from the median, as a share of it. 0 for a single sample."""
    center = median(values)
    return median([abs(value - center) for value in values]) / abs(center) if center else 0.0


def percentile(values, share):
    """The smallest value such that at least `share` of all values are not larger (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def sign_test(ratios):
    """The probability of pairs as one-sided as these, or more, if neither side is better. Two-sided sign test without
    ties."""
    above = sum(ratio > 1 for ratio in ratios)
    below = sum(ratio < 1 for ratio in ratios)
    pairs = above + below
    if pairs == 0:
        return 1.0
    tail = sum(math.comb(pairs, k) for k in range(max(above, below), pairs + 1)) / 2 ** pairs
    return min(1.0, 2 * tail)


def median_interval(values, confidence=0.95, rounds=2000, seed=1):
    """Bootstrap interval of the median. The seed is fixed, so the same samples give the same result."""
    chooser = random.Random(seed)
    medians = sorted(median(chooser.choices(values, k=len(values))) for _ in range(rounds))
    cut = (1 - confidence) / 2
    return medians[int(cut * rounds)], medians[min(rounds - 1, int((1 - cut) * rounds))]



def compare(a_samples, b_samples, better="lower"):
    """Compares two builds measured in turn; pair i is (a[i], b[i]). The difference counts as real if the sign test
    gives less than one in twenty *and* the bootstrap interval of the median of the ratios b/a does not contain 1. With
    fewer than six pairs the sign test never gives so little."""
    ratios = [b / a for a, b in zip(a_samples, b_samples, strict=True) if a > 0]
    if not ratios:
        raise ValueError("no pairs")
    low, high = median_interval(ratios)
    ratio, chance = median(ratios), sign_test(ratios)
    real = chance < 0.05 and not low <= 1 <= high
    word = "same within the noise"
    if real:
        word = "better" if (ratio < 1) == (better == "lower") else "worse"
    return {"ratio": ratio, "low": low, "high": high, "chance": chance, "pairs": len(ratios), "verdict": word}
