import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qa_tradeoffs.metrics.intervals import (
    Floats,
    Interval,
    bootstrap_mean,
    bootstrap_means,
    bootstrap_median,
    holm,
    paired_difference,
    resample_counts,
    swap_p_values,
    t_interval,
)

Scores = Callable[[np.random.Generator, int], Floats]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Bootstrap intervals


def test_clusters_are_drawn_whole() -> None:
    alike = np.repeat([[1.0], [2.0], [3.0]], 50, axis=1)
    # Three clusters of equal values are three values; as 150 independent ones they would seem to say much more.
    assert bootstrap_median(alike, generator()) == bootstrap_median([1, 2, 3], generator()) == Interval(1.0, 3.0)
    assert bootstrap_median(alike.ravel(), generator()) == Interval(2.0, 2.0)


@pytest.mark.parametrize("interval_of", [bootstrap_mean, bootstrap_median])
def test_constant_values_have_an_interval_of_no_width(interval_of: Callable[..., Interval]) -> None:
    assert interval_of([0.5] * 7, generator()) == Interval(0.5, 0.5)


def exact_matches(rng: np.random.Generator, n: int) -> Floats:
    """0 or 1 with mean 0.75, as EM is."""
    return (rng.random(n) < 0.75).astype(float)


def f1_scores(rng: np.random.Generator, n: int) -> Floats:
    """As F1 is: 15 % are 0, 60 % are 1, the others between with mean 2/3; so 0.6 + 0.25 × 2/3 in the mean."""
    kind = rng.random(n)
    return np.select([kind < 0.15, kind < 0.75], [0.0, 1.0], rng.beta(2, 1, n))


@pytest.mark.parametrize(("scores", "truth"), [(exact_matches, 0.75), (f1_scores, 0.6 + 0.25 * 2 / 3)])
def test_the_interval_of_a_mean_covers_it_as_often_as_its_level_says(scores: Scores, truth: float) -> None:
    rng = generator(1)
    intervals = [bootstrap_mean(scores(rng, 200), rng, resamples=500) for _ in range(1000)]
    coverage = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert 0.93 <= coverage <= 0.97


@pytest.mark.parametrize(("ours", "statistic"), [(bootstrap_mean, np.mean), (bootstrap_median, np.median)])
def test_intervals_agree_with_scipy(ours: Callable[..., Interval], statistic: Callable[..., Any]) -> None:
    values = generator(2).exponential(size=101)
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.bootstrap(
        (values,), statistic, n_resamples=20_000, method="percentile", rng=generator(3)
    ).confidence_interval
    tolerance = 0.03 * (theirs.high - theirs.low)
    assert ours(values, generator(4), resamples=20_000) == pytest.approx((theirs.low, theirs.high), abs=tolerance)


@pytest.mark.parametrize("interval_of", [bootstrap_mean, bootstrap_median])
def test_the_same_seed_gives_the_same_interval_and_another_seed_another(
    interval_of: Callable[..., Interval],
) -> None:
    values = generator(6).random(50)
    assert interval_of(values, generator(7)) == interval_of(values, generator(7))
    assert interval_of(values, generator(7)) != interval_of(values, generator(8))


def test_memory_does_not_grow_with_the_number_of_resamples() -> None:
    values = generator(9).random(20_000)  # 2,000 resamples at once would be 320 MB
    tracemalloc.start()
    bootstrap_mean(values, generator())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6


# A few independent values


def test_the_t_interval_by_hand_and_by_scipy() -> None:
    # Mean 80, deviation 10, t table at 2 degrees of freedom: 80 ± 4.3027 × 10 / √3.
    interval = t_interval([70, 80, 90])
    assert interval == pytest.approx((80 - 24.841, 80 + 24.841), abs=0.001)
    theirs = pytest.importorskip("scipy.stats").ttest_1samp([70, 80, 90], 0).confidence_interval()
    assert interval == pytest.approx((theirs.low, theirs.high))


# Paired differences


def test_the_difference_of_equal_scores_is_zero_with_p_value_one() -> None:
    scores = generator(10).random(20)
    assert paired_difference(scores, scores, generator()) == (0.0, 0.0, 0.0, 1.0)


def test_a_constant_difference_is_estimated_without_width() -> None:
    b = np.arange(30.0)
    # The p value is (1 + none) / (1 + 999): all 30 swapped alike has probability 2 / 2^30.
    assert paired_difference(b + 0.25, b, generator(), resamples=999) == (0.25, 0.25, 0.25, 0.001)


def test_the_p_value_of_three_wins_is_near_a_quarter() -> None:
    # Of the 8 ways to swap three pairs, two (none and all) are as extreme: p = 2/8.
    difference = paired_difference([1, 1, 1, 0], [0, 0, 0, 0], generator(), resamples=20_000)
    assert difference.p_value == pytest.approx(0.25, abs=0.01)


def test_the_p_value_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = generator(11)
    a, b = rng.random(40) + 0.08, rng.random(40)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=generator(12)
    ).pvalue
    assert 0.01 < theirs < 0.5
    assert paired_difference(a, b, generator(13), resamples=20_000).p_value == pytest.approx(theirs, abs=0.015)


@pytest.mark.parametrize(("scores", "n"), [(exact_matches, 1000), (f1_scores, 300)])
def test_models_without_a_difference_differ_significantly_as_often_as_the_level_says(scores: Scores, n: int) -> None:
    rng = generator(14)
    p_values = []
    for _ in range(1000):
        a, b = scores(rng, n), scores(rng, n)
        tied = rng.random(n) < 0.5  # both models give the same answer to about half of the questions
        p_values.append(paired_difference(a, np.where(tied, a, b), rng, resamples=99).p_value)
    assert 0.035 <= np.mean(np.array(p_values) <= 0.05) <= 0.065


# Several comparisons


def test_holm_by_hand() -> None:
    # Ascending: 0.01 · 4 = 0.04; 0.02 · 3 = 0.06; 0.03 · 2 = 0.06; 0.04 · 1 = 0.04, raised to the 0.06 before it.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])


def test_holm_leaves_a_single_p_value_alone_and_stops_at_one() -> None:
    np.testing.assert_array_equal(holm([0.2]), [0.2])
    np.testing.assert_array_equal(holm([0.6, 0.7]), [1.0, 1.0])


# Programming errors


@pytest.mark.parametrize("values", [[], [[[1.0]]], 1.0, [0.1, np.nan], [np.inf]])
@pytest.mark.parametrize("interval_of", [bootstrap_mean, bootstrap_median])
def test_intervals_refuse_values_that_are_not_a_list_of_finite_numbers(
    interval_of: Callable[..., Interval], values: Any
) -> None:
    with pytest.raises(ValueError, match=r"^values must be"):
        interval_of(values, generator())


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1.0], "^a must be an array of at least one value"),
        ([1.0], [np.nan], "^b must be finite, but has NaN or infinity at 0"),
        ([1.0, 2.0], [1.0], "^b must have as many values as a"),
    ],
)
def test_a_paired_difference_names_the_argument_that_is_wrong(a: Any, b: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b, generator())


# Many columns at once


def test_intervals_of_many_columns_agree_with_those_of_one() -> None:
    values = generator(20).random((80, 3))
    low, high = bootstrap_means(values, generator(21), resamples=20_000)
    for column in range(3):
        one = bootstrap_mean(values[:, column], generator(22), resamples=20_000)
        assert (low[column], high[column]) == pytest.approx(one, abs=0.003)


def test_every_resample_has_as_many_values_as_there_are() -> None:
    counts = np.concatenate(list(resample_counts(7, generator(), resamples=50)))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean() == 1


def test_swapping_three_wins_and_no_win_at_all() -> None:
    # Of the 8 ways to swap three pairs, two are as extreme; questions without a difference do not matter.
    differences = np.array([[1, 0], [1, 0], [1, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(swap_p_values(differences, generator(), resamples=20_000), [0.25, 1.0], atol=0.01)


def test_swapping_counts_the_observed_difference_as_one_draw() -> None:
    # All 30 swapped alike has probability 2 / 2^30: none of the 999 draws is as extreme, (1 + none) / (1 + 999).
    np.testing.assert_array_equal(swap_p_values(np.full((30, 1), 0.25), generator(), resamples=999), [0.001])
