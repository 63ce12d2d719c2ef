"""The sentences of the report, for results of which it is known what may be said."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.analysis import tables
from qa_tradeoffs.core import words
from qa_tradeoffs.report import findings
from qa_tradeoffs.study import published
from qa_tradeoffs.study.config import Study
from tests.conftest import MODELS

RIGHT_TWICE_AS_OFTEN = {"bert": [[1.0] * 80 + [0.0] * 20], "distilbert": [[1.0] * 40 + [0.0] * 60]}
ONE_QUESTION_APART = {"bert": [[1.0] * 81 + [0.0] * 19], "distilbert": [[1.0] * 80 + [0.0] * 20]}
FINE_TUNED = {"models": MODELS | {"distilbert": MODELS["distilbert"] | {"fine_tuned": True}}}


def accuracy(collected: tables.Collected) -> list[str]:
    table, differences = tables.models(collected), tables.differences(collected)
    return findings.accuracy(table, differences, tables.baseline(collected), tables.questions(collected))


def test_a_clear_lead_is_said_with_its_interval(collected_of):
    first, pair = accuracy(collected_of(RIGHT_TWICE_AS_OFTEN))
    assert first == (
        "BERT has the highest F1, 80.0 (72.0–87.0) points over 100 questions. Lexical overlap without any training "
        "reaches 20.0, which all models clearly exceed."
    )
    # Of 100 questions 40 differ, by 100 points: 40 ± 1.96 × 49 / √100, to within the resampling.
    assert pair.startswith("BERT is 40.0 points of F1 ahead of DistilBERT (95 % interval 3")
    assert pair.endswith("corrected p = 0.0001).")


def test_the_better_one_is_named_first_whatever_the_order_of_the_study(collected_of):
    turned = {"bert": RIGHT_TWICE_AS_OFTEN["distilbert"], "distilbert": RIGHT_TWICE_AS_OFTEN["bert"]}
    first, pair = accuracy(collected_of(turned))
    assert first.startswith("DistilBERT has the highest F1, 80.0")
    assert pair.startswith("DistilBERT is 40.0 points of F1 ahead of BERT (95 % interval 3")


def test_a_lead_within_noise_is_not_called_a_difference(collected_of):
    first, pair = accuracy(collected_of(ONE_QUESTION_APART))
    assert first.startswith("BERT has the highest F1, 81.0")
    assert "Its lead over DistilBERT cannot be told from chance." in first
    assert pair.startswith("No difference in F1 between BERT and DistilBERT can be told from chance (difference +1.0 ")
    assert "ahead" not in first + pair


def test_equal_models_both_have_the_highest_f1(collected_of):
    same = RIGHT_TWICE_AS_OFTEN["bert"]
    first, pair = accuracy(collected_of({"bert": same, "distilbert": same}))
    assert first.startswith("BERT and DistilBERT have the highest F1, 80.0")
    assert "lead" not in first
    assert "difference 0.0 points, 95 % interval 0.0 to 0.0, corrected p = 1)" in pair


def test_one_model_has_no_rivals(collected_of):
    (sentence,) = accuracy(collected_of({"bert": [[1.0] * 9 + [0.0]]}))
    assert sentence.startswith("BERT reaches an F1 of 90.0 (")
    assert sentence.endswith("points over 10 questions. Lexical overlap without any training reaches 20.0, which BERT "
                             "clearly exceeds.")  # fmt: skip


def test_one_question_is_singular(collected_of):
    assert "points over 1 question. " in accuracy(collected_of({"bert": [[1.0]]}))[0]
    collected = collected_of({"bert": [[1.0]]})
    assert "intervals over 1 question; " in findings.table_caption(collected, 1)
    assert "intervals over 1,200 questions; " in findings.table_caption(collected, 1200)


def test_a_model_not_above_the_baseline_is_called_so(collected_of):
    (sentence,) = accuracy(collected_of({"bert": [[1.0] * 25 + [0.0] * 75]}))  # 25, down to some 17; baseline 18 to 22
    assert sentence.endswith("reaches 20.0, and BERT is not shown to do better than that.")
    weak = [[1.0] * 25 + [0.0] * 75]
    assert "and BERT and DistilBERT are not shown" in accuracy(collected_of({"bert": weak, "distilbert": weak}))[0]


def test_several_seeds_are_said_to_be_averaged(collected_of):
    seeds = {slug: rows * 3 for slug, rows in RIGHT_TWICE_AS_OFTEN.items()}
    first, pair = accuracy(collected_of(seeds))
    assert "points over 100 questions (mean over 3 seeds). " in first
    assert pair.startswith("BERT is 40.0 points of F1 ahead of DistilBERT")


def difference(p: float, low: float, high: float, gap: float = 2.0) -> pd.DataFrame:
    return pd.DataFrame(
        [{"model": "A", "other": "B", "f1_difference": gap, "low": low, "high": high, "p_holm": p}]
    )  # fmt: skip


def test_several_pairs_that_cannot_be_told_apart_are_one_sentence():
    rows = pd.concat([difference(0.01, 1, 3), difference(0.9, -1, 3), difference(0.9, -1, 3)])
    rows["other"] = ["B", "C", "D"]
    assert findings._differences(list(rows.itertuples())) == [
        "A is 2.0 points of F1 ahead of B (95 % interval 1.0 to 3.0, corrected p = 0.01).",
        "In 2 of 3 pairs no difference in F1 can be told from chance: A and C; A and D.",
    ]


@pytest.mark.parametrize(
    ("p", "low", "high", "told"),
    [(0.049, 0.1, 4, True), (0.05, 0.1, 4, False), (0.01, -0.1, 4, False), (0.01, 0.0, 4, False), (0.9, 0.1, 4, False)],
)
def test_a_difference_is_told_only_by_p_value_and_interval_together(p, low, high, told):
    row = next(iter(difference(p, low, high).itertuples()))
    assert findings._difference(row).startswith("A is 2.0 points" if told else "No difference in F1")


def test_a_negative_difference_is_turned_with_its_interval():
    row = next(iter(difference(0.001, -3.5, -0.5, gap=-2.0).itertuples()))
    assert findings._difference(row) == (
        "B is 2.0 points of F1 ahead of A (95 % interval 0.5 to 3.5, corrected p = 0.001)."
    )


def test_savings_give_both_figures_beside_the_ratio(collected_of):
    assert findings.savings(tables.models(collected_of(RIGHT_TWICE_AS_OFTEN))) == [
        "DistilBERT has 50 % of the parameters of BERT; its forward pass of 1 × 128 tokens was 2.0 times as fast "
        "(100 ms against 200 ms), and fine-tuning it, timed once, was 2.0 times as fast (30.0 min against 60.0 min)."
    ]


def test_one_model_has_none_to_save_against(collected_of):
    assert findings.savings(tables.models(collected_of({"bert": [[1.0]]}))) == [
        "BERT is the only model here, so there is none to compare it with."
    ]


def test_a_model_that_came_fine_tuned_has_no_training_to_compare(collected_of):
    (sentence,) = findings.savings(tables.models(collected_of(RIGHT_TWICE_AS_OFTEN, **FINE_TUNED)))
    assert sentence.endswith("was 2.0 times as fast (100 ms against 200 ms).")
    assert "fine-tuning" not in sentence


def test_times_whose_intervals_overlap_are_not_compared(collected_of):
    table = tables.models(collected_of(RIGHT_TWICE_AS_OFTEN))
    table.loc[1, ["latency", "latency_low", "latency_high"]] = [0.19, 0.17, 0.21]  # against 0.18 to 0.22
    (sentence,) = findings.savings(table)
    assert "took a time that cannot be told from the other's (190 ms against 200 ms)" in sentence
    assert "times as fast (190" not in sentence


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (0.001, 0.26, "was 260 times as fast (1.00 ms against 260 ms)"),
        (0.3, 0.2, "took 1.5 times as long (300 ms against 200 ms)"),
        (100, 103, "took about as long (100 s against 103 s)"),
        (103, 100, "took about as long (103 s against 100 s)"),
    ],
)
def test_ratios_are_plain_numbers_beside_both_times(ours, theirs, said):
    assert findings._times(ours, theirs) == said


def test_a_price_is_named_with_its_source_and_whose_seconds_it_multiplies(collected_of):
    first, second = findings.price(collected_of({"bert": [[1.0]]}, usd_per_hour=(1.5, 3.0)))
    assert first.startswith("Costs are at USD 1.5 to 3 an hour: a GPU, Some Cloud, ")
    assert first.endswith("(its price list).")
    assert second.startswith("They are this machine's seconds")


def test_an_old_price_is_warned_of(collected_of, price_at):
    fresh = collected_of({"bert": [[1.0]]})
    old = price_at(1, date=datetime.date(2021, 6, 1))
    said = findings.price(tables.Collected(**{**vars(fresh), "price": old}))
    assert "years old" in said[-1]
    assert len(said) == 3


def kind(study_of: Any, *slugs: str, **keys: Any) -> str:
    study: Study = study_of(**keys)
    return findings.kind_of_study(study, slugs or list(study.models))


def test_a_demonstration_is_not_taken_for_a_result(study_of):
    built = {"label": "Small", "architecture": "bert"}
    generated = {"source": "generated", "train_passages": 1, "validation_passages": 1}
    said = kind(study_of, data=generated, models={"small": built})
    assert said.startswith("This study: generated text, models trained from scratch. It shows the method;")
    assert "It shows the method" not in kind(study_of)


def test_what_was_trained_here_and_from_what_is_said_of_each_kind_of_model(study_of):
    came, squad = {"fine_tuned": True}, "This study: real text (some/squad), "
    assert kind(study_of).startswith(f"{squad}published checkpoints fine-tuned here. Speed")
    published = {slug: model | came for slug, model in MODELS.items()}
    assert kind(study_of, models=published).startswith(f"{squad}published checkpoints as they came. Speed")
    own = {"label": "Mine", "path": "mine"} | came
    small = {"label": "Small", "architecture": "bert"}
    assert kind(study_of, models=MODELS | {"mine": own, "small": small}).startswith(
        f"{squad}published checkpoints fine-tuned here (BERT and DistilBERT), checkpoints from disk as they came "
        "(Mine), models trained from scratch (Small). Speed"
    )


def test_questions_without_an_answer_are_said_at_once(study_of):
    data = {"source": "hub", "name": "some/squad_v2", "revision": "c" * 40, "v2": True}
    assert kind(study_of, data=data).startswith(
        "This study: real text (some/squad_v2), some questions without an answer, published checkpoints fine-tuned here"
    )


def test_a_report_on_part_of_a_study_says_what_is_left_out(study_of):
    small = {"label": "Small", "architecture": "bert"}
    study = study_of(models=MODELS | {"small": small}, seeds=[0, 1])
    assert findings.left_out(study, ["bert", "distilbert", "small"], [0, 1]) == []
    assert findings.left_out(study, ["bert", "distilbert"], [0, 1]) == [
        "Part of the study: Small is left out of this report."
    ]
    assert findings.left_out(study, ["bert"], [1]) == [
        "Part of the study: DistilBERT, Small and seed 0 are left out of this report."
    ]
    assert "Small" not in findings.kind_of_study(study, ["bert", "distilbert"])


def test_charts_are_described_with_their_values(collected_of):
    collected = collected_of(RIGHT_TWICE_AS_OFTEN)
    table = tables.models(collected)
    assert findings.describe_training_cost(table) == (
        "Scatter chart of F1 against the cost of fine-tuning: BERT at USD 1.55 and F1 80.0; "
        "DistilBERT at USD 0.775 and F1 40.0."
    )
    assert findings.describe_timings(tables.timings(collected), "training_step") == (
        "Line chart of the time of a training step against tokens per row; at 128 tokens: BERT 600 ms at batch 1; "
        "BERT 4.80 s at batch 8; DistilBERT 300 ms at batch 1; DistilBERT 2.40 s at batch 8."
    )


def test_losses_are_described_as_means_over_seeds(collected_of):
    losses = tables.losses(collected_of({"bert": [[1.0], [1.0]]}))  # from 4 and 5 to 2
    assert findings.describe_losses(losses) == "Line chart of training losses: BERT from 4.50 to 2.00."


def test_charts_without_any_training_say_so(collected_of):
    collected = collected_of({"distilbert": [[1.0]]}, **FINE_TUNED)
    assert "no model was fine-tuned" in findings.describe_training_cost(tables.models(collected))
    assert "no model was fine-tuned" in findings.describe_losses(tables.losses(collected))


@pytest.mark.parametrize(("names", "listed"), [(["A"], "A"), (["A", "B"], "A and B"), (["A", "B", "C"], "A, B and C")])
def test_names_are_listed_as_in_a_sentence(names, listed):
    assert words.listed(names) == listed


def test_chance_is_not_called_a_difference_more_often_than_promised(collected_of):
    """Forty studies of two models that are equally good: a difference is told in few of them."""
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(40):
        scores = {slug: [(rng.random(60) < 0.7).astype(float).tolist()] for slug in ("bert", "distilbert")}
        told += "ahead of" in accuracy(collected_of(scores))[1]
    assert told <= 5


def test_the_chart_of_memory_is_described_at_its_largest_batch():
    columns = ["model", "batch_size", "length", "mib"]
    rows = [("BERT", 1, 128, 500.0), ("BERT", 8, 128, np.nan), ("DistilBERT", 8, 128, 1234.4)]
    assert findings.describe_memory(pd.DataFrame(rows, columns=columns)) == (
        "Line chart of peak memory against batch size; at batch 8: BERT out of memory at 128 tokens; "
        "DistilBERT 1,234 MiB at 128 tokens."
    )
    assert findings.describe_memory(pd.DataFrame(columns=columns)).startswith("Empty chart of peak memory")


def test_the_chart_of_published_f1_is_described_with_its_values():
    columns = ["model", "usd", "f1"]
    assert findings.describe_published(pd.DataFrame([("BERT", 48.94, 88.1)], columns=columns)) == (
        "Scatter chart of published F1 against measured cost: BERT at USD 48.9 and F1 88.10."
    )
    assert findings.describe_published(pd.DataFrame(columns=columns)).startswith("Empty chart of published F1")


def test_the_chart_of_costs_is_described_with_where_lines_start_and_how_they_rise():
    rows = [("BERT", 4.65, 48.9), ("DistilBERT", np.nan, 24.5)]  # the second one came fine-tuned
    assert findings.describe_break_even(pd.DataFrame(rows, columns=["model", "training_usd", "single_usd"])) == (
        "Line chart of USD in all against questions answered: BERT starts at USD 4.65 and rises by USD 48.9 a million; "
        "DistilBERT starts at USD 0 and rises by USD 24.5 a million."
    )


def test_the_spread_of_runs_is_said_apart_from_that_of_questions(collected_of):
    runs = tables.runs(collected_of({"bert": [[1, 0.4], [1, 0.6], [1, 0.8]]}))
    assert findings.over_runs(runs) == [
        "F1 over 3 training runs of each model that was trained, which differ in the seed alone: BERT 80.0, standard "
        "deviation 10.00, 95 % t interval 55.2 to 100.0. From 3 runs the t interval is wide: it allows for a spread "
        "that so few show badly. This spread is not in the intervals over questions, and theirs is not in it."
    ]
    assert findings.over_runs(tables.runs(collected_of({"bert": [[1, 0.4]]}))) == [
        "There is one training run of each model: how far another would lie from it is not known."
    ]


SQUAD = {"data": {"source": "hub", "name": "some/squad", "revision": "c" * 40}}


@pytest.mark.parametrize(
    ("keys", "n"),
    [
        ({"data": SQUAD["data"] | {"name": "some/squad_v2", "v2": True}}, 10570),
        ({"data": SQUAD["data"] | {"validation_limit": 500}}, 500),
        (FINE_TUNED | SQUAD, 10570),
    ],
)
def test_scores_are_beside_published_ones_only_where_both_are_of_the_same(collected_of, monkeypatch, keys, n):
    monkeypatch.setattr(findings.compute, "architecture", lambda collected, slug: "distilbert")
    collected = collected_of({"distilbert": [[1.0] * n]}, **keys)
    assert findings.against_published(collected, tables.models(collected), published.load()) == [
        "No score here compares with a published one: those are of published checkpoints, fine-tuned and scored on all "
        "10,570 questions of SQuAD v1.1's development set."
    ]


def test_a_score_is_placed_beside_each_published_one(collected_of, monkeypatch):
    monkeypatch.setattr(findings.compute, "architecture", lambda collected, slug: slug)
    collected = collected_of({"bert": [[1.0] * 10570]}, **SQUAD)
    table = tables.models(collected).assign(f1=88.0, f1_low=87.4, f1_high=88.51)
    said = findings.against_published(collected, table, published.load())
    assert said == [
        "BERT reaches F1 88.0 (87.4–88.5); published: 88.13 (original study, 2021), within the interval; 88.5 "
        "(BERT-base, arXiv 1810.04805), within the interval; 88.52 (BERT-base, Hugging Face's run_qa, transformers' "
        "question-answering example), above the interval.",
        "The intervals are over questions. Published figures are of other training runs, which vary as well.",
    ]
