"""Calibration by hand, against plain loops, and over all orderings of equally confident answers."""

from itertools import permutations

import numpy as np
import pytest

from qa_tradeoffs.metrics import calibration

FOUR = np.array([0.9, 0.8, 0.4, 0.3])
RIGHT = np.array([1.0, 0.0, 1.0, 0.0])
ONCE = np.ones((1, 4))


def area(confidence: np.ndarray, correct: np.ndarray) -> float:
    return float(calibration.area_under_risk_coverage(confidence, correct, np.ones((1, len(correct))))[0])


def naive_area(correct_by_rank: np.ndarray) -> float:
    return float(np.mean([np.mean(1 - correct_by_rank[:k]) for k in range(1, len(correct_by_rank) + 1)]))


def test_bins_of_equal_mass_split_a_question_if_needed():
    parts = calibration.bins(np.array([0.1, 0.2, 0.3]), [0, 0.5, 1])
    assert parts.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


def test_questions_of_equal_confidence_are_spread_over_the_bins_they_share():
    # Ranks 1 to 3 are equal: two thirds of them are in the lower half of four, one third in the upper.
    parts = calibration.bins(np.array([0.5, 0.1, 0.5, 0.5]), [0, 0.5, 1])
    np.testing.assert_allclose(parts, [[1 / 3, 2 / 3], [1, 0], [1 / 3, 2 / 3], [1 / 3, 2 / 3]])


def test_every_bin_has_its_share_and_every_question_is_in_bins_once():
    rng = np.random.default_rng(0)
    parts = calibration.bins(rng.integers(8, size=97) / 8, np.linspace(0, 1, 11))
    np.testing.assert_allclose(parts.sum(axis=0), 9.7)
    np.testing.assert_allclose(parts.sum(axis=1), 1)


def test_the_calibration_error_by_hand():
    # Lower half: accuracy ½, confidence 0.35. Upper half: accuracy ½, confidence 0.85. Mean of 0.15 and 0.35.
    parts = calibration.bins(FOUR, [0, 0.5, 1])
    assert calibration.calibration_error(parts, FOUR, RIGHT) == pytest.approx(0.25)
    means = calibration.mean_in(parts, FOUR, ONCE)
    np.testing.assert_allclose(means, [[0.35, 0.85]])


def test_a_calibrated_model_has_the_error_that_chance_gives_it():
    # One bin of 400 questions at 0.5: the mean of |N(0, 0.5 / √400)| is 0.025 × √(2/π).
    confidence = np.full(400, 0.5)
    parts = calibration.bins(confidence, [0, 1])
    errors = calibration.calibrated_error(parts, confidence, np.random.default_rng(2), 4000)
    assert errors.mean() == pytest.approx(0.025 * np.sqrt(2 / np.pi), rel=0.05)


def test_a_bin_that_a_resample_left_empty_has_no_mean():
    means = calibration.mean_in(calibration.bins(FOUR, [0, 0.5, 1]), RIGHT, np.array([[2.0, 2, 0, 0]]))
    np.testing.assert_array_equal(means, [[np.nan, 0.5]])


def test_accuracy_at_a_coverage_is_over_the_most_confident_of_each_resample():
    # Most confident half: 0.9 right, 0.8 wrong; with 0.8 and 0.3 drawn twice, both 0.8, wrong. Of three quarters 1/3.
    counts = np.array([[1.0, 1, 1, 1], [0, 2, 0, 2], [2, 1, 0, 1]])
    found = calibration.accuracy_at(np.array([0.5, 0.75, 1.0]), FOUR, RIGHT, counts)
    np.testing.assert_allclose(found, [[1 / 2, 2 / 3, 1 / 2], [0, 0, 0], [1, 2 / 3, 1 / 2]])
    alike = calibration.accuracy_at(np.array([0.5]), np.full(4, 0.7), np.array([1.0, 1, 1, 0]), ONCE)
    np.testing.assert_allclose(alike, [[3 / 4]])  # no order among equals


def test_the_area_under_risk_and_coverage_by_hand():
    # Risks of the 1, 2, 3, 4 most confident: 0, 1/2, 1/3, 2/4.
    assert area(FOUR, RIGHT) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_the_area_is_the_mean_risk_of_a_plain_loop():
    rng = np.random.default_rng(3)
    confidence, correct = rng.random(60), (rng.random(60) < 0.6).astype(float)
    assert area(confidence, correct) == pytest.approx(naive_area(correct[np.argsort(-confidence)]))


def test_equal_confidence_gives_the_mean_area_over_all_orderings():
    confidence, correct = np.array([0.9, 0.5, 0.5, 0.5, 0.1]), np.array([1.0, 0, 1, 1, 0])
    orders = [(0, *middle, 4) for middle in permutations((1, 2, 3))]
    assert area(confidence, correct) == pytest.approx(np.mean([naive_area(correct[list(order)]) for order in orders]))


@pytest.mark.parametrize("levels", [1000, 4])
def test_a_resample_has_the_area_of_its_questions_listed_one_by_one(levels):
    rng = np.random.default_rng(4)
    confidence = rng.integers(levels, size=30) / levels
    correct = (rng.random(30) < 0.6).astype(float)
    drawn = rng.integers(30, size=(5, 37))  # a resample of whole clusters may have more questions than there are
    counts = np.stack([np.bincount(row, minlength=30) for row in drawn]).astype(float)
    areas = calibration.area_under_risk_coverage(confidence, correct, counts)
    np.testing.assert_allclose(areas, [area(confidence[row], correct[row]) for row in drawn])
