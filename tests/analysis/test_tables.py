"""Tables from hand-made result files: every figure can be worked out on paper."""

import math
import re
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import tables
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import RunPaths
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config, prices
from tests.conftest import MODELS, predictions_of, results_of, training_results

TWO = {"bert": [[1, 1, 1, 0.6]], "distilbert": [[1, 0.5, 1, 0.6]]}
FINE_TUNED = {"models": MODELS | {"distilbert": MODELS["distilbert"] | {"fine_tuned": True}}}


def test_a_model_has_one_row_with_all_its_figures(collected_of):
    row = tables.models(collected_of({"bert": [[1, 1, 1, 0.6]]})).iloc[0]
    assert (row["model"], row["seeds"], row["parameters"], row["bytes"]) == ("BERT", 1, 100e6, 400e6)
    assert (row["exact_match"], row["f1"]) == (75, pytest.approx(90))
    assert row["f1_low"] < 90 < row["f1_high"] <= 100
    assert (row["latency"], row["latency_batch"], row["latency_at"]) == (0.2, 1, 128)
    assert (row["latency_low"], row["latency_high"]) == pytest.approx((0.18, 0.22))
    assert row["train_seconds"] == 3600
    assert row["train_usd_low"] == row["train_usd_high"] == 1.55
    assert row["million_usd_low"] == row["million_usd_high"] == pytest.approx(0.2e6 / 3600 * 1.55)
    assert row["train_windows_per_second"] == 0.1


def test_scores_of_several_seeds_are_averaged_question_by_question(collected_of):
    row = tables.models(collected_of({"bert": [[1, 0, 1, 0], [0, 1, 1, 0], [0.5, 0.5, 1, 0]]})).iloc[0]
    assert (row["seeds"], row["f1"]) == (3, 50)
    assert row["exact_match"] == pytest.approx(100 * (2 + 2 + 1) / 12)
    # Means over seeds are ½, ½, 1, 0: a resample of four of them lies between 0 and 100, seldom at either.
    assert 0 < row["f1_low"] < 50 < row["f1_high"] < 100
    assert (row["f1_seed_low"], row["f1_seed_high"]) == (50, 50)


def test_the_spread_of_seeds_is_that_of_their_records(collected_of):
    row = tables.models(collected_of({"bert": [[1, 1], [1, 0.5]]})).iloc[0]
    assert (row["f1_seed_low"], row["f1_seed_high"]) == (75, 100)


def test_a_price_range_gives_a_cost_range(collected_of):
    row = tables.models(collected_of(TWO, usd_per_hour=(1.0, 3.0))).iloc[1]
    assert (row["train_usd_low"], row["train_usd_high"]) == (0.5, 1.5)


def test_a_training_on_several_devices_takes_its_time_and_costs_each_of_them(collected_of):
    collected = collected_of({"bert": [[1, 1]]})
    file = collected.trainings["bert", 0]
    shared = tuple(record.model_copy(update={"conditions": {"devices": 4}}) for record in file.records)
    collected.trainings["bert", 0] = file.model_copy(update={"records": shared})
    row = tables.models(collected).iloc[0]
    assert (row["train_seconds"], row["train_paid_seconds"]) == (3600, 4 * 3600)
    assert row["train_usd_low"] == row["train_usd_high"] == 4 * 1.55


def test_a_model_that_came_fine_tuned_has_no_training(collected_of):
    table = tables.models(collected_of(TWO, **FINE_TUNED))
    assert table["train_seconds"].tolist() == [3600, pytest.approx(math.nan, nan_ok=True)]
    shown = tables.shown(table).iloc[1]
    assert (shown["fine-tuning"], shown["fine-tuning, USD"]) == ("not trained", "not trained")
    assert shown["million passes, USD"] == "43.1"


def test_the_table_for_readers_has_units(collected_of):
    collected = collected_of({"bert": [[1, 1], [1, 0.5]]}, usd_per_hour=(1.0, 3.0))
    assert tables.shown(tables.models(collected)).iloc[0].to_dict() == {
        "model": "BERT",
        "EM": "75.0 (50.0–100.0)",
        "F1": "87.5 (75.0–100.0)",
        "F1, lowest and highest seed": "75.0–100.0 (2)",
        "parameters": "100.0 M",
        "on disk": "381.5 MiB",
        "forward pass": "200 ms",
        "fine-tuning": "60.0 min",
        "fine-tuning, USD": "1.00 to 3.00",
        "million passes, USD": "55.6 to 167",
    }


def test_differences_are_paired_by_question_whatever_the_order_of_rows(collected_of):
    collected = collected_of(TWO)
    collected.predictions["bert", 0] = collected.predictions["bert", 0].sort_values("id")
    row = tables.differences(collected).iloc[0]
    assert (row["model"], row["other"], row["f1_difference"]) == ("BERT", "DistilBERT", pytest.approx(12.5))
    assert (row["low"], row["high"]) == pytest.approx((0, 37.5))  # one question in four differs, by 50
    assert row["p_holm"] == 1  # swapping the one question that differs gives the same size of difference


def test_p_values_are_corrected_for_all_pairs_together(collected_of):
    # 30 questions apart, all in one direction: of 10,000 ways to swap them none is as extreme, 1/10,001 for each pair.
    scores = {"bert": [[1.0] * 60], "distilbert": [[1.0] * 30 + [0.0] * 30]}
    assert tables.differences(collected_of(scores))["p_holm"].tolist() == pytest.approx([1 / 10_001])
    models = MODELS | {"third": MODELS["bert"] | {"label": "Third"}}
    three = collected_of(scores | {"third": [[0.0] * 60]}, models=models)
    for metric in ("f1", "exact_match"):  # three times the smallest, and none below it
        assert tables.differences(three, metric)["p_holm"].tolist() == pytest.approx([3 / 10_001] * 3)


def test_one_model_has_no_differences(collected_of):
    collected = collected_of({"bert": [[1, 0]]})
    table = tables.differences(collected)
    assert table.empty
    assert tables.shown_differences(table, tables.differences(collected, "exact_match")).empty


def test_differences_in_exact_match_are_paired_likewise(collected_of):
    row = tables.differences(collected_of(TWO), "exact_match").iloc[0]
    assert (row["exact_match_difference"], row["low"], row["high"]) == pytest.approx((25, 0, 75))  # one in four, by 100


def test_differences_are_shown_with_their_sign():
    row = {"model": "A", "other": "B", "f1_difference": -2.04, "low": -4.0, "high": 0.1, "p_holm": 0.0612}
    exact = {"model": "A", "other": "B", "exact_match_difference": 3.0, "low": 1.0, "high": 5.0, "p_holm": 0.01}
    shown = tables.shown_differences(pd.DataFrame([row]), pd.DataFrame([exact])).iloc[0]
    assert shown.tolist() == ["A", "B", "-2.0 (-4.0 to +0.1)", "0.061", "+3.0 (+1.0 to +5.0)", "0.01"]


def test_runs_have_their_mean_deviation_and_t_interval(collected_of):
    runs = tables.runs(collected_of({"bert": [[1, 0.4], [1, 0.6], [1, 0.8]]}))  # F1 70, 80, 90
    row = runs.iloc[0]
    assert (row["metric"], row["runs"], row["mean"], row["sd"]) == ("f1", 3, pytest.approx(80), pytest.approx(10))
    half = 4.3027 * 10 / math.sqrt(3)  # the t table's 0.975 quantile at 2 degrees of freedom
    assert (row["low"], row["high"]) == pytest.approx((80 - half, 100), abs=0.01)  # 104.8 is not on the scale
    assert (row["lowest"], row["highest"]) == pytest.approx((70, 90))
    assert runs.iloc[1][["metric", "mean", "sd"]].tolist() == ["exact_match", 50, 0]
    assert tables.shown_runs(runs).iloc[0].tolist() == [
        "BERT",
        "F1",
        3,
        "80.0",
        "10.00",
        "55.2 to 100.0",
        "70.0 to 90.0",
    ]


def test_one_run_tells_nothing_of_others(collected_of):
    runs = tables.runs(collected_of({"bert": [[1, 0.4]]}))
    assert runs[["sd", "low", "high"]].isna().all(axis=None)
    assert tables.shown_runs(runs).empty


def test_the_baseline_is_that_of_the_questions(collected_of):
    collected = collected_of(TWO)
    assert tables.baseline(collected) == {"exact_match": 10, "f1": 20, "f1_high": 22}
    assert tables.questions(collected) == 4


def test_timings_have_a_row_a_point_and_are_shown_with_a_column_a_model(collected_of):
    timings = tables.timings(collected_of(TWO))
    assert len(timings) == 2 * 2 * 2 * 2
    chosen = timings[(timings["model"] == "DistilBERT") & (timings["work"] == "training_step")]
    assert chosen["seconds"].tolist() == pytest.approx([0.075, 0.3, 0.6, 2.4])
    shown = tables.shown_timings(timings)
    assert shown.columns.tolist() == ["work", "batch", "tokens per row", "BERT", "DistilBERT"]
    assert shown.iloc[0].tolist() == ["forward", 1, 32, "50.0 ms (45.0 ms to 55.0 ms)", "25.0 ms (22.5 ms to 27.5 ms)"]
    assert shown["work"].unique().tolist() == ["forward", "training step"]


def test_losses_stand_one_below_the_other(collected_of):
    losses = tables.losses(collected_of({"bert": [[1], [1]], "distilbert": [[1], [1]]}))
    assert losses["model"].tolist() == ["BERT"] * 4 + ["DistilBERT"] * 4
    assert losses["seed"].tolist() == [0, 0, 1, 1] * 2
    assert losses["loss"].tolist() == [4, 2, 5, 2] * 2


def test_losses_of_models_that_came_fine_tuned_are_empty(collected_of):
    assert tables.losses(collected_of({"distilbert": [[1]]}, **FINE_TUNED)).empty


def test_provenance_names_what_each_file_came_from(collected_of):
    shown = tables.provenance(collected_of({"bert": [[1, 0]]}))
    assert shown["stage"].tolist() == ["train", "evaluate", "profile"]
    assert shown.iloc[0].to_dict() == {
        "stage": "train",
        "model": "BERT",
        "seed": "0",
        "checkpoint": f"some/bert {'a' * 40}",
        "device": "some processor, 2 threads",
        "code": "f" * 10,
        "data": "d" * 10,
        "study": "e" * 10,
    }


def test_pages_are_linked_in_the_order_in_which_notebooks_ran(collected_of, tmp_path):
    collected = collected_of({"bert": [[1], [1]], "distilbert": [[1]]}, **FINE_TUNED)
    pages = tables.notebook_pages(collected, RunPaths(tmp_path))
    assert pages["DistilBERT"] == [
        ("seed-0 2-evaluate", "distilbert-seed-0-2-evaluate.html"),
        ("3-profile", "distilbert-3-profile.html"),
    ]
    assert [page for _, page in pages["BERT"]] == [
        "bert-seed-0-1-train.html",
        "bert-seed-0-2-evaluate.html",
        "bert-seed-1-1-train.html",
        "bert-seed-1-2-evaluate.html",
        "bert-3-profile.html",
    ]


# --- reading the files ---


@pytest.fixture
def written(written_study: tuple[config.Study, RunPaths]) -> tuple[config.Study, RunPaths]:
    return written_study


def collect(written: Any, price: prices.Price, study: config.Study | None = None) -> tables.Collected:
    return tables.collect(study or written[0], price, written[1], ["bert", "distilbert"], [0])


def test_written_files_are_read_back(written, price_at):
    collected = collect(written, price_at(1))
    assert set(collected.predictions) == set(collected.trainings) == {("bert", 0), ("distilbert", 0)}
    assert tables.models(collected)["f1"].tolist() == [50, 50]


FILES = ["training", "evaluation", "predictions", "history"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(written, price_at, name):
    path = getattr(written[1], name)("distilbert", 0)
    path.unlink()
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}: is missing"):
        collect(written, price_at(1))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_something_else_is_named(written, price_at, name):
    path = getattr(written[1], name)("bert", 0)
    path.write_bytes(b"something else")
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}: is not (JSON|a table of this program) "):
        collect(written, price_at(1))


def test_a_table_without_a_column_it_needs_is_named(written, price_at):
    predictions_of([1, 0]).drop(columns="f1").to_parquet(written[1].predictions("bert", 0))
    with pytest.raises(StudyError, match=r"predictions.parquet: is not a table of this program"):
        collect(written, price_at(1))


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"training": {"learning_rate": 1e-3}}, "bert/seed-0/training.json"),
        ({"evaluation": {"max_answer_tokens": 5}}, "bert/seed-0/evaluation.json"),
        ({"profile": {"forward": {"batch_sizes": [2], "lengths": [8]},
                      "training_step": {"batch_sizes": [2], "lengths": [8]}}}, "bert/profile.json"),
        ({"models": MODELS | {"distilbert": MODELS["distilbert"] | {"revision": "0" * 40}}},
         "distilbert/seed-0/training.json"),
    ],
)  # fmt: skip
def test_results_of_another_version_of_the_study_are_refused_by_name(written, price_at, study_of, change, stale):
    with pytest.raises(StudyError, match=rf"{stale}: was made from other settings, data or code than there are now"):
        collect(written, price_at(1), study_of(**change))


def test_a_new_title_label_or_price_makes_nothing_stale(written, price_at, study_of):
    models = MODELS | {"bert": MODELS["bert"] | {"label": "BERT base"}}
    collected = collect(written, price_at(2), study_of(title="Another", models=models, price="cpu"))
    assert collected.label("bert") == "BERT base"


def test_predictions_of_other_questions_are_refused(written, price_at):
    path = written[1].predictions("distilbert", 0)
    predictions_of([1, 0]).replace("q1", "q7").to_parquet(path)
    with pytest.raises(
        StudyError, match=rf"^{re.escape(str(path))}: its questions are not those of .* \(q1 is only in"
    ):
        collect(written, price_at(1))


def test_predictions_with_a_question_twice_are_refused(written, price_at):
    predictions_of([1, 0]).replace("q1", "q0").to_parquet(written[1].predictions("bert", 0))
    with pytest.raises(StudyError, match="has question q0 twice"):
        collect(written, price_at(1))


def test_results_of_other_data_are_refused(written, price_at):
    study, run = written
    rows = [row.model_dump() for row in training_results(study, "distilbert", 0, 60).records]
    results.write(run.training("distilbert", 0), results_of(study, "train", "distilbert", 0, rows, data="0" * 64))
    with pytest.raises(StudyError, match=r"distilbert/seed-0/training.json: was made from other data than"):
        collect(written, price_at(1))


def test_an_unknown_model_is_named(written, price_at):
    with pytest.raises(StudyError, match="there is no model 'robert'"):
        tables.collect(written[0], price_at(1), written[1], ["robert"], [0])


@pytest.mark.parametrize("seeds", ["x", "-1", "1.5"])
def test_seeds_that_are_no_numbers_are_refused(seeds):
    with pytest.raises(StudyError, match=f"SEEDS: '{seeds}' is no seed"):
        tables.for_analysis("studies/demo.yaml", "", seeds)


def test_a_run_that_has_not_begun_is_a_missing_file(tmp_path):
    with pytest.raises(StudyError, match=r"training.json: is missing"):
        tables.for_analysis("studies/demo.yaml", "bert", "0", run=str(tmp_path))
