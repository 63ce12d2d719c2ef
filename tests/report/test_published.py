"""Published figures as a reader sees them."""

import math

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.report import published
from tests.report.conftest import COLOURS, NAMES, check_labels, texts

COLUMNS = ["model", "f1", "usd", "usd_low", "usd_high", "relative", "p100", "k80"]


def test_scores_have_the_place_of_the_published_one():
    columns = ["model", "f1", "f1_low", "f1_high", "published", "source", "verdict"]
    table = published.scores_cells(pd.DataFrame([("BERT", 88.0, 87.4, 88.5, 88.13, "2021", "within")], columns=columns))
    assert table.iloc[0].tolist() == ["BERT", "88.0 (87.4–88.5)", "88.13", "2021", "within the interval"]
    assert published.scores_cells(pd.DataFrame(columns=columns)).empty


def test_the_text_of_the_chart_has_its_values():
    table = pd.DataFrame([("BERT", 88.1, 48.94, 48.94, 48.94, 1, 1, 1)], columns=COLUMNS)
    assert published.chart_text(table).endswith("BERT at USD 48.9 and F1 88.10.")


def test_times_over_bert_s_stand_beside_each_other():
    rows = [("DistilBERT", 85.31, 100, 50, 150, 0.5, 0.33, 0.34),
            ("rewritten", 85.57, 75, 75, 75, math.nan, math.nan, math.nan)]  # fmt: skip
    assert published.cells(pd.DataFrame(rows, columns=COLUMNS)).to_numpy().tolist() == [
        ["DistilBERT", "85.31", "0.33", "0.34", "0.50", "50.0 to 150"],
        ["rewritten", "85.57", "not there then", "not there then", "no BERT measured", "75.0"],
    ]


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("usd", [[100.0, 51.0, 50.0], [50.0, 50.0, 50.0], [0.0, 0.0, 0.0]])
def test_labels_neither_leave_the_axes_nor_collide(usd):
    cost = np.array(usd)
    table = pd.DataFrame(
        {"model": NAMES[:3], "f1": [88.13, 85.57, 85.57], "usd": cost, "usd_low": cost / 2, "usd_high": 1.5 * cost}
    )
    figure = published.draw(table, COLOURS)
    check_labels(figure, NAMES[:3])
    assert figure.axes[0].get_xlim()[1] > 1.5 * cost.max()


@pytest.mark.usefixtures("style")
def test_a_study_of_other_models_has_no_published_figures():
    table = pd.DataFrame(columns=COLUMNS)
    assert texts(published.draw(table, {})) == ["no model of this study has published figures"]
    assert published.chart_text(table).startswith("Empty chart")
    assert published.cells(table).empty
