"""The section on machines as a reader sees it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.analysis.capacity import Capacity
from qa_tradeoffs.report import capacity
from qa_tradeoffs.study.config import Traffic
from tests.report.conftest import COLOURS, NAMES

MET = pd.DataFrame(
    {"model": NAMES[:2], "engine": "torch",
     "f1": [80.0, 76.0], "alone": [0.2, 0.1], "utilisation": [0.5, 0.8], "rate": [2.5, 8.0],
     "rate_low": [2.0, 7.0], "rate_high": [3.0, 9.0], "machines": [8.0, 3.0], "machines_low": [7.0, 3.0],
     "machines_high": [10.0, 3.0], "month_usd_low": [400.0, 150.0],
     "month_usd_high": [800.0, 150.0], "verdict": ["more expensive", "cheapest"]}
)  # fmt: skip
NONE = {"rate": 0.0, "rate_low": 0.0, "rate_high": 0.0, "machines": math.inf, "verdict": "does not meet the limit"}


def of(machines: pd.DataFrame = MET, questions: int = 500, rates: Any = (1.0, 2.0)) -> Capacity:
    models, seconds = np.repeat(NAMES[:2], 2), [0.2, 0.4, 0.1, 0.3]
    loads = pd.DataFrame({"model": models, "of": models, "engine": "torch", "rate": [*rates, *rates], "p99": seconds})
    return Capacity(Traffic(questions_per_second=20, p99_ms=300), questions, machines, loads)


def test_the_answer_names_the_cheapest_and_says_that_it_is_simulated():
    assert capacity.answer(of()) == [
        "For 20 questions a second, 99 % answered within 300 ms, DistilBERT is the cheapest: 3 machines, USD "
        "150 a month, F1 76.0 (simulated).",
        "Up to 2.50 questions a second, one machine is enough for any of the models, at USD 50.0 to 100 a month: then "
        "choose by F1 and time.",
    ]


@pytest.mark.parametrize(
    ("n", "sentence"),
    [(1, " 1 other model needs as many machines and has no higher F1."), (2, " 2 other models need as many machines")],
)
def test_models_that_cost_as_much_as_the_cheapest_are_counted(n, sentence):
    others = pd.concat([MET.head(1)] * n).assign(verdict="as many machines, F1 not higher")
    first = capacity.answer(of(pd.concat([MET.tail(1), others], ignore_index=True)))[0]
    assert f"(simulated).{sentence}" in first


def test_fewer_than_500_questions_are_called_too_few_for_a_p99():
    assert len(capacity.answer(of(questions=500))) == 2
    assert "The service times are those of 499 questions, too few for a p99" in capacity.answer(of(questions=499))[2]


def test_if_no_model_meets_the_traffic_one_sentence_names_the_nearest():
    assert capacity.answer(of(MET.assign(**NONE))) == [
        "No model is fast enough for 20 questions a second, 99 % answered within 300 ms: even without waiting, the "
        "best p99 is 100 ms (DistilBERT)."
    ]


def test_a_model_that_has_not_learned_the_task_is_no_answer():
    (sentence,) = capacity.answer(of(MET.assign(verdict="has not learned the task")))
    assert sentence.startswith("No model that has learned the task is fast enough for 20 questions a second")


def test_the_table_has_ranges_if_the_interval_changes_the_number():
    rows = MET.assign(machines_high=[math.inf, 3.0])
    cells = capacity.table(of(rows)).cells
    assert cells["machines needed"].tolist() == ["8 machines (at least 7)", "3 machines"]
    assert cells["USD a month"].tolist() == ["400 to 800", "150"]
    assert cells["questions/s that one machine carries"].tolist() == ["2.50 (2.00 to 3.00)", "8.00 (7.00 to 9.00)"]
    none = capacity.table(of(MET.assign(**NONE))).cells
    assert (none["machines needed"].tolist(), none["USD a month"].tolist()) == (["no number suffices"] * 2, ["", ""])


@pytest.mark.parametrize(("rates", "scale"), [((1.0, 7.9), "linear"), ((1.0, 8.0), "log")])
def test_an_axis_is_logarithmic_from_eightfold_on(rates, scale):
    chart = capacity.chart(of(rates=rates), COLOURS)
    axes = chart.figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == (scale, "linear")
    bert, distilbert, limit = axes.lines
    assert bert.get_xydata().tolist() == [[1, pytest.approx(200)], [rates[1], pytest.approx(400)]]
    assert distilbert.get_ydata().tolist() == pytest.approx([100, 300])
    assert list(limit.get_ydata()) == [300, 300]
    assert "simulated" in axes.get_ylabel() and "simulated" in chart.alt


def test_without_traffic_the_section_says_what_the_study_would_name():
    assert "<code>traffic: {questions_per_second: 20, p99_ms: 300}</code>" in capacity.section(None, COLOURS).markup
    assert "DistilBERT is the cheapest" in capacity.section(of(), COLOURS).markup
