"""Published figures as a reader sees them, and the audit's verdicts and numbers, which follow their file."""

import math

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.report import published
from qa_tradeoffs.study.published import load
from tests.report.conftest import COLOURS, NAMES

COLUMNS = ["model", "f1", "usd", "usd_low", "usd_high", "relative", "p100", "k80"]
PUBLISHED = load()
# figure → its verdict, and the numbers that its implication holds
VERDICTS = {
    "BERT's times, P100": ("possible in fp32", "7.7 to 8.9", "83 to 96 %"),
    "DistilBERT's times, P100": ("impossible in fp32", "11.3 to 13.6", "122 to 146 %"),
    "SqueezeBERT's times, P100": ("possible in fp32", "31 to 50 %"),
    "BERT's times, K80": ("possible in fp32", "42 to 48 %"),
    "DistilBERT's times, K80": ("possible in fp32", "61 to 73 %"),
    "SqueezeBERT's times, K80": ("possible in fp32", "17 to 22 %"),
    "BERT's time over DistilBERT's": ("more than the layers explain", "2.0", "24 to 26 %"),
    "DistilBERT faster than BERT": ("different measures and results", "2.9", "1.6"),
    "SqueezeBERT faster than BERT": ("not on these GPUs", "1.1 to 1.6", "2.6 to 3.2"),
    "Memory": ("part of it is the GPU's, not the model's", "520 to 524 MiB"),
    "Cost of fine-tuning": ("hours times one price", "1.547 to 1.550"),
    "Hours of fine-tuning": ("SqueezeBERT used the GPU badly", "1.8", "1.16 s", "0.65 s", "37 %", "11 %", "56 %"),
    "SqueezeBERT's lead in EM": ("not significant", "0.36 points", "0.58"),
}


def test_scores_have_the_place_of_the_published_one():
    columns = ["model", "f1", "f1_low", "f1_high", "published", "source", "verdict"]
    table = published.scores(pd.DataFrame([("BERT", 88.0, 87.4, 88.5, 88.13, "2021", "within")], columns=columns)).cells
    assert table.iloc[0].tolist() == ["BERT", "88.0 (87.4–88.5)", "88.13", "2021", "within the interval"]
    assert published.scores(pd.DataFrame(columns=columns)).cells.empty


def test_times_over_bert_s_stand_beside_each_other():
    rows = [("DistilBERT", 85.31, 100, 50, 150, 0.5, 0.33, 0.34),
            ("rewritten", 85.57, 75, 75, 75, math.nan, math.nan, math.nan)]  # fmt: skip
    assert published.table(pd.DataFrame(rows, columns=COLUMNS)).cells.to_numpy().tolist() == [
        ["DistilBERT", "85.31", "0.33", "0.34", "0.50", "50.0 to 150"],
        ["rewritten", "85.57", "not there then", "not there then", "no BERT measured", "75.0"],
    ]


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
    assert published.chart(table, {}).markup.startswith("<p>None: no model of this study has published figures")
    assert published.table(table).cells.empty


def test_every_figure_has_its_verdict_and_the_numbers_behind_it():
    findings = published.audit(PUBLISHED).cells.set_index("figure")
    assert findings["verdict"].to_dict() == {figure: verdict for figure, (verdict, *_) in VERDICTS.items()}
    for figure, (_, *numbers) in VERDICTS.items():
        assert all(number in findings["implies"][figure] for number in numbers), findings["implies"][figure]
    assert "original study, 2021" in set(findings["source"])


@pytest.mark.parametrize(
    ("key", "changes", "figure", "verdict"),
    [
        ("scores", {"questions": 105_700}, "SqueezeBERT's lead in EM", "significant"),
        ("distilbert_faster", {"percent": 37.5}, "DistilBERT faster than BERT", "different measures, which agree"),
    ],
)
def test_verdicts_follow_the_file(key, changes, figure, verdict):
    changed = getattr(PUBLISHED.original, key).model_copy(update=changes)
    original = PUBLISHED.original.model_copy(update={key: changed})
    findings = published.audit(PUBLISHED.model_copy(update={"original": original})).cells.set_index("figure")
    assert findings["verdict"][figure] == verdict
