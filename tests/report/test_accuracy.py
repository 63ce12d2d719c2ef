"""Tables and chart of accuracy as a reader sees them."""

import pandas as pd
import pytest

from qa_tradeoffs.analysis import accuracy as analysis
from qa_tradeoffs.report import accuracy
from tests.conftest import MODELS
from tests.report.conftest import COLOURS

LOSSES = ["model", "seed", "step", "epoch", "loss"]


def cells(collected):
    return accuracy.table(collected, analysis.models(collected), analysis.baseline(collected)).cells


def test_the_table_of_models_has_units(collected_of):
    collected = collected_of({"bert": [[1, 1], [1, 0.5]]}, usd_per_hour=(1.0, 3.0))
    assert cells(collected).iloc[0].to_dict() == {
        "model": "BERT",
        "EM": "75.0 (0.0–100.0)",
        "F1": "87.5 (0.0–100.0)",
        "F1, lowest and highest seed": "75.0–100.0 (2)",
        "keeps 99 % of the best F1": "the best",
        "F1 compared with lexical overlap's 20.0": "not significant",
        "EM and F1 of a perfect model": "100.0 and 100.0",
    }


def test_a_model_keeps_the_best_f1_or_not_or_is_another_one_computed_differently(collected_of):
    squeezebert = {"label": "S", "architecture": "squeezebert"}
    models = MODELS | {"s": squeezebert, "r": squeezebert | {"label": "R", "grouped_matmul": True}}
    scores = {"bert": [[1.0, 0.5] * 50], "s": [[0.1] * 100], "r": [[0.1] * 100]}
    kept = cells(collected_of(scores, models=models)).set_index("model")["keeps 99 % of the best F1"]
    assert kept.to_dict() == {"BERT": "the best", "S": "no", "R": "see S"}


def test_the_chart_has_f1_filled_em_hollow_and_the_line_of_lexical_overlap(collected_of):
    models = analysis.models(collected_of({"bert": [[1.0, 0.5] * 20], "distilbert": [[0.5] * 40]}))
    chart = accuracy.chart(models, {"f1": 20.0}, COLOURS)
    (axes,) = chart.figure.axes
    points = [(line.get_xdata()[0], line.get_markerfacecolor()) for line in axes.lines if line.get_marker() == "o"]
    assert points == [(75, COLOURS["BERT"]), (50, COLOURS["DistilBERT"]), (50, "white"), (0, "white")]
    assert axes.lines[-1].get_xdata() == [20, 20]
    assert chart.alt.endswith("BERT F1 75.0, EM 50.0; DistilBERT F1 50.0, EM 0.0; lexical overlap F1 20.0.")


@pytest.mark.parametrize(("right", "verdict"), [(60, "higher"), (25, "not significant"), (5, "lower")])
def test_f1_is_higher_or_lower_than_the_baseline_if_intervals_do_not_overlap(collected_of, right, verdict):
    # Of 100 questions, so to within some 8 points; lexical overlap reaches 18 to 22.
    table = cells(collected_of({"bert": [[1.0] * right + [0.0] * (100 - right)]}))
    assert table["F1 compared with lexical overlap's 20.0"].tolist() == [verdict]


def test_differences_have_their_sign_and_their_verdict():
    row = {"model": "A", "other": "B", "low": -4.0, "high": 0.1, "p_holm": 0.0612, "verdict": "not significant"}
    row |= {"over": "questions", "detectable": 2.91}
    exact = row | {"low": 1.0, "high": 5.0, "p_holm": 0.01, "verdict": "A significantly higher"}
    f1 = pd.DataFrame([row]).assign(f1_difference=-2.04)
    table = accuracy.differences(f1, pd.DataFrame([exact]).assign(exact_match_difference=3.0)).cells
    assert table.iloc[0].tolist() == [
        "A", "B", "-2.0 (-4.0 to +0.1)", "0.061", "not significant", "2.9",
        "+3.0 (+1.0 to +5.0)", "0.01", "A significantly higher", "2.9", "questions",
    ]  # fmt: skip


def test_the_share_kept_names_the_best_model_and_the_share_asked_for():
    row = {"model": "B", "best": "A", "share": 98.76, "low": 97.0, "high": 100.54, "over": "questions"}
    table = accuracy.kept(pd.DataFrame([row | {"verdict": "inconclusive"}]), 0.99)
    assert table.cells.to_dict("records") == [
        {"model": "B", "F1, per cent of A's": "98.8 (97.0–100.5)", "keeps at least 99 %": "inconclusive",
         "uncertainty over": "questions"}
    ]  # fmt: skip
    assert accuracy.kept(pd.DataFrame(), 0.99).markup.startswith("<p>None: ")


def test_one_model_computed_in_two_ways_has_its_answers_compared():
    row = {"model": "R", "of": "S", "answers": 600, "verdict": "same answers", "over": "questions"}
    table = accuracy.variants(pd.DataFrame([row | {"f1_difference": 0.0, "low": 0.0, "high": 0.0}]))
    assert table.cells.iloc[0].tolist() == ["R", "S", 600, "same answers", "0.0 (0.0 to 0.0)", "questions"]
    assert accuracy.variants(pd.DataFrame()).markup.startswith("<p>None: ")


def test_runs_have_their_metric_s_name(collected_of):
    collected = collected_of({"bert": [[1, 0.4], [1, 0.6], [1, 0.8]], "distilbert": [[1, 0.6]]})
    table = accuracy.runs(analysis.runs(collected)).cells
    assert table.iloc[0].tolist() == ["BERT", "F1", 3, "80.0", "10.00", "55.2 to 100.0", "70.0 to 90.0"]


def test_losses_have_a_line_per_run_in_the_colour_of_the_model():
    losses = pd.DataFrame(
        [(name, seed, step, step / 2, 4.0 + seed - step) for name in ("BERT", "DistilBERT") for seed in (0, 1)
         for step in (1, 2)],
        columns=LOSSES,
    )  # fmt: skip
    chart = accuracy.loss_chart(losses, COLOURS)
    lines = chart.figure.axes[0].lines
    assert [line.get_color() for line in lines] == [
        COLOURS[name] for name in ("BERT", "BERT", "DistilBERT", "DistilBERT")
    ]
    assert lines[1].get_xydata().tolist() == [[0.5, 4], [1, 3]]
    assert chart.alt.endswith("BERT from 3.50 to 2.50; DistilBERT from 3.50 to 2.50.")  # means


def test_without_any_training_there_is_no_curve():
    assert accuracy.loss_chart(pd.DataFrame(columns=LOSSES), {}).markup.startswith("<p>None: no model was trained")


def test_a_students_gain_and_cost_are_in_a_row_which_says_what_is_unknown():
    known = {"model": "Taught", "teacher": "BERT", "there_usd_low": 0.6, "there_usd_high": 0.6, "once_usd_low": 2.6,
             "once_usd_high": 2.6, "alone": "DistilBERT", "f1_difference": 1.25, "low": 0.5, "high": 2.0,
             "p_holm": 0.01, "over": "questions and training runs", "verdict": "better"}  # fmt: skip
    nothing = {"alone": "", "over": "", "verdict": "", "once_usd_low": float("nan"), "f1_difference": float("nan"),
               "low": float("nan"), "high": float("nan")}  # fmt: skip
    found = accuracy.students(pd.DataFrame([known, known | nothing])).cells.to_numpy().tolist()
    assert found == [
        ["Taught", "BERT", "0.600", "2.60", "+1.2 (+0.5 to +2.0)", "better", "questions and training runs"],
        [
            "Taught", "BERT", "0.600", "the teacher came fine-tuned",
            "the same model without a teacher is not in this study", "", "",
        ],
    ]  # fmt: skip
    assert "no model of this study has a teacher" in accuracy.students(pd.DataFrame()).markup
