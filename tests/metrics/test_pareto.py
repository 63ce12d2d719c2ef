"""Significance, dominance and the Pareto front, by hand."""

from itertools import combinations

import pytest

from qa_tradeoffs.metrics.pareto import Contest, Gap, pace
from qa_tradeoffs.metrics.timing import Ratio

AHEAD = Gap(2.0, 1.0, 3.0, 0.01)
NEAR = Gap(0.5, -1.0, 2.0, 0.4)
ALIKE = Gap(0.0, 0.0, 0.0, 1.0)


def about(ratio: float, p_value: float = 0.001) -> Ratio:
    """A ratio with an interval of ± 10 %."""
    return Ratio(ratio, 0.9 * ratio, 1.1 * ratio, p_value)


def contest(gaps: dict[str, Gap], seconds: list[float]) -> Contest:
    """Of models A, B, …; a gap has the name of its pair."""
    models = tuple("ABCDE"[: len(seconds)])
    times = dict(zip(models, seconds, strict=True))
    ratios = {(a, b): about(times[a] / times[b]) for a, b in combinations(models, 2)}
    return Contest(models, {(a, b): gap for (a, b), gap in gaps.items()}, ratios)


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (AHEAD, "better"),
        (AHEAD.reversed(), "worse"),
        (NEAR, "not significant"),
        (ALIKE, "equal"),
        (Gap(2, 0.1, 4, 0.049), "better"),
        (Gap(2, 0.1, 4, 0.05), "not significant"),  # the corrected p value decides
        (Gap(0, -1, 1, 1.0), "not significant"),  # no difference on average is not the same answers
    ],
)
def test_a_gap_is_significant_if_its_corrected_p_value_is(gap, verdict):
    assert gap.verdict == verdict


def test_a_reversed_gap_is_the_same_seen_from_the_other_model():
    assert AHEAD.reversed() == Gap(-2.0, -3.0, -1.0, 0.01)
    assert Gap(2, 1, 3, 0.01, "questions and training runs").reversed().over == "questions and training runs"
    assert contest({"BA": AHEAD}, [1, 1]).gap("A", "B") == AHEAD.reversed()  # a pair may be given in either order


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (about(0.9), "better"),  # up to 0.99
        (about(1.2), "worse"),  # from 1.08
        (about(0.92), "not significant"),  # up to 1.012
        (about(1.0), "not significant"),
        (about(0.5, p_value=0.05), "not significant"),  # the corrected p value decides too
    ],
)
def test_times_differ_significantly_if_interval_and_p_value_of_their_ratio_agree(ratio, verdict):
    assert pace(ratio) == verdict


def test_a_ratio_is_known_in_both_orders():
    assert contest({}, [1, 2]).ratio("A", "B").value == 0.5
    assert contest({}, [1, 2]).ratio("B", "A") == pytest.approx((2, 1 / 0.55, 1 / 0.45, 0.001))


@pytest.mark.parametrize(
    ("gaps", "seconds", "standings", "accurate", "fastest"),
    [
        ({"AB": AHEAD}, [2, 1], ["front", "front"], "A", "B"),
        ({"AB": AHEAD}, [1, 2], ["front", "dominated"], "A", "A"),
        ({"AB": AHEAD}, [1, 1], ["front", "unclear"], "A", "AB"),
        ({"AB": ALIKE}, [2, 1], ["dominated", "front"], "AB", "B"),
        ({"AB": NEAR}, [2, 1], ["unclear", "front"], "AB", "B"),
        ({"AB": NEAR}, [1, 1], ["unclear", "unclear"], "AB", "AB"),
        # A to B and B to C may be not significant while A to C is significant.
        ({"AB": NEAR, "BC": NEAR, "AC": AHEAD}, [3, 2, 1], ["unclear", "unclear", "front"], "AB", "C"),
        ({"AB": AHEAD, "BC": AHEAD, "AC": AHEAD}, [3, 2, 1], ["front"] * 3, "A", "C"),
        ({}, [1], ["front"], "A", "A"),
    ],
)
def test_the_front_the_most_accurate_and_the_fastest(gaps, seconds, standings, accurate, fastest):
    found = contest(gaps, seconds)
    assert [found.standing(model) for model in found.models] == standings
    assert (found.most_accurate(), found.fastest()) == (list(accurate), list(fastest))


@pytest.mark.parametrize(
    ("gap", "seconds", "model", "dominators", "rivals"),
    [
        (AHEAD, [1, 2], "B", ["A"], []),
        (ALIKE, [2, 1], "A", ["B"], []),
        (NEAR, [2, 1], "A", [], ["B"]),  # faster, and not significantly more accurate
        (AHEAD, [1, 1], "B", [], ["A"]),  # more accurate, and not significantly faster
        (AHEAD, [2, 1], "A", [], []),
        (AHEAD, [2, 1], "B", [], []),
        (NEAR, [1, 1], "A", [], []),
    ],
)
def test_dominance_and_advantages_in_one_respect(gap, seconds, model, dominators, rivals):
    found = contest({"AB": gap}, seconds)
    assert (found.dominators(model), found.rivals(model)) == (dominators, rivals)
