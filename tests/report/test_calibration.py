"""Calibration for a reader: verdicts with their figures, and charts that can be drawn from any possible table."""

from typing import Any

import numpy as np
import pytest
from conftest import answers_of, question

from qa_tradeoffs.analysis.calibration import Calibration, calibration_of
from qa_tradeoffs.report import calibration


def of_one(probability: Any, right: list[float]) -> Calibration:
    answers = answers_of([question(i) for i in range(len(right))], {"A": [right]})
    answers.tables["A"][0]["probability"] = probability
    return calibration_of(answers)


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [(0.9, "overconfident"), (0.2, "underconfident"), (0.5, "no miscalibration detected")],
)
def test_the_verdict_has_the_size_of_the_gap_if_it_is_significant(confidence, verdict):
    row = calibration.table(of_one(np.full(200, confidence), [1, 0] * 100)).cells.iloc[0]
    assert row["verdict"] == verdict
    gap = 100 * confidence - 50
    assert row["confidence minus EM"].startswith(f"{gap:+.1f} (" if gap else "0.0 (")
    assert row["verdict on the gain"] == "not significant"


def test_a_gain_by_leaving_out_is_shown_with_its_interval():
    found = of_one(np.linspace(0.01, 1, 100), [0] * 40 + [1] * 60)
    row = calibration.table(found).cells.iloc[0]
    assert row["EM"] == "60.0"
    assert row["EM if 80 % are answered"].startswith("75.0 (")
    assert row["EM if 50 % are answered"].startswith("100.0 (9")
    assert row["gain if 80 % are answered"].startswith("+15.0 (+") and row["verdict on the gain"] == "significant"
    assert row["AURC, ideal to random"].endswith(" to 40.0")
    assert calibration.coverage_chart(found, {"A": "C0"}).alt.endswith(
        "A from 60.0 with all to 100.0 with the most confident tenth."
    )
    assert calibration.reliability_chart(found, {"A": "C0"}).alt.endswith("A at 6 % right 0 %, at 96 % right 100 %.")


@pytest.mark.parametrize(("n", "share", "tables"), [(24, 0.5, 0), (120, 0.0, 1), (120, 1.0, 1)])
def test_table_and_charts_can_be_made_of_few_questions_and_of_equal_scores(n, share, tables):
    found = of_one(np.linspace(0, 1, n), [1.0] * int(share * n) + [0.0] * (n - int(share * n)))
    assert calibration.table(found).markup.count("<table") == tables
    for chart in (calibration.reliability_chart, calibration.coverage_chart):
        markup = chart(found, {"A": "C0"}).markup
        assert ("None: fewer than 50" in markup) == (tables == 0)
        assert len(markup) < 200_000


@pytest.mark.parametrize("models", [1, 4])
def test_reliability_has_a_square_panel_for_every_model(models):
    labels = [f"M{i}" for i in range(models)]
    answers = answers_of([question(i) for i in range(60)], {label: [[1.0, 0.0] * 30] for label in labels})
    drawn = calibration.reliability_chart(calibration_of(answers), dict.fromkeys(labels, "C0")).figure
    assert [axes.get_title() for axes in drawn.axes if axes.get_visible()] == labels
    drawn.draw_without_rendering()
    box = drawn.axes[0].get_window_extent()
    assert np.isclose(box.width, box.height, rtol=0.02)
