"""The no-answer section of a study of five questions, of which two have no answer: every figure known by hand."""

from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from conftest import results_of

from qa_tradeoffs.analysis import tables
from qa_tradeoffs.data import features, sources
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.models import networks
from qa_tradeoffs.report import figures, no_answer_figures, no_answer_findings
from qa_tradeoffs.study import config

V2 = {"source": "hub", "name": "some/squad_v2", "revision": "c" * 40, "v2": True, "threshold_questions": 40}
# Three answerable questions: right, half right and wrong; two unanswerable ones.
HAS_ANSWER = [True, False, True, True, False]
SPAN_F1 = [1, 0, 0.5, 0, 0]
SCORES = [-2.0, -1, 0.5, 1, 2]


def predicted(threshold: float) -> pd.DataFrame:
    """What evaluation.score would give of these questions with this threshold."""
    frame = pd.DataFrame({"span_f1": SPAN_F1, "no_answer_score": SCORES, "has_answer": HAS_ANSWER})
    f1 = frame["span_f1"].where(frame["no_answer_score"] <= threshold, (~frame["has_answer"]).astype(float))
    ids = [f"q{row}" for row in range(5)]
    return frame.assign(id=ids, f1=f1, exact_match=f1 // 1, span_exact_match=frame["span_f1"] // 1)


@pytest.fixture
def collected(collected_of: Any) -> tables.Collected:
    """BERT with a threshold chosen at -2 and DistilBERT with seeds at 1 and 2."""
    scores = {"bert": [[0.0] * 5], "distilbert": [[0.0] * 5, [0.0] * 5]}
    found = collected_of(scores, data=V2, seeds=[0, 1])
    used = {("bert", 0): -2.0, ("distilbert", 0): 1.0, ("distilbert", 1): 2.0}

    def evaluated(slug: str, seed: int, threshold: float) -> Any:
        row = {"metric": "no_answer_threshold", "value": threshold, "unit": "logits", "n": 41}
        row["conditions"] = {"chosen_on": "held-out training questions"}
        return results_of(found.study, "evaluate", slug, seed, [row])

    return replace(
        found,
        predictions={key: predicted(threshold) for key, threshold in used.items()},
        evaluations={key: evaluated(*key, threshold) for key, threshold in used.items()},
    )


@pytest.fixture
def marks(collected: tables.Collected) -> pd.DataFrame:
    return no_answer_findings.marks(collected, no_answer_findings.curves(collected))


def test_each_curve_is_marked_at_the_threshold_used_at_0_and_at_its_best(marks):
    rows = marks[marks["seed"] == 0].set_index(["model", "mark"])
    assert rows.loc["BERT", "threshold"].to_dict() == {"used": -2, "at 0": 0, "best afterwards": -2}
    # Right of five: the first answered and both unanswerable left; of these one answered; ...
    assert rows.loc["BERT", "f1"].tolist() == pytest.approx([60, 40, 60])
    assert rows.loc["DistilBERT", "f1"].tolist() == pytest.approx([50, 40, 60])
    assert rows.loc[("DistilBERT", "used"), ["no_f1", "has_f1", "answered"]].tolist() == [50, 50, 80]


def test_a_model_has_its_figures_with_the_threshold_used_as_means_over_seeds(collected, marks):
    bert, distilbert = (row for _, row in no_answer_findings.models(collected, marks).iterrows())
    assert (bert["f1"], bert["has_f1"], bert["no_f1"]) == pytest.approx((60, 100 / 3, 100))
    assert (bert["thresholds"], bert["chosen_on"]) == ((-2,), 41)
    assert (bert["no_f1_low"], bert["no_f1_high"]) == (100, 100)
    assert bert["has_f1_low"] == 0
    assert (distilbert["f1"], distilbert["no_f1"]) == pytest.approx((40, 25))  # seeds reach 50 and 30; 50 and 0
    assert (distilbert["f1_at_0"], distilbert["f1_best"]) == pytest.approx((40, 60))
    assert distilbert["thresholds"] == (1, 2)


def test_the_sentences_say_what_the_threshold_gives_and_what_could_not_be_known(collected, marks):
    said = no_answer_findings.sentences(no_answer_findings.models(collected, marks))
    assert said["DistilBERT"].startswith(
        "With a threshold of 1.00 to 2.00 logits, by seed, chosen on 41 training questions"
    )
    assert "it rightly leaves 25.0 (0.0–50.0) % of the unanswerable questions unanswered" in said["DistilBERT"]
    assert "with threshold 0 it would have been 40.0, and at most 60.0 with the best threshold" in said["DistilBERT"]


def test_the_table_is_in_words_and_points(collected, marks):
    shown = no_answer_findings.shown(no_answer_findings.models(collected, marks))
    assert shown["threshold"].tolist() == ["-2.00", "1.00 to 2.00, by seed"]
    assert shown["rightly unanswered"].tolist() == ["100.0 (100.0–100.0)", "25.0 (0.0–50.0)"]
    said = no_answer_findings.caption(collected)
    assert said.endswith(
        "2 of the 5 validation questions have no answer in their passage, so never answering would reach F1 40.0."
    )


@pytest.fixture
def style() -> Any:
    with mpl.rc_context():
        figures.use_style()
        yield


def test_the_section_has_a_heading_a_table_and_two_described_charts(collected, style):
    markup = no_answer_figures.section(collected, {"BERT": "red", "DistilBERT": "blue"}).markup
    assert markup.startswith("<h3>When not to answer</h3>")
    assert (markup.count("<table"), markup.count("<img")) == (1, 2)
    assert "BERT 100.0 % and 33.3; DistilBERT 25.0 % and 50.0." in markup
    assert "BERT 60.0 as used, 40.0 at 0, 60.0 at best" in markup


def test_the_chart_has_a_line_a_seed_and_three_marks_on_each(collected, marks, style):
    curves = no_answer_findings.curves(collected)
    axes = no_answer_figures.tradeoff(curves, marks, {"BERT": "red", "DistilBERT": "blue"}).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert [line.get_xdata().tolist() for line in lines] == [[100, 100, 50, 50, 50, 0]] * 3
    assert lines[0].get_ydata().tolist() == pytest.approx([0, 100 / 3, 100 / 3, 50, 50, 50])
    assert len(axes.lines) == 3 + 3 * 3


def test_a_study_of_v1_has_no_such_section(collected_of):
    assert no_answer_figures.section(collected_of({"bert": [[1, 0]]}), {"BERT": "red"}).markup == ""


@pytest.mark.parametrize(("has_answer", "said"), [(True, "All of the 5"), (False, "None of the 5")])
def test_validation_questions_of_one_kind_give_one_sentence(collected, has_answer, said):
    one_kind = {key: frame.assign(has_answer=has_answer) for key, frame in collected.predictions.items()}
    markup = no_answer_figures.section(replace(collected, predictions=one_kind), {}).markup
    assert markup.startswith(f'<div class="notice"><p>{said} validation questions have an answer in their passage')


def test_a_small_study_goes_from_generated_questions_to_the_section(one_thread, collected_of, style, tmp_path):
    generated = {
        "source": "generated", "train_passages": 12, "validation_passages": 6, "questions_per_passage": 4,
        "unanswerable_share": 0.4, "threshold_questions": 12,
    }  # fmt: skip
    collected = collected_of({"bert": [[0.0]]}, data=generated)
    splits = sources.load(collected.study.data)
    tokenizer = networks.train_wordpiece([text for e in splits.train for text in (e.context, e.question)], 300)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    network = networks.load_network(
        config.Model(label="tiny", architecture="bert", config=sizes | {"max_position_embeddings": 192}),
        None, len(tokenizer), 0,
    )  # fmt: skip
    assert (features.build(splits.train, tokenizer, 192, 64).start_labels == 0).any()

    engine = pytorch.Engine(network, tokenizer.pad_token_id, "cpu")
    reading = answers.Reading(max_length=192, stride=64, batch_tokens=4096, v2=True)

    def ask(examples: Any) -> answers.Predictions:
        return answers.answer(engine, tokenizer, examples, reading)

    threshold = scoring.threshold(0.0, splits.threshold, ask)
    assert threshold.questions == len(splits.threshold) >= 12
    scored = scoring.score(ask(splits.validation), splits.validation, v2=True, threshold=threshold.value)
    rows = scoring.records(scored, splits.validation, v2=True, seed=0)
    rows += scoring.threshold_records(threshold, v2=True)
    scoring.write_predictions(scored, tmp_path / "predictions.parquet")
    whole = replace(
        collected,
        predictions={("bert", 0): tables._parquet(tmp_path / "predictions.parquet", tables._columns(collected.study))},
        evaluations={("bert", 0): results_of(collected.study, "evaluate", "bert", 0, rows)},
    )
    markup = no_answer_figures.section(whole, {"BERT": "red"}).markup
    assert f"chosen on {threshold.questions} training questions" in markup
    (row,) = no_answer_findings.models(whole, no_answer_findings.marks(whole, no_answer_findings.curves(whole))).iloc
    assert row["no_f1"] == pytest.approx(whole.evaluations["bert", 0].find("NoAns_f1").value)
    assert row["has_f1"] == pytest.approx(whole.evaluations["bert", 0].find("HasAns_f1").value)
    assert row["f1"] <= row["f1_best"]
