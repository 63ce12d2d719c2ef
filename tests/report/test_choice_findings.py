"""The first screen's sentences, whole: what each result says, and no more."""

from typing import Any

import pandas as pd
import pytest
from conftest import MODELS

from qa_tradeoffs.metrics.choice import Contest, Gap, Time
from qa_tradeoffs.report import choice_findings
from qa_tradeoffs.study import config

AHEAD = Gap(2.0, 1.0, 3.0, 0.01)
UNCLEAR = Gap(0.5, -1.0, 2.0, 0.4)
ALIKE = Gap(0.0, 0.0, 0.0, 1.0)
BASELINE = {"exact_match": 10.0, "f1": 20.0, "f1_high": 22.0}
ONCE = "Each model was trained once: another training run may rank them otherwise."
GENERATED = {"source": "generated", "train_passages": 1, "validation_passages": 1}


class Case:
    """Models A, B, … with their F1 and milliseconds, known to a tenth; a gap has the name of its pair."""

    def __init__(self, f1: list[float], ms: list[float], gaps: dict[str, Gap], **columns: Any) -> None:
        names = list("ABCDE"[: len(f1)])
        seconds = [value / 1000 for value in ms]
        times = {name: Time(value, 0.9 * value, 1.1 * value) for name, value in zip(names, seconds, strict=True)}
        self.contest = Contest(tuple(names), {(a, b): gap for (a, b), gap in gaps.items()}, times)
        table = {
            "model": names,
            "f1": f1,
            "f1_low": [value - 1 for value in f1],
            "f1_high": [value + 1 for value in f1],
            "question": seconds,
            "question_usd": [(value / 100, value / 100) for value in ms],
            "train_seconds": 60.0,
            "train_usd_low": 2.0,
            "train_usd_high": 2.0,
            "bytes": 2**20,
            "seeds": 1,
            "standing": [self.contest.standing(name) for name in names],
        }
        self.table = pd.DataFrame(table | columns)

    def answer(self, study: config.Study) -> list[str]:
        return choice_findings.answer(self.table, self.contest, study, BASELINE, 1000)

    def conditions(self) -> list[str]:
        return choice_findings.shown(self.table, self.contest)["choose it if …"].tolist()


@pytest.fixture
def study(study_of: Any) -> config.Study:
    found: config.Study = study_of()
    return found


def test_more_accurate_against_faster_is_a_choice(study):
    case = Case([80, 78], [200, 100], {"AB": AHEAD})
    assert case.answer(study) == [
        "A answers best: F1 80.0 (79.0–81.0) over 1,000 questions, shown to be ahead of B.",
        "B is the fastest, 100 ms a question against 200 ms of A (2.0 times as fast); it is 2.0 points of F1 behind A "
        "(95 % interval 1.0 to 3.0, corrected p = 0.01).",
        ONCE,
    ]
    assert case.conditions() == [
        "Accuracy matters most, and you can pay 200 ms a question and USD 2.00 a million.",
        "Time matters most: 100 ms a question and USD 1.00 a million. It gives up 2.0 points (1.0 to 3.0) against A.",
    ]


def test_a_tie_in_accuracy_is_not_called_a_lead_nor_the_same(study):
    case = Case([80.5, 80], [200, 100], {"AB": UNCLEAR})
    assert case.answer(study) == [
        "A has the highest F1, 80.5 (79.5–81.5) over 1,000 questions; its lead over B is not shown.",
        "B is the fastest, 100 ms a question against 200 ms of A (2.0 times as fast); no loss of F1 against A is shown "
        "(-0.5 points, 95 % interval -2.0 to +1.0, corrected p = 0.4).",
        ONCE,
    ]
    assert case.conditions() == [
        "Rather B: it is faster (100 ms against 200 ms), and no difference in F1 is shown (+0.5 points, 95 % interval "
        "-1.0 to +2.0).",
        "Accuracy or time matters: no other model is shown to be better in either.",
    ]


def test_a_model_that_is_faster_and_more_accurate_leaves_nothing_to_the_other(study):
    case = Case([80, 78], [100, 200], {"AB": AHEAD})
    assert case.answer(study) == [
        "A answers best: F1 80.0 (79.0–81.0) over 1,000 questions, shown to be ahead of B.",
        "A is also the fastest, 100 ms a question.",
        "B is less accurate and slower than A.",
        ONCE,
    ]
    assert case.conditions() == [
        "Accuracy or time matters: no other model is shown to be better in either.",
        "Never: A is more accurate (+2.0 points, 95 % interval 1.0 to 3.0) and is faster (100 ms against 200 ms).",
    ]


def test_what_speaks_for_a_model_that_is_behind_in_both_is_said():
    case = Case([80, 78], [100, 200], {"AB": AHEAD}, bytes=[2 * 2**20, 2**20], train_usd_low=[2.0, 1.0])
    assert case.conditions() == [
        "Accuracy or time matters: no other model is shown to be better in either.",
        "Only for weights of 1.0 MiB instead of 2.0 MiB and fine-tuning for USD 1.00 instead of 2.00: A is more "
        "accurate (+2.0 points, 95 % interval 1.0 to 3.0) and is faster (100 ms against 200 ms).",
    ]


def test_a_training_hardly_cheaper_and_weights_hardly_smaller_speak_for_nothing():
    case = Case([80, 78], [100, 200], {"AB": AHEAD}, bytes=[1000, 995], train_usd_low=[2.0, 1.9])
    assert case.conditions()[1].startswith("Never: A ")


def test_a_model_that_came_fine_tuned_has_no_cost_of_training(study_of):
    columns = {"train_seconds": [60.0, None], "train_usd_low": [2.0, None], "train_usd_high": [2.0, None]}
    case = Case([80, 78], [100, 200], {"AB": AHEAD}, **columns)
    assert case.conditions()[1].startswith("Only for fine-tuning for USD 0 instead of 2.00: A is more accurate")
    shown = choice_findings.shown(case.table, case.contest)
    assert shown["fine-tuning, USD"].tolist() == ["2.00", "not trained"]


def test_models_that_all_came_fine_tuned_were_not_trained_once(study_of):
    came = {"train_seconds": None, "train_usd_low": None, "train_usd_high": None}
    assert ONCE not in Case([80, 78], [200, 100], {"AB": AHEAD}, **came).answer(study_of())


def test_the_same_answers_are_called_so(study):
    case = Case([80, 80], [200, 100], {"AB": ALIKE})
    assert case.answer(study) == [
        "B and A, which score alike on every question, answer best: F1 80.0 (79.0–81.0) over 1,000 questions.",
        "B is also the fastest, 100 ms a question.",
        "A answers alike, but is slower than B.",
        ONCE,
    ]
    assert case.conditions()[0] == "Never: B scores alike on every question and is faster (100 ms against 200 ms)."


def test_models_told_apart_in_nothing_are_left_to_other_reasons(study):
    case = Case([80.5, 80], [100, 110], {"AB": UNCLEAR}, bytes=[2**21, 2**20])
    assert case.answer(study) == [
        "A has the highest F1, 80.5 (79.5–81.5) over 1,000 questions; its lead over B is not shown.",
        "A also took the least time, 100 ms a question, but B may be as fast.",
        ONCE,
    ]
    assert case.conditions() == [
        "Accuracy or time matters: no other model is shown to be better in either. Neither F1 nor time tells it from "
        "B.",
        "Accuracy or time matters: no other model is shown to be better in either. Neither F1 nor time tells it from "
        "A. Memory is scarce: no other model has smaller weights.",
    ]


def test_a_time_that_is_not_told_apart_is_no_ground_for_the_less_accurate_one(study):
    case = Case([80, 78], [110, 100], {"AB": AHEAD})
    assert case.answer(study)[1] == (
        "B took the least time, 100 ms a question, but A may be as fast; it is 2.0 points of F1 behind A (95 % "
        "interval 1.0 to 3.0, corrected p = 0.01)."
    )
    assert case.conditions()[1] == (
        "Rather A: it is more accurate (+2.0 points, 95 % interval 1.0 to 3.0), and no difference in time is shown "
        "(110 ms against 100 ms)."
    )


def test_a_lead_over_the_third_does_not_make_a_lead_over_the_second(study):
    case = Case([80, 79, 78], [300, 200, 100], {"AB": UNCLEAR, "BC": UNCLEAR, "AC": AHEAD})
    assert case.answer(study) == [
        "A has the highest F1, 80.0 (79.0–81.0) over 1,000 questions; its lead over B is not shown, that over C is.",
        "C is the fastest, 100 ms a question against 300 ms of A (3.0 times as fast); it is 2.0 points of F1 behind A "
        "(95 % interval 1.0 to 3.0, corrected p = 0.01).",
        ONCE,
    ]
    rather = "and no difference in F1 is shown (+0.5 points, 95 % interval -1.0 to +2.0)."
    assert case.conditions() == [
        f"Rather B: it is faster (200 ms against 300 ms), {rather}",
        f"Rather C: it is faster (100 ms against 200 ms), {rather}",
        "Time matters most: 100 ms a question and USD 1.00 a million. It gives up 2.0 points (1.0 to 3.0) against A.",
    ]


def test_the_middle_of_a_front_is_a_compromise():
    case = Case([82, 80, 78], [300, 200, 100], {"AB": AHEAD, "BC": AHEAD, "AC": Gap(4, 3, 5, 0.01)})
    assert case.conditions()[1] == (
        "A takes too long and C is not accurate enough: +2.0 points, 95 % interval 1.0 to 3.0 over C, for 200 ms a "
        "question and USD 2.00 a million."
    )


def test_one_model_is_not_compared(study):
    case = Case([80], [100], {})
    assert case.answer(study) == [
        "A is the only model here: F1 80.0 (79.0–81.0) over 1,000 questions, 100 ms a question."
    ]
    assert case.conditions() == ["It is the only one in this study."]


SEVERAL = [
    "A answers best: F1 80.0 (79.0–81.0) over 1,000 questions, shown to be ahead of B.",
    "B is the fastest, 100 ms a question against 200 ms of A (2.0 times as fast); it is 2.0 points of F1 behind A "
    "(95 % interval 1.0 to 3.0, corrected p = 0.01).",
]


def test_enough_runs_that_lie_apart_need_no_reservation(study):
    assert Case([80, 78], [200, 100], {"AB": AHEAD}, seeds=4).answer(study) == SEVERAL


@pytest.mark.parametrize(("seeds", "one_in"), [(2, 3), (3, 10)])
def test_of_few_runs_it_is_said_how_often_they_lie_apart_by_chance(study, seeds, one_in):
    # Of three runs each there are 20 orders, in two of which all of one model come first.
    assert Case([80, 78], [200, 100], {"AB": AHEAD}, seeds=seeds).answer(study) == [
        *SEVERAL,
        f"Each model was trained {seeds} times: by chance alone, the runs of two models lie apart in one of {one_in} "
        "such studies.",
    ]


def test_runs_that_overlap_take_a_lead_back(study):
    case = Case([80, 78], [200, 100], {"AB": Gap(2.0, 1.0, 3.0, 0.01, runs_overlap=True)}, seeds=4)
    assert case.answer(study) == [
        "A has the highest F1, 80.0 (79.0–81.0) over 1,000 questions; its lead over B is not shown (training runs of A "
        "and B overlap).",
        "B is the fastest, 100 ms a question against 200 ms of A (2.0 times as fast); no loss of F1 against A is shown "
        "(-2.0 points, 95 % interval -3.0 to -1.0, but training runs overlap, corrected p = 0.01).",
    ]


def test_an_interval_away_from_zero_that_the_correction_takes_back_is_explained(study):
    case = Case([80, 78], [200, 100], {"AB": Gap(2.0, 0.5, 3.5, 0.2)})
    assert case.answer(study)[1] == (
        "B is the fastest, 100 ms a question against 200 ms of A (2.0 times as fast); no loss of F1 against A is shown "
        "(-2.0 points, 95 % interval -3.5 to -0.5, but p = 0.2 once corrected for all comparisons)."
    )


def test_a_demonstration_recommends_nothing_for_real_text(study_of):
    case = Case([80, 78], [200, 100], {"AB": AHEAD})
    built = {"a": {"label": "A", "architecture": "bert"}}
    assert case.answer(study_of(data=GENERATED, models=built))[-1] == (
        f"{ONCE} These are small networks trained from scratch on generated text: they show how the question is "
        "answered, not which model to take for real text."
    )
    assert "These are models on generated text" in case.answer(study_of(data=GENERATED, models=MODELS))[-1]


def test_models_no_better_than_what_needs_no_training_are_called_so(study):
    assert Case([40, 22.5], [200, 100], {"AB": AHEAD}).answer(study)[-1] == (
        f"Lexical overlap without any training reaches 20.0, and B is not shown to do better than that. {ONCE}"
    )


def test_the_caption_says_how_the_front_was_decided_and_names_only_what_is_drawn():
    front = Case([80, 78], [200, 100], {"AB": AHEAD})
    said = choice_findings.chart_caption(front.table)
    assert said.endswith("or in time (intervals apart); the grey line joins them.")
    tied = choice_findings.chart_caption(Case([80, 80], [100, 100], {"AB": UNCLEAR}).table)
    assert tied.endswith(
        "no model is, so no line is drawn. Hollow: may be on it; the differences are too small to tell."
    )
    behind = choice_findings.chart_caption(Case([80, 78], [100, 200], {"AB": AHEAD}).table)
    assert behind.endswith("Cross: not on it; another model is shown to be as accurate and faster.")
    assert "front" not in choice_findings.chart_caption(Case([80], [100], {}).table)


def test_the_chart_is_described_with_values_and_standing():
    assert choice_findings.describe(Case([80, 78], [100, 200], {"AB": AHEAD}).table) == (
        "Scatter chart of F1 against the time of one question: A at 100 ms and F1 80.0, on the front; B at 200 ms and "
        "F1 78.0, behind the front."
    )


def test_the_table_has_the_numbers_beside_the_words(study):
    case = Case([80, 78], [200, 100], {"AB": AHEAD})
    row = choice_findings.shown(case.table, case.contest).iloc[0].to_dict()
    assert row.pop("choose it if …").startswith("Accuracy matters most")
    assert row == {
        "model": "A",
        "F1": "80.0 (79.0–81.0)",
        "one question": "200 ms",
        "a million, USD": "2.00",
        "fine-tuning, USD": "2.00",
        "weights": "1.0 MiB",
    }
    assert choice_findings.caption(study, 1).startswith(
        "Choose this model if …: for this study's data. F1 in points with 95 % intervals over 1 question; time"
    )
