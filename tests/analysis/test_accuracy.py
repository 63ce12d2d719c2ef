"""Scores, differences, spreads and losses from hand-made results: every figure can be worked out by hand."""

import math

import pytest

from qa_tradeoffs.analysis import accuracy
from tests.analysis.conftest import FINE_TUNED
from tests.conftest import MODELS

TWO = {"bert": [[1, 1, 1, 0.6]], "distilbert": [[1, 0.5, 1, 0.6]]}
THREE = MODELS | {"third": MODELS["bert"] | {"label": "Third", "revision": "c" * 40}}
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
    assert row["f1_low"] == 0 and row["f1_high"] == 100  # 50 ± 3.18 × 20.4 over four questions is off the scale
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


def test_the_baseline_is_scored_on_the_same_questions(collected_of):
    assert accuracy.baseline(collected_of(TWO)) == {"exact_match": 10, "f1": 20, "f1_low": 18, "f1_high": 22}


def test_differences_are_paired_by_question_whatever_the_order_of_rows(collected_of):
    collected = collected_of(TWO)
    collected.predictions["bert", 0] = collected.predictions["bert", 0].sort_values("id")
    row = accuracy.differences(collected).iloc[0]
    assert (row["model"], row["other"], row["f1_difference"]) == ("BERT", "DistilBERT", pytest.approx(12.5))
    half = 3.1824 * 12.5  # one question in four differs, by 50: deviation 25, error 12.5, t at 3 degrees of freedom
    assert (row["low"], row["high"]) == pytest.approx((12.5 - half, 12.5 + half), abs=0.01)
    assert row["p_holm"] == pytest.approx(0.391, abs=0.001)  # two-sided, of t = 1
    assert row["detectable"] == pytest.approx((3.1824 + 0.9785) * 12.5, abs=0.01)  # and t at 80 %
    assert (row["over"], row["verdict"]) == ("questions", "not significant")


def test_differences_in_exact_match_are_paired_likewise(collected_of):
    row = accuracy.differences(collected_of(TWO), "exact_match").iloc[0]
    assert row["exact_match_difference"] == 25  # one in four, by 100
    assert (row["low"], row["high"]) == pytest.approx((25 - 3.1824 * 25, 100), abs=0.01)  # 104.6 is not on the scale


def test_p_values_are_corrected_for_all_pairs_together(collected_of):
    scores = {"bert": [[1.0] * 60], "distilbert": [[1.0] * 56 + [0.0] * 4]}
    alone = accuracy.differences(collected_of(scores)).iloc[0]
    three = accuracy.differences(collected_of(scores | {"third": [[0.0] * 60]}, models=THREE))
    assert three["p_holm"].tolist() == pytest.approx([alone["p_holm"], 0, 0])  # the largest of three is not raised
    near = collected_of(scores | {"third": [[1.0] * 58 + [0.0] * 2]}, models=THREE)
    assert accuracy.differences(near)["p_holm"][0] == pytest.approx(3 * alone["p_holm"])  # the smallest of three
    assert accuracy.differences(near)["detectable"][0] > alone["detectable"]


@pytest.mark.parametrize(
    ("bert", "distilbert", "verdict"),
    [
        ([80, 80], [40, 40], "BERT significantly higher"),
        ([40, 40], [80, 80], "DistilBERT significantly higher"),
        ([80], [40], "BERT higher, over questions only"),
        ([80], [40, 40], "BERT higher, over questions only"),  # one that came fine-tuned is one run
        ([90, 40], [60, 50], "not significant"),  # over questions alone 10 points would be
        ([81, 81], [80, 80], "not significant"),
        ([80, 80], [80, 80], "equal on every question"),
    ],
)
def test_the_verdict_names_the_higher_one_and_is_weaker_without_several_runs(collected_of, bert, distilbert, verdict):
    right = {"bert": bert, "distilbert": distilbert}
    scores = {slug: [[1.0] * n + [0.0] * (100 - n) for n in runs] for slug, runs in right.items()}
    assert accuracy.differences(collected_of(scores))["verdict"].tolist() == [verdict]


def test_questions_of_one_article_are_alike(collected_of):
    def halves(articles: int) -> float:
        """The width of the interval of scores that are all right or all wrong in an article, of 100 questions."""
        collected = collected_of({"bert": [[1.0] * 50 + [0.0] * 50]})
        for frame in collected.predictions.values():
            number = frame["id"].str[1:].astype(int)
            frame["article"], frame["passage"] = (number // (100 // articles)).astype(str), number // 2
        row = accuracy.models(collected).iloc[0]
        return row["f1_high"] - row["f1_low"]

    # Deviations ±50 of so many articles; t at one degree of freedom less.
    assert halves(10) == pytest.approx(2 * 2.2622 * 50 / 3, abs=0.01)
    assert halves(20) == pytest.approx(2 * 2.0930 * 50 / math.sqrt(19), abs=0.01)


@pytest.mark.parametrize(("keeps", "verdict"), [(0.5, "yes"), (0.75, "inconclusive"), (0.99, "no")])
def test_a_model_keeps_a_share_of_the_best_f1_or_not_or_the_study_cannot_decide(collected_of, keeps, verdict):
    scores = {"bert": [[1.0] * 100], "distilbert": [[1.0] * 76 + [0.0] * 24]}
    row = accuracy.kept(collected_of(scores, analysis={"keeps": keeps})).iloc[0]
    # 76 % ± t at 99 degrees of freedom times the deviation of 76 ones in 100.
    half = 1.9842 * 100 * math.sqrt(0.76 * 0.24 / 99)
    assert (row["model"], row["best"], row["share"]) == ("DistilBERT", "BERT", pytest.approx(76))
    assert (row["low"], row["high"]) == pytest.approx((76 - half, 76 + half), abs=0.01)
    assert (row["over"], row["verdict"]) == ("questions", verdict)


def test_a_best_f1_of_zero_has_no_shares(collected_of):
    assert accuracy.kept(collected_of({"bert": [[0.0] * 9], "distilbert": [[0.0] * 9]}))["verdict"].tolist() == [
        "inconclusive"
    ]
    assert accuracy.kept(collected_of({"bert": [[0.5] * 9]})).empty


REWRITTEN = {"models": MODELS | {"rewritten": MODELS["bert"] | {"label": "Rewritten", "grouped_matmul": True}}}


def test_one_model_computed_in_two_ways_is_not_a_contestant_and_its_answers_are_compared(collected_of):
    scores = {"bert": [[1, 0.5, 0], [1, 0.5, 0.5]], "distilbert": [[1, 0, 0], [1, 0, 0]]}
    collected = collected_of(scores | {"rewritten": scores["bert"]}, **REWRITTEN)
    assert collected.distinct == ["bert", "distilbert"]
    assert accuracy.differences(collected)[["model", "other"]].to_numpy().tolist() == [["BERT", "DistilBERT"]]
    assert accuracy.kept(collected)["model"].tolist() == ["DistilBERT"]
    row = accuracy.variants(collected).iloc[0]
    assert (row["model"], row["of"], row["answers"], row["verdict"]) == ("Rewritten", "BERT", 6, "same answers")
    assert (row["f1_difference"], row["low"], row["high"]) == (0, 0, 0)
    other = accuracy.variants(collected_of(scores | {"rewritten": [[1, 0.5, 0], [1, 0.5, 0.25]]}, **REWRITTEN)).iloc[0]
    assert (other["differing"], other["verdict"]) == (1, "1 of 6 answers differ")
    assert other["f1_difference"] == pytest.approx(-100 * 0.25 / 6)
    assert accuracy.variants(collected_of(scores)).empty


def test_one_model_has_no_differences(collected_of):
    table = accuracy.differences(collected_of({"bert": [[1, 0]]}))
    assert table.empty
    assert table.columns.tolist()[:3] == ["model", "other", "f1_difference"]


def test_runs_have_their_mean_deviation_and_t_interval(collected_of):
    runs = accuracy.runs(collected_of({"bert": [[1, 0.4], [1, 0.6], [1, 0.8]]}))  # F1 70, 80, 90
    row = runs.iloc[0]
    assert (row["metric"], row["runs"], row["mean"], row["sd"]) == ("f1", 3, pytest.approx(80), pytest.approx(10))
    half = 4.3027 * 10 / math.sqrt(3)  # the t table's 0.975 quantile at 2 degrees of freedom
    assert (row["low"], row["high"]) == pytest.approx((80 - half, 100), abs=0.01)  # 104.8 is not on the scale
    assert (row["lowest"], row["highest"]) == pytest.approx((70, 90))
    assert runs.iloc[1][["metric", "mean", "sd"]].tolist() == ["exact_match", 50, 0]


def test_a_single_run_has_no_spread(collected_of):
    assert accuracy.runs(collected_of({"bert": [[1, 0.4]]})).empty


def test_losses_are_in_one_table(collected_of):
    losses = accuracy.losses(collected_of({"bert": [[1], [1]], "distilbert": [[1], [1]]}))
    assert losses["model"].tolist() == ["BERT"] * 4 + ["DistilBERT"] * 4
    assert losses["seed"].tolist() == [0, 0, 1, 1] * 2
    assert losses["loss"].tolist() == [4, 2, 5, 2] * 2


def test_losses_of_models_that_came_fine_tuned_are_empty(collected_of):
    assert accuracy.losses(collected_of({"distilbert": [[1]]}, **FINE_TUNED)).empty
