"""The first screen: which models it names in which role, with which figures."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.metrics.pareto import Contest, Gap
from qa_tradeoffs.metrics.timing import Ratio
from qa_tradeoffs.report import choice

RUNS = "questions and training runs"
AHEAD = Gap(2.0, 1.0, 3.0, 0.01, RUNS)
NEAR = Gap(0.5, -1.0, 2.0, 0.4, RUNS)
ALIKE = Gap(0.0, 0.0, 0.0, 1.0)
BASELINE = {"exact_match": 10.0, "f1": 20.0, "f1_high": 22.0}


class Case:
    """Models A, B, … with their F1 and milliseconds, ratios known to a tenth; a gap has the name of its pair."""

    def __init__(self, f1: list[float], ms: list[float], gaps: dict[str, Gap], **columns: Any) -> None:
        names = list("ABCDE"[: len(f1)])
        seconds = [value / 1000 for value in ms]
        times = dict(zip(names, seconds, strict=True))
        values = {(a, b): times[a] / times[b] for a, b in combinations(names, 2)}
        ratios = {pair: Ratio(value, 0.9 * value, 1.1 * value, 0.001) for pair, value in values.items()}
        self.contest = Contest(tuple(names), {(a, b): gap for (a, b), gap in gaps.items()}, ratios)
        table = {
            "model": names,
            "of": names,
            "f1": f1,
            "f1_low": [value - 1 for value in f1],
            "f1_high": [value + 1 for value in f1],
            "question": seconds,
            "question_low": [0.9 * value for value in seconds],
            "question_high": [1.1 * value for value in seconds],
            "contended": 0,
            "million_usd": [(value / 100, value / 100) for value in ms],
            "train_seconds": 60.0,
            "train_usd_low": 2.0,
            "train_usd_high": 2.0,
            "bytes": 2**20,
            "seeds": 4,
            "learned": [value - 1 > BASELINE["f1_high"] for value in f1],
            "standing": [self.contest.standing(name) for name in names],
        }
        self.table = pd.DataFrame(table | columns)
        self.contest = replace(self.contest, models=tuple(self.table["model"][self.table["learned"]]))

    def answer(self) -> list[str]:
        return choice.answer(self.table, self.contest, BASELINE, 1000)

    def cells(self) -> pd.DataFrame:
        return choice.table(self.table, self.contest, 1000).cells

    def conditions(self) -> list[str]:
        """Of A, B, …"""
        return self.cells().sort_values("model")["when to choose it"].tolist()


def test_the_answer_in_full():
    """The wording of one whole answer; the other tests are of names and figures."""
    once = replace(AHEAD, over="questions")
    case = Case([80, 78, 76], [200, 100, 150], {"AB": once, "AC": once, "BC": once}, seeds=1)
    assert case.answer() == [
        "A has the highest F1, 80.0 (79.0–81.0) over 1,000 questions: it is significantly more accurate (over "
        "questions) than B and C.",
        "B takes the least time, 100 ms a question: it is 2.00 times as fast as A (1.80 to 2.20); compared with A, its "
        "F1 is significantly lower (over questions), -2.0 points (-3.0 to -1.0).",
        "1 of 3 models is dominated (C): another one is significantly faster and has a significantly higher F1, or "
        "the same on every question.",
    ]
    assert case.conditions() == [
        "Choose it for accuracy: it is significantly more accurate (over questions) than B and C.",
        "Choose it for time: it is significantly more accurate (over questions) than C, and significantly faster than "
        "A and C.",
        "Dominated by B: its F1 is significantly higher (over questions), and it is significantly faster.",
    ]
    assert case.cells()["model"].tolist() == ["A", "B", "C"]
    assert Case([76, 80], [200, 100], {"AB": AHEAD.reversed()}).cells()["model"].tolist() == ["B", "A"]


@pytest.mark.parametrize(
    ("f1", "ms", "gaps", "named"),
    [
        ([80.5, 80, 79], [200, 100, 50], {"AB": NEAR, "AC": AHEAD, "BC": AHEAD}, None),  # C is faster than B
        ([80.5, 80, 79], [200, 100, 95], {"AB": NEAR, "AC": AHEAD, "BC": AHEAD}, "B is good in both accuracy and time"),
        ([80, 78], [105, 100], {"AB": AHEAD}, "A is good in both accuracy and time"),
        ([80, 78], [100, 200], {"AB": AHEAD}, None),  # A is named already, as the best and the fastest
    ],
)
def test_a_model_that_none_beats_in_accuracy_or_time_is_named(f1, ms, gaps, named):
    found = [sentence.partition(":")[0] for sentence in Case(f1, ms, gaps).answer() if "good in both" in sentence]
    assert found == ([] if named is None else [named])


@pytest.mark.parametrize("learned", range(6))
def test_an_answer_never_has_more_than_three_sentences(learned):
    f1 = [90.0 - i if i < learned else 10.0 for i in range(5)]
    gaps = {f"{a}{b}": AHEAD for a, b in combinations("ABCDE", 2)}
    assert 1 <= len(Case(f1, [500, 400, 300, 200, 100], gaps).answer()) <= 3


@pytest.mark.parametrize(
    ("gap", "verdict", "figures"),
    [
        (NEAR, "indistinguishable in F1 from B.", "not significantly different, -0.5 points (-2.0 to +1.0)."),
        (ALIKE, "indistinguishable in F1 from A.", ""),
        (
            Gap(2.0, 0.5, 3.5, 0.2),
            "indistinguishable in F1 from B.",
            "not significantly different after correction for all pairs, -2.0 points (-3.5 to -0.5).",
        ),
    ],
)
def test_a_lead_that_is_not_significant_is_named_so_with_its_interval(gap, verdict, figures):
    best, fastest, *_ = Case([80, 80 - gap.estimate], [200, 100], {"AB": gap}).answer()
    assert best.endswith(verdict)
    assert fastest.startswith("B ") and "100 ms a question" in fastest and figures in fastest


def test_a_lead_over_the_third_is_not_a_lead_over_the_second():
    best = Case([80, 79, 78], [300, 200, 100], {"AB": NEAR, "BC": NEAR, "AC": AHEAD}).answer()[0]
    assert best.endswith("significantly more accurate than C, and statistically indistinguishable in F1 from B.")


def test_a_time_that_is_not_significantly_less_has_no_ratio():
    fastest = Case([80, 78], [105, 100], {"AB": AHEAD}).answer()[1]
    assert "not significantly faster than A" in fastest and "times as fast" not in fastest


@pytest.mark.parametrize(
    ("f1", "ms", "gaps", "leads"),
    [
        ([80, 78], [200, 100], {"AB": AHEAD}, ["Choose it for accuracy:", "Choose it for time:"]),
        ([80, 78], [100, 200], {"AB": AHEAD}, ["Choose it for accuracy or time:", "Dominated by A"]),
        ([80.5, 80], [200, 100], {"AB": NEAR}, ["Prefer B", "Choose it for accuracy or time:"]),
        ([80.5, 80], [100, 105], {"AB": NEAR}, ["Choose it for accuracy or time:"] * 2),
        ([80, 78], [105, 100], {"AB": AHEAD}, ["Choose it for accuracy or time:", "Prefer A"]),
        ([80, 80], [200, 100], {"AB": ALIKE}, ["Dominated by B", "Choose it for accuracy or time:"]),
        (
            [80, 79, 78], [300, 200, 100], {"AB": NEAR, "BC": NEAR, "AC": AHEAD},
            ["Prefer B", "Prefer C", "Choose it for time:"],
        ),
        (
            [82, 80, 78], [300, 200, 100], {"AB": AHEAD, "BC": AHEAD, "AC": Gap(4, 3, 5, 0.01, RUNS)},
            ["Choose it for accuracy:", "Choose it for a compromise", "Choose it for time:"],
        ),
        ([80], [100], {}, ["It is the only model"]),
    ],
)  # fmt: skip
def test_when_to_choose_which_follows_from_what_is_significant(f1, ms, gaps, leads):
    case = Case(f1, ms, gaps)
    conditions = case.conditions()
    assert all(text.startswith(lead) for text, lead in zip(conditions, leads, strict=True)), conditions


@pytest.mark.parametrize(
    ("columns", "reasons"),
    [
        ({"bytes": [2**21, 2**20], "train_usd_low": [2.0, 1.0]}, "only for smaller weights and cheaper training."),
        ({"train_usd_low": [2.0, None]}, "only for cheaper training."),  # it came fine-tuned
        ({"bytes": [1000, 995], "train_usd_low": [2.0, 1.9]}, "it is significantly faster."),  # within the error
    ],
)
def test_the_remaining_advantages_of_a_dominated_model_are_named(columns, reasons):
    assert Case([80, 78], [100, 200], {"AB": AHEAD}, **columns).conditions()[1].endswith(reasons)


@pytest.mark.parametrize(
    ("columns", "limit"),
    [
        ({"seeds": 1}, "Each model was trained once"),
        ({"seeds": [1, 3]}, "A was trained once"),
        ({"seeds": 2}, None),
        ({"seeds": 1, "train_seconds": None}, None),  # all came fine-tuned
    ],
)
def test_one_training_run_limits_the_answer(columns, limit):
    limits = choice.limits(Case([80, 78], [200, 100], {"AB": AHEAD}, **columns).table)
    assert len(limits) == (limit is not None)
    assert limit is None or limit in limits[0]


def test_a_model_no_better_than_lexical_overlap_is_recommended_to_nobody():
    case = Case([40, 22.5, 9], [200, 100, 50], {"AB": AHEAD, "AC": AHEAD, "BC": AHEAD}, train_usd_low=[2, 2, None])
    only, below = case.answer()
    assert only.startswith("A is the only model to choose: F1 40.0")
    assert below.startswith(
        "B (F1 22.5) and C (F1 9.0) have not learned the task yet and are not recommended: they are "
    )
    assert "not significantly above F1 20.0, which lexical overlap reaches" in below
    assert "more updates (`training.epochs`, or more questions) or another `training.learning_rate`." in below
    assert [text.partition(":")[0] for text in case.conditions()] == [
        "It is the only model to choose.", "For nothing yet", "For nothing yet",
    ]  # fmt: skip
    assert len(Case([40, 24], [200, 100], {"AB": AHEAD}).answer()) == 2


def test_if_no_model_has_learned_the_task_none_is_recommended():
    case = Case([20, 9], [200, 100], {"AB": AHEAD}, train_seconds=[60, None])
    (below,) = case.answer()
    assert below.startswith("A (F1 20.0) and B (F1 9.0) have not learned")
    assert below.endswith("; or a checkpoint that was fine-tuned on such questions.")
    assert case.conditions() == [case.conditions()[0]] * 2
    chart = choice.chart(case.table.assign(standing="not learned"))
    assert chart.alt.count("not learned") == 2 and "Triangle" in chart.caption


def test_one_model_has_its_figures_and_no_comparison():
    (alone,) = Case([80], [100], {}).answer()
    assert "F1 80.0 (79.0–81.0) over 1,000 questions, 100 ms a question" in alone


def test_the_chart_is_described_with_values_and_standing():
    chart = choice.chart(Case([80, 78], [100, 200], {"AB": AHEAD}).table)
    assert chart.alt.endswith(": A at 100 ms and F1 80.0, on the Pareto front; B at 200 ms and F1 78.0, dominated.")
    assert all(kind in chart.caption for kind in ("Filled", "grey line", "Cross"))
    assert "Hollow" not in chart.caption


def test_the_table_has_the_numbers_beside_the_condition():
    case = Case([80, 78], [200, 100], {"AB": AHEAD}, train_seconds=[60, None], train_usd_low=[2.0, None])
    first, second = case.cells().drop(columns="when to choose it").to_numpy().tolist()
    assert first == ["A", "80.0 (79.0–81.0)", "200 ms", "2.00", "2.00", "1.0 MiB"]
    assert second[4] == "not trained"


def test_times_of_a_busy_machine_are_marked():
    case = Case([80, 78], [200, 100], {"AB": AHEAD}, contended=[3, 0])
    assert case.cells()["one question"].tolist() == ["200 ms (contended)", "100 ms"]


@pytest.mark.parametrize(("models", "expected"), [("ABCD", "A, B, C and D"), ("ABCDE", "5 others")])
def test_more_models_than_a_sentence_holds_are_counted(models, expected):
    assert choice._some(list(models)) == expected
