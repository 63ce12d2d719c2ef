"""Tables and charts of costs as a reader sees them."""

import datetime
import math

import pandas as pd
import pytest

from qa_tradeoffs.core.words import plain
from qa_tradeoffs.report import money
from tests.report.conftest import COLOURS, NAMES, scored

COSTS = pd.DataFrame(
    {"model": NAMES[:3], "f1": [80.0, 76.0, 78.0], "training_usd": [1.0, 2.0, math.nan], "million_usd": [200, 100, 100],
     "usd_per_point": [0.25, math.nan, -0.5], "smallest": False, "cheapest": 0.5, "dearest": 1.5,
     "question_usd": [0.0002, 0.0001, 0.0001], "question_low": 0.0001, "question_high": [0.0003, 0.0001, 0.0001]}
)  # fmt: skip


def test_costs_are_ranges_if_the_price_is_a_range():
    assert money.table(COSTS).cells.to_numpy().tolist() == [
        ["BERT", "80.0", "0.500 to 1.50", "100 to 300", "0.125 to 0.375"],
        ["DistilBERT", "76.0", "1.00 to 3.00", "50.0 to 150", "F1 not significantly higher"],
        ["SqueezeBERT (grouped)", "78.0", "not trained", "50.0 to 150", "costs less"],
    ]
    smallest = money.table(COSTS.assign(smallest=[False, True, False])).cells.iloc[:, -1]
    assert smallest.tolist() == ["0.125 to 0.375", "the smallest model", "costs less"]


def test_utilisation_has_a_column_each():
    rows = [(m, s, u / s, u / s) for m, u in (("BERT", 100), ("DistilBERT", 50)) for s in (1.0, 0.5, 0.1)]
    table = money.utilisation(pd.DataFrame(rows, columns=["model", "utilisation", "usd_low", "usd_high"])).cells
    assert table.columns.tolist() == ["model", *(f"{p} % busy, USD" for p in (100, 50, 10))]
    assert table.to_numpy().tolist() == [["BERT", "100", "200", "1,000"], ["DistilBERT", "50.0", "100", "500"]]


@pytest.mark.parametrize(
    ("low", "high", "cell"),
    [
        (0, 0, "at once: costs no more to train"),
        (math.inf, math.inf, "never"),
        (1234.6, 2561.0, "1,200 to 2,600"),
        (1234.6, 1240.0, "1,200"),
        (0, 1234.6, "0 to 1,200"),
        (1234.6, math.inf, "1,200 or more"),
        (math.nan, math.nan, "neither is significantly faster"),
    ],
)
def test_break_even_in_words(low, high, cell):
    even = pd.DataFrame({"cheaper to serve": ["A"], "than": ["B"], "questions_low": low, "questions_high": high})
    even = even.assign(all_questions_low=0.0, all_questions_high=500.0, taught=False)
    assert money.break_even(even).cells.iloc[0].to_dict() == {"cheaper to serve": "A", "than": "B", "questions": cell}
    taught = money.break_even(even.assign(taught=True)).cells
    assert taught.columns.tolist()[2:] == [
        "questions, if teachers exist anyway", "questions, training of teachers included"
    ]  # fmt: skip
    assert taught.iloc[0].tolist()[2:] == [cell, "0 to 500"]


DEVICE = {"name": "some processor", "threads": 1}


def test_the_price_has_its_source_and_a_warning_when_it_is_old(price_at):
    markup = money.price(price_at((1.5, 3.0)), DEVICE).markup
    assert all(part in markup for part in ("USD 1.5 to 3 an hour", "a GPU, Some Cloud", "(its price list)"))
    assert "measured on some processor, 1 thread." in markup
    assert "years old" not in markup
    assert "years old" in money.price(price_at(1, date=datetime.date(2021, 6, 1)), DEVICE).markup


@pytest.mark.parametrize(("usd", "shown", "unit"), [(0.002, 0.2, "US cents"), (2.0, 2.0, "USD")])
def test_a_chart_of_training_costs_has_its_unit_and_a_price_range_around_its_middle(usd, shown, unit):
    chart = money.training_chart(scored([80, 40], [usd, usd / 2], dearer=2))
    axes = chart.figure.axes[0]
    assert axes.get_xlabel() == f"one training ({unit})"
    assert axes.get_xlim() == pytest.approx((0, 1.15 * 2 * shown))
    assert axes.lines[0].get_xdata() == pytest.approx([1.5 * shown])
    assert chart.alt.endswith(f"BERT at USD {plain(usd)} and F1 80.0; DistilBERT at USD {plain(usd / 2)} and F1 40.0.")
    untrained = scored([80], [1.0]).assign(train_seconds=math.nan)
    assert money.training_chart(untrained).markup.startswith("<p>None: no model was trained")


def test_costs_in_all_begin_with_the_training_and_cross_at_break_even():
    chart = money.chart(COSTS, COLOURS)
    bert, distilbert, fine_tuned = (line.get_xydata() for line in chart.figure.axes[0].lines)
    assert bert[0].tolist() == pytest.approx([100, 1.02])
    assert fine_tuned[0].tolist() == pytest.approx([100, 0.01])  # nothing was paid for its training here
    assert bert[2].tolist() == distilbert[2].tolist() == pytest.approx([10_000, 3])
    assert "SqueezeBERT (grouped) starts at USD 0 and rises by USD 100 a million" in chart.alt
