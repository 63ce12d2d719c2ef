"""Times and ratios of times from passes: by hand, against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from qa_tradeoffs.metrics.timing import ratio, ratios, supports_percentile, typical


def test_the_time_of_passes_by_hand():
    # The logarithms to base 2 are 0, 1, 2: mean 1, standard deviation 1, and t with 2 degrees of freedom is 4.3027.
    half = 4.302653 / math.sqrt(3)
    assert typical([1, 2, 4]) == pytest.approx((2, 2 ** (1 - half), 2 ** (1 + half)))


def test_the_ratio_of_passes_agrees_with_the_paired_t_test_of_scipy():
    a, b = [1.0, 1.2, 1.1, 1.3], [1.1, 1.2, 1.3, 1.35]
    expected = stats.ttest_rel(np.log(a), np.log(b))
    interval = expected.confidence_interval()
    found = ratio(a, b)
    assert found.value == pytest.approx(np.exp(np.mean(np.log(a) - np.log(b))))
    assert found[1:] == pytest.approx((math.exp(interval.low), math.exp(interval.high), expected.pvalue))


def test_what_slows_a_whole_pass_cancels_in_the_ratio():
    a, slowed = np.array([1.0, 1.1, 1.2]), np.array([1, 20, 3])
    assert ratio(a * slowed, 2 * a * slowed) == pytest.approx((0.5, 0.5, 0.5, 0))
    assert ratio(a, a) == (1, 1, 1, 1)


def test_the_p_values_of_all_pairs_are_corrected_after_holm():
    rng = np.random.default_rng(0)
    passes = {name: rng.lognormal(shift, 0.1, 5) for name, shift in (("a", 0), ("b", 0.1), ("c", 0.5))}
    p = {(x, y): ratio(passes[x], passes[y]).p_value for x, y in (("a", "b"), ("a", "c"), ("b", "c"))}
    found = ratios(passes)
    assert list(found) == list(p)
    smallest = min(p, key=lambda pair: p[pair])
    assert found[smallest].p_value == pytest.approx(3 * p[smallest])
    assert found[smallest][:3] == ratio(passes[smallest[0]], passes[smallest[1]])[:3]
    assert ratios({"alone": [1, 2]}) == {}


@pytest.mark.parametrize(("percentile", "fewest"), [(50, 10), (90, 50), (95, 100), (99, 500)])
def test_a_percentile_needs_five_answers_beyond_it(percentile, fewest):
    assert supports_percentile(percentile, fewest) and not supports_percentile(percentile, fewest - 1)


@pytest.mark.parametrize("passes", [[1.0], [1.0, 0.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_what_is_no_time_of_passes_is_refused(passes):
    with pytest.raises(ValueError, match="positive seconds of at least 2 passes"):
        typical(passes)


def test_a_ratio_needs_the_same_passes():
    with pytest.raises(ValueError, match="3 instead of 2"):
        ratio([1, 2], [1, 2, 3])
