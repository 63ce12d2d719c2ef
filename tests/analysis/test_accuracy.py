"""Scores, differences, spreads and losses from hand-made results: every figure can be worked out on paper."""

import math

import pytest

from qa_tradeoffs.analysis import accuracy
from tests.analysis.conftest import FINE_TUNED
from tests.conftest import MODELS

TWO = {"bert": [[1, 1, 1, 0.6]], "distilbert": [[1, 0.5, 1, 0.6]]}
NAN = pytest.approx(math.nan, nan_ok=True)


def test_a_model_has_one_row_with_all_its_figures(collected_of):
    row = accuracy.models(collected_of({"bert": [[1, 1, 1, 0.6]]})).iloc[0]
    assert (row["model"], row["seeds"], row["parameters"], row["bytes"]) == ("BERT", 1, 100e6, 400e6)
    assert (row["exact_match"], row["f1"]) == (75, pytest.approx(90))
    assert row["f1_low"] < 90 < row["f1_high"] <= 100
    # Passes of 0.18, 0.2 and 0.222 s; t at two degrees of freedom is 4.3027.
    times = math.exp(4.3027 * math.log(1 / 0.9) / math.sqrt(3))
    assert (row["question"], row["contended"]) == (pytest.approx(0.2), 0)
    assert (row["question_low"], row["question_high"]) == pytest.approx((0.2 / times, 0.2 * times), rel=1e-4)
    assert (row["train_seconds"], row["train_by_step"]) == (3600, pytest.approx(4500 * 0.8))
    assert row["train_usd_low"] == row["train_usd_high"] == pytest.approx(1.55)
    assert row["million_usd"] == pytest.approx((0.2e6 / 3600 * 1.55,) * 2)


def test_scores_of_several_seeds_are_averaged_question_by_question(collected_of):
    row = accuracy.models(collected_of({"bert": [[1, 0, 1, 0], [0, 1, 1, 0], [0.5, 0.5, 1, 0]]})).iloc[0]
    assert (row["seeds"], row["f1"]) == (3, 50)
    assert row["exact_match"] == pytest.approx(100 * (2 + 2 + 1) / 12)
    # Means over seeds are ½, ½, 1, 0: a resample of four of them lies between 0 and 100, seldom at either.
    assert 0 < row["f1_low"] < 50 < row["f1_high"] < 100
    assert (row["f1_seed_low"], row["f1_seed_high"]) == (50, 50)
    row = accuracy.models(collected_of({"bert": [[1, 1], [1, 0.5]]})).iloc[0]
    assert (row["f1_seed_low"], row["f1_seed_high"]) == (75, 100)


def test_a_price_range_gives_a_cost_range(collected_of):
    row = accuracy.models(collected_of(TWO, usd_per_hour=(1.0, 3.0))).iloc[1]
    assert (row["train_usd_low"], row["train_usd_high"]) == pytest.approx((0.5, 1.5))


def test_a_training_on_several_devices_takes_its_time_and_costs_each_of_them(collected_of):
    collected = collected_of({"bert": [[1, 1]]})
    file = collected.trainings["bert", 0]
    shared = tuple(record.under({"devices": 4}) for record in file.records)
    collected.trainings["bert", 0] = file.model_copy(update={"records": shared})
    row = accuracy.models(collected).iloc[0]
    assert (row["train_seconds"], row["train_paid_seconds"]) == (3600, 4 * 3600)
    assert row["train_usd_low"] == row["train_usd_high"] == 4 * 1.55


def test_a_model_that_came_fine_tuned_has_no_training(collected_of):
    collected = collected_of(TWO, **FINE_TUNED)
    assert accuracy.models(collected)["train_seconds"].tolist() == [3600, NAN]
    assert accuracy.losses(collected)["model"].unique().tolist() == ["BERT"]


def test_the_baseline_is_that_of_the_questions(collected_of):
    assert accuracy.baseline(collected_of(TWO)) == {"exact_match": 10, "f1": 20, "f1_low": 18, "f1_high": 22}


def test_differences_are_paired_by_question_whatever_the_order_of_rows(collected_of):
    collected = collected_of(TWO)
    collected.predictions["bert", 0] = collected.predictions["bert", 0].sort_values("id")
    row = accuracy.differences(collected).iloc[0]
    assert (row["model"], row["other"], row["f1_difference"]) == ("BERT", "DistilBERT", pytest.approx(12.5))
    assert (row["low"], row["high"]) == pytest.approx((0, 37.5))  # one question in four differs, by 50
    assert row["p_holm"] == 1  # swapping the one question that differs gives the same size of difference
    assert row["verdict"] == "not significant"


def test_differences_in_exact_match_are_paired_likewise(collected_of):
    row = accuracy.differences(collected_of(TWO), "exact_match").iloc[0]
    assert (row["exact_match_difference"], row["low"], row["high"]) == pytest.approx((25, 0, 75))  # one in four, by 100


def test_p_values_are_corrected_for_all_pairs_together(collected_of):
    # 30 questions apart, all in one direction: of 10,000 ways to swap them none is as extreme, 1/10,001 for each pair.
    scores = {"bert": [[1.0] * 60], "distilbert": [[1.0] * 30 + [0.0] * 30]}
    assert accuracy.differences(collected_of(scores))["p_holm"].tolist() == pytest.approx([1 / 10_001])
    models = MODELS | {"third": MODELS["bert"] | {"label": "Third"}}
    three = collected_of(scores | {"third": [[0.0] * 60]}, models=models)
    for metric in ("f1", "exact_match"):  # three times the smallest, and none below it
        assert accuracy.differences(three, metric)["p_holm"].tolist() == pytest.approx([3 / 10_001] * 3)


@pytest.mark.parametrize(
    ("bert", "distilbert", "verdict"),
    [
        (80, 40, "BERT significantly higher"),
        (40, 80, "DistilBERT significantly higher"),
        (81, 80, "not significant"),
        (80, 80, "equal on every question"),
    ],
)
def test_the_verdict_names_the_significantly_higher_one_whatever_the_order(collected_of, bert, distilbert, verdict):
    right = {"bert": bert, "distilbert": distilbert}
    scores = {slug: [[1.0] * n + [0.0] * (100 - n)] * 2 for slug, n in right.items()}
    assert accuracy.differences(collected_of(scores))["verdict"].tolist() == [verdict]


def test_one_model_has_no_differences(collected_of):
    table = accuracy.differences(collected_of({"bert": [[1, 0]]}))
    assert table.empty
    assert table.columns.tolist() == ["model", "other", "f1_difference", "low", "high", "p_holm", "verdict"]


def test_runs_have_their_mean_deviation_and_t_interval(collected_of):
    runs = accuracy.runs(collected_of({"bert": [[1, 0.4], [1, 0.6], [1, 0.8]]}))  # F1 70, 80, 90
    row = runs.iloc[0]
    assert (row["metric"], row["runs"], row["mean"], row["sd"]) == ("f1", 3, pytest.approx(80), pytest.approx(10))
    half = 4.3027 * 10 / math.sqrt(3)  # the t table's 0.975 quantile at 2 degrees of freedom
    assert (row["low"], row["high"]) == pytest.approx((80 - half, 100), abs=0.01)  # 104.8 is not on the scale
    assert (row["lowest"], row["highest"]) == pytest.approx((70, 90))
    assert runs.iloc[1][["metric", "mean", "sd"]].tolist() == ["exact_match", 50, 0]


def test_one_run_says_nothing_of_others(collected_of):
    assert accuracy.runs(collected_of({"bert": [[1, 0.4]]})).empty


def test_runs_overlap_where_one_lies_between_those_of_the_other(collected_of):
    models = MODELS | {"third": MODELS["bert"] | {"label": "Third"}}
    scores = {"bert": [[0.6], [0.8]], "distilbert": [[0.7]], "third": [[0.5], [0.4]]}
    runs = accuracy.runs(collected_of(scores, models=models)).set_index(["metric", "model"])["overlaps"]
    assert runs["f1"].to_dict() == {"BERT": "DistilBERT", "Third": "none"}
    assert runs["exact_match"]["Third"] == "BERT and DistilBERT"  # no answer is exact


def test_losses_stand_one_below_the_other(collected_of):
    losses = accuracy.losses(collected_of({"bert": [[1], [1]], "distilbert": [[1], [1]]}))
    assert losses["model"].tolist() == ["BERT"] * 4 + ["DistilBERT"] * 4
    assert losses["seed"].tolist() == [0, 0, 1, 1] * 2
    assert losses["loss"].tolist() == [4, 2, 5, 2] * 2


def test_losses_of_models_that_came_fine_tuned_are_empty(collected_of):
    assert accuracy.losses(collected_of({"distilbert": [[1]]}, **FINE_TUNED)).empty
