"""The statistics that `tools/bench.sh compare` uses."""
import pytest

from bench.suite import stats


def test_median_of_odd_and_even_counts():
    assert stats.median([3, 1, 2]) == 2
    assert stats.median([4, 1, 2, 3]) == 2.5
    with pytest.raises(ValueError):
        stats.median([])


def test_spread_is_the_median_distance_as_a_share():
    assert stats.spread([10]) == 0
    assert stats.spread([8, 10, 12]) == pytest.approx(0.2)
    assert stats.spread([10, 10, 10, 1000]) == 0  # one outlier changes nothing


def test_percentile_is_the_nearest_rank():
    values = list(range(1, 101))
    assert stats.percentile(values, 0.5) == 50
    assert stats.percentile(values, 0.99) == 99
    assert stats.percentile([7], 0.99) == 7


@pytest.mark.parametrize("ratios, chance", [
    ([1.1] * 6, 2 / 64),
    ([0.9] * 6, 2 / 64),
    ([1.1] * 5, 2 / 32),
    ([1.1, 0.9] * 4, 1.0),
    ([1.0] * 9, 1.0),  # ties do not count
    ([1.1] * 7 + [0.9], 2 * (8 + 1) / 256),
])
def test_sign_test_counts_the_binomial_tail(ratios, chance):
    assert stats.sign_test(ratios) == pytest.approx(chance)


def test_a_clear_difference_is_reported_as_better_or_worse():
    a = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 10.0]
    b = [value * 1.1 for value in a]
    assert stats.compare(a, b, "lower")["verdict"] == "worse"
    assert stats.compare(a, b, "higher")["verdict"] == "better"
    assert stats.compare(b, a, "lower")["verdict"] == "better"
    assert stats.compare(a, b)["ratio"] == pytest.approx(1.1)


def test_noise_is_not_reported_as_a_difference():
    a = [10.0, 12.0, 9.0, 11.0, 10.5, 9.5, 10.0, 11.5]
    b = [11.0, 10.0, 10.0, 10.0, 11.5, 9.0, 10.5, 11.0]
    assert stats.compare(a, b)["verdict"] == "same within the noise"


def test_pairs_show_a_difference_that_drift_hides():
    """The machine gets slower by half during the run, but B is 3 % faster in each pair."""
    a = [10.0 + 0.7 * i for i in range(8)]
    b = [value * 0.97 for value in a]
    assert stats.compare(a, b)["verdict"] == "better"


def test_too_few_pairs_never_show_a_difference():
    assert stats.compare([10.0] * 5, [5.0] * 5)["verdict"] == "same within the noise"
    with pytest.raises(ValueError):
        stats.compare([1.0, 2.0], [1.0])


def test_the_interval_contains_the_median_and_is_reproducible():
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.2]
    low, high = stats.median_interval(values)
    assert low <= stats.median(values) <= high
    assert (low, high) == stats.median_interval(values)
