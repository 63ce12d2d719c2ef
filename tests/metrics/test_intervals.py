"""Student's interval, Holm's correction and the draws of a bootstrap, by hand and against scipy."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from qa_tradeoffs.metrics.intervals import holm, resample_counts, t_interval


def test_the_t_interval_by_hand_and_by_scipy():
    # Mean 80, deviation 10, t table at 2 degrees of freedom: 80 ± 4.3027 × 10 / √3.
    interval = t_interval([70, 80, 90])
    assert interval == pytest.approx((80 - 24.841, 80 + 24.841), abs=0.001)
    theirs = stats.ttest_1samp([70, 80, 90], 0).confidence_interval()
    assert interval == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], [0.1, math.nan], [math.inf, 1.0]])
def test_the_t_interval_refuses_what_is_not_a_list_of_finite_numbers(values):
    with pytest.raises(ValueError, match="at least two finite numbers"):
        t_interval(values)


def test_holm_by_hand():
    # Ascending: 0.01 · 4 = 0.04; 0.02 · 3 = 0.06; 0.03 · 2 = 0.06; 0.04 · 1 = 0.04, raised to the 0.06 before it.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])


def test_holm_leaves_a_single_p_value_alone_and_stops_at_one():
    np.testing.assert_array_equal(holm([0.2]), [0.2])
    np.testing.assert_array_equal(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).size == 0


def test_every_resample_has_as_many_values_as_there_are():
    counts = np.concatenate(list(resample_counts(7, np.random.default_rng(0), resamples=50)))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_memory_does_not_grow_with_the_number_of_resamples():
    tracemalloc.start()
    for _ in resample_counts(20_000, np.random.default_rng(0), resamples=500):  # at once they would be 80 MB
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6
