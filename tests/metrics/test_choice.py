"""Which model beats which, by hand."""

import pytest

from qa_tradeoffs.metrics.choice import Contest, Gap, Time

AHEAD = Gap(2.0, 1.0, 3.0, 0.01)
UNCLEAR = Gap(0.5, -1.0, 2.0, 0.4)
ALIKE = Gap(0.0, 0.0, 0.0, 1.0)


def about(seconds: float) -> Time:
    """Known to a tenth."""
    return Time(seconds, 0.9 * seconds, 1.1 * seconds)


def contest(gaps: dict[str, Gap], seconds: list[float]) -> Contest:
    """Of models A, B, …; a gap has the name of its pair."""
    models = tuple("ABCDE"[: len(seconds)])
    times = {model: about(value) for model, value in zip(models, seconds, strict=True)}
    return Contest(models, {(a, b): gap for (a, b), gap in gaps.items()}, times)


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (AHEAD, "better"),
        (AHEAD.turned(), "worse"),
        (UNCLEAR, "unclear"),
        (ALIKE, "equal"),
        (Gap(2, 0.1, 4, 0.049), "better"),
        (Gap(2, 0.1, 4, 0.05), "unclear"),  # the corrected p value decides too
        (Gap(2, -0.1, 4, 0.01), "unclear"),
        (Gap(2, 0.0, 4, 0.01), "unclear"),
        (Gap(0, -1, 1, 1.0), "unclear"),  # no difference on average is not the same answers
        (Gap(2, 1, 3, 0.01, runs_overlap=True), "unclear"),
        (Gap(0, 0, 0, 1.0, runs_overlap=True), "equal"),
    ],
)
def test_a_gap_is_better_or_worse_only_where_interval_p_value_and_runs_agree(gap, verdict):
    assert gap.verdict == verdict


def test_a_gap_turned_is_the_same_seen_from_the_other_model():
    assert AHEAD.turned() == Gap(-2.0, -3.0, -1.0, 0.01)
    assert AHEAD.turned().turned() == AHEAD


def test_times_are_told_apart_only_where_their_intervals_are():
    assert about(1.0).against(about(1.3)) == "better"  # up to 1.10, from 1.17
    assert about(1.3).against(about(1.0)) == "worse"
    assert about(1.0).against(about(1.2)) == "unclear"  # up to 1.10, from 1.08
    assert about(1.0).against(about(1.0)) == "unclear"


def test_more_accurate_and_slower_leaves_both_on_the_front():
    found = contest({"AB": AHEAD}, [2, 1])
    assert [found.standing(model) for model in "AB"] == ["front", "front"]
    assert (found.most_accurate(), found.fastest()) == (["A"], ["B"])
    assert (found.accuracy("A", "B"), found.accuracy("B", "A")) == ("better", "worse")


def test_more_accurate_and_faster_dominates():
    found = contest({"AB": AHEAD}, [1, 2])
    assert (found.standing("A"), found.standing("B"), found.dominators("B")) == ("front", "dominated", ["A"])
    assert (found.most_accurate(), found.fastest(), found.rivals("B")) == (["A"], ["A"], [])


def test_the_same_answers_in_less_time_dominate():
    found = contest({"AB": ALIKE}, [2, 1])
    assert (found.standing("A"), found.dominators("A"), found.most_accurate()) == ("dominated", ["B"], ["A", "B"])


def test_a_faster_model_whose_accuracy_is_not_told_apart_is_a_rival_and_does_not_dominate():
    found = contest({"AB": UNCLEAR}, [2, 1])
    assert (found.standing("A"), found.dominators("A"), found.rivals("A")) == ("unclear", [], ["B"])
    assert (found.standing("B"), found.rivals("B")) == ("front", [])


def test_a_more_accurate_model_whose_time_is_not_told_apart_is_a_rival():
    found = contest({"AB": AHEAD}, [1, 1])
    assert (found.standing("B"), found.rivals("B"), found.standing("A")) == ("unclear", ["A"], "front")


def test_models_told_apart_in_nothing_may_all_be_on_the_front():
    found = contest({"AB": UNCLEAR}, [1, 1])
    assert [found.standing(model) for model in "AB"] == ["unclear", "unclear"]
    assert found.most_accurate() == found.fastest() == ["A", "B"]


def test_not_told_apart_is_not_passed_on_from_pair_to_pair():
    found = contest({"AB": UNCLEAR, "BC": UNCLEAR, "AC": AHEAD}, [3, 2, 1])
    assert (found.most_accurate(), found.fastest()) == (["A", "B"], ["C"])
    assert [found.standing(model) for model in "ABC"] == ["unclear", "unclear", "front"]
    assert (found.rivals("A"), found.rivals("B")) == (["B"], ["C"])


def test_the_middle_of_a_front_is_neither_most_accurate_nor_fastest():
    found = contest({"AB": AHEAD, "BC": AHEAD, "AC": AHEAD}, [3, 2, 1])
    assert [found.standing(model) for model in "ABC"] == ["front"] * 3
    assert (found.most_accurate(), found.fastest()) == (["A"], ["C"])


def test_a_pair_may_be_given_in_either_order():
    assert contest({"BA": AHEAD}, [1, 1]).gap("A", "B") == AHEAD.turned()


def test_one_model_is_the_front():
    found = contest({}, [1])
    assert (found.standing("A"), found.most_accurate(), found.fastest()) == ("front", ["A"], ["A"])
