"""What notebook 2 shows: scores between two others, confidence by right and wrong, and answers in its order."""

import re

import numpy as np
import pandas as pd

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.report import plots_evaluate

SCORES = {"exact_match": 60.0, "f1": 70.0, "baseline_exact_match": 10.0, "baseline_f1": 20.0}
CEILINGS = {"ceiling_exact_match": 98.0, "ceiling_f1": 99.0}


def records() -> list[Record]:
    scores = [
        Record.of(name, value, "points", 9, interval=Interval(low=value - 5, high=value + 5, over="questions"))
        for name, value in SCORES.items()
    ]
    return scores + [Record.of(name, value, "points", 9) for name, value in CEILINGS.items()]


def test_the_model_stands_between_lexical_overlap_and_a_perfect_model():
    shown = plots_evaluate.scores(records())
    for axes, title, values in zip(shown.figure.axes, ("EM", "F1"), ((10, 60, 98), (20, 70, 99)), strict=True):
        assert axes.get_title() == title
        points = [tuple(container[0].get_xydata()[0]) for container in axes.containers]
        assert points == list(zip(values, range(3), strict=True))
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["lexical overlap", "this model", "a perfect model"]
    assert "EM of this model 60.0 (55.0–65.0)" in shown.alt
    assert "F1 of a perfect model 99.0" in shown.alt


def scored(**columns: object) -> pd.DataFrame:
    frame = {
        "prediction": ["a", "b", "c", "d"], "exact_match": [1.0, 0.0, 1.0, 0.0], "probability": [0.95, 0.92, 0.5, 0.05],
        "no_answer_score": [-9.0] * 4,
    }  # fmt: skip
    return pd.DataFrame(frame | columns)


def test_right_and_wrong_answers_are_counted_by_confidence():
    shown = plots_evaluate.confidence(scored())
    right, wrong = shown.figure.axes[0].containers
    assert [bar.get_height() for bar in right] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert [bar.get_height() for bar in wrong] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert [bar.get_y() for bar in wrong][-1] == 1  # on top of the right ones
    assert all(bar.get_hatch() for bar in wrong)
    assert "right 2, at 72 % on average" in shown.alt
    assert "1 wrong answer at 90 % or more" in shown.alt


def test_answers_that_are_all_right_are_no_error():
    assert "right 4" in plots_evaluate.confidence(scored(exact_match=1.0)).alt


def test_the_least_and_the_most_confident_answers_come_in_their_order():
    answers = [((), ()), *[(("a",), (0,))] * 3]
    examples = [Example(f"q{i}", "", "a b c d", f"Where {i}?", *of) for i, of in enumerate(answers)]
    frame = scored(prediction=["", "b", "c", "d"], probability=np.array([0.2, 0.92, 0.5, 0.05]))
    frame.loc[0, "no_answer_score"] = 1.0  # 'no answer' is e times as probable as the span: 54 %
    least, most = (
        [re.findall(r">([^<>]+)</t[dh]>", row) for row in show(frame, examples, 3).markup.split("<tr>")[2:]]
        for show in (plots_evaluate.least_sure, plots_evaluate.most_sure)
    )
    assert least == [
        ["Where 3?", "d", "a", "no", "5 %"], ["Where 2?", "c", "a", "yes", "50 %"],
        ["Where 0?", "(no answer)", "(no answer)", "yes", "54 %"],
    ]  # fmt: skip
    assert [question for question, *_ in most] == ["Where 1?", "Where 0?", "Where 2?"]


def test_questions_are_no_markup():
    example = Example("q", "", "a", "<b>bold</b>", ("<i>",), (0,))
    shown = plots_evaluate.least_sure(scored()[:1], [example])
    assert "&lt;b&gt;bold" in shown.markup
    assert "<i>" not in shown.markup
