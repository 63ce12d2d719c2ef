"""Five questions with all thresholds worked out by hand, and agreement with the official script's rules."""

import numpy as np
import pytest

from qa_tradeoffs.metrics import no_answer, squad

# Three answerable questions: right, half right and wrong; two unanswerable ones. The last two share a no-answer score.
HAS_ANSWER = np.array([True, False, True, True, False])
EXACT = np.array([1.0, 0, 0, 0, 0])
F1 = np.array([1, 0, 0.5, 0, 0])
SCORES = np.array([-2.0, -1, 0, 1, 1])


def test_every_threshold_has_the_figures_worked_out_by_hand():
    shuffled = [3, 0, 4, 2, 1]
    curve = no_answer.curve(*(column[shuffled] for column in (EXACT, F1, SCORES, HAS_ANSWER)))
    # Answered in turn: none; the right one; an unanswerable one; the half right one; the two that share a score.
    assert curve.thresholds[1:].tolist() == [-2, -1, 0, 1]
    assert curve.thresholds[0] < -2
    assert curve.answered.tolist() == [0, 20, 40, 60, 100]
    assert curve.f1 == pytest.approx([100 * right / 5 for right in (2, 1 + 2, 1 + 1, 1.5 + 1, 1.5)])
    assert curve.has_f1 == pytest.approx([0, 100 / 3, 100 / 3, 50, 50])
    assert curve.has_exact_match == pytest.approx([0, 100 / 3, 100 / 3, 100 / 3, 100 / 3])
    assert curve.no_f1.tolist() == [100, 100, 50, 50, 0]


@pytest.mark.parametrize(("threshold", "point"), [(-9, 0), (-2.1, 0), (-2, 1), (-1.5, 1), (0.5, 3), (1, 4), (9, 4)])
def test_a_threshold_between_two_scores_gives_what_the_lower_one_gives(threshold, point):
    assert no_answer.curve(EXACT, F1, SCORES, HAS_ANSWER).at(threshold) == point


@pytest.mark.parametrize("f1", [F1, np.array([1, 0, 1, 0, 0])])  # the second: 3 of 5 with threshold -2 and with 0
def test_the_lowest_of_equally_good_thresholds_is_the_best(f1):
    assert squad.best_threshold(f1, SCORES, HAS_ANSWER) == (60.0, -2.0)
    assert no_answer.curve(EXACT, f1, SCORES, HAS_ANSWER).best == 1


def test_a_question_without_any_span_does_not_make_the_threshold_infinite():
    f1, has_answer = np.append(F1, [0, 0]), np.append(HAS_ANSWER, [True, False])
    scores = np.append(SCORES, [np.inf, np.inf])
    assert squad.best_threshold(f1, scores, has_answer)[1] == -2
    assert no_answer.curve(np.append(EXACT, [0, 0]), f1, scores, has_answer).thresholds[-1] == np.inf


def test_without_unanswerable_questions_their_figures_are_nan():
    curve = no_answer.curve(EXACT, F1, SCORES, np.ones(5, dtype=bool))
    assert np.isnan(curve.no_f1).all()
    assert curve.has_f1[-1] == curve.f1[-1] == pytest.approx(30)


def test_the_curve_agrees_with_the_official_rules_at_every_threshold():
    rng = np.random.default_rng(0)
    words = np.array(["a cat", "the", "big cat", "dog", "black dog"])  # "the" normalises to nothing
    n = 60
    references = {f"q{i}": [str(rng.choice(words[2:]))] if rng.random() < 0.6 else [] for i in range(n)}
    spans = squad.score_questions({i: str(rng.choice(words)) for i in references}, references, v2=True)
    scores = rng.integers(-8, 8, n) / 2.0  # with many ties
    curve = no_answer.curve(spans.exact_match, spans.f1, scores, spans.has_answer)
    for threshold in [-99, *np.arange(-4.25, 4.25, 0.25)]:
        official = squad.aggregate_v2(squad.apply_threshold(spans, scores, threshold))
        at = curve.at(threshold)
        assert curve.f1[at] == pytest.approx(official["f1"])
        assert curve.has_f1[at] == pytest.approx(official["HasAns_f1"])
        assert curve.has_exact_match[at] == pytest.approx(official["HasAns_exact"])
        assert curve.no_f1[at] == pytest.approx(official["NoAns_f1"])
        assert curve.answered[at] == pytest.approx(100 * np.mean(scores <= threshold))
    best, threshold = squad.best_threshold(spans.f1, scores, spans.has_answer)
    assert (curve.f1[curve.best], curve.thresholds[curve.best]) == (pytest.approx(best), threshold)
