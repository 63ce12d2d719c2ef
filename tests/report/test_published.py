"""Published figures as a reader sees them."""

import math

import numpy as np
import pandas as pd

from qa_tradeoffs.report import published
from tests.report.conftest import COLOURS, NAMES

COLUMNS = [
    "model", "f1", "usd", "usd_low", "usd_high", "relative", "p100", "k80", "p100_impossible", "k80_impossible",
    "corrected_low", "corrected_high",
]  # fmt: skip


def test_the_table_says_where_the_published_score_lies():
    columns = ["model", "f1", "f1_low", "f1_high", "published", "source", "verdict"]
    table = published.scores(pd.DataFrame([("BERT", 88.0, 87.4, 88.5, 88.13, "2021", "within")], columns=columns)).cells
    assert table.iloc[0].tolist() == ["BERT", "88.0 (87.4–88.5)", "88.13", "2021", "within the interval"]
    assert published.scores(pd.DataFrame(columns=columns)).markup == "<p>None: this study has no such model.</p>"


def test_every_published_time_is_shown_with_what_is_wrong_with_it():
    rows = [
        ("BERT", 88.13, 200, 100, 300, 1.0, 1.0, 1.0, False, False, 1.0, 1.0),
        ("DistilBERT", 85.31, 100, 50, 150, 0.5, 0.33, 0.34, True, False, 0.52, 0.55),
        ("SqueezeBERT", 85.57, 75, 75, 75, math.nan, 0.75, 0.79, False, False, 0.66, 0.96),
    ]
    assert published.table(pd.DataFrame(rows, columns=COLUMNS)).cells.to_numpy().tolist() == [
        ["BERT", "88.13", "1.00: too short", "1.00: too short", "1.00", "1.00", "100 to 300"],
        ["DistilBERT", "85.31", "0.33: impossible", "0.34: too short", "0.52 to 0.55", "0.50", "50.0 to 150"],
        ["SqueezeBERT", "85.57", "0.75: too short", "0.79: too short", "0.66 to 0.96", "BERT was not measured", "75.0"],
    ]


def test_ours_are_filled_and_published_ones_hollow_on_one_line():
    rows = [("BERT", 88.0, 87.4, 88.5, True, "here"), ("Pruned", 86.06, math.nan, math.nan, False, "a card")]
    points = pd.DataFrame(rows, columns=["name", "f1", "f1_low", "f1_high", "ours", "source"])
    chart = published.scores_chart(points, COLOURS)
    drawn = {
        line.get_xdata()[0]: line.get_markerfacecolor()
        for line in chart.figure.axes[0].lines
        if len(line.get_xdata()) == 1
    }
    assert drawn[86.06] == "white"
    assert drawn[88.0] == COLOURS["BERT"]
    assert chart.alt == "Dot chart of F1 here and as published: BERT 88.0 here; Pruned 86.1."
    assert published.sources(points).cells.to_numpy().tolist() == [["Pruned", "86.06", "a card"]]
    assert published.scores_chart(points[:0], COLOURS).markup.startswith("<p>None: this study was not scored")
    assert published.sources(points[:0]).markup.startswith("<p>None: ")


def test_a_chart_has_a_point_and_its_price_range_for_every_model():
    usd = np.array([100.0, 51.0])
    table = pd.DataFrame(
        {"model": NAMES[:2], "f1": [88.13, 85.57], "usd": usd, "usd_low": usd / 2, "usd_high": 1.5 * usd}
    )
    chart = published.chart(table, COLOURS)
    assert chart.figure.axes[0].get_xlim()[1] > 150
    assert chart.alt.endswith(": BERT at USD 100 and F1 88.13; DistilBERT at USD 51.0 and F1 85.57.")


def test_a_study_of_other_models_has_no_published_figures():
    table = pd.DataFrame(columns=COLUMNS)
    assert published.chart(table, {}).markup.startswith("<p>None: no model of this study was in the study of 2021")
    assert published.table(table).markup == published.chart(table, {}).markup
