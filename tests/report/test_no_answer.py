"""The no-answer section: a table with verdicts, two described charts, and nothing where there is nothing to decide."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from conftest import results_of, v2_study

from qa_tradeoffs.analysis import collected as loading
from qa_tradeoffs.analysis import no_answer as analysis
from qa_tradeoffs.data import sources
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.report import no_answer

COLOURS = {"BERT": "red", "DistilBERT": "blue"}


@pytest.fixture
def collected(collected_of: Any) -> loading.Collected:
    return v2_study(collected_of)


def models_of(collected: loading.Collected) -> pd.DataFrame:
    return analysis.models(collected, analysis.marks(collected, analysis.curves(collected)))


def test_the_section_is_a_table_with_verdicts_and_two_described_charts(collected):
    shown = no_answer.table(models_of(collected), analysis.has_answer(collected)).cells
    assert shown["threshold, range over seeds"].tolist() == ["-2.00", "1.00 to 2.00"]
    assert shown["rightly unanswered"].tolist() == ["100.0 (100.0–100.0)", "25.0 (0.0–100.0)"]
    assert [verdict.split()[0] for verdict in shown["verdict"]] == ["0.0", "20.0"]
    markup = no_answer.section(collected, COLOURS).markup
    assert (markup.count("<table"), markup.count("<img")) == (1, 2)
    assert "2 of the 5 validation questions" in markup and "F1 40.0." in markup
    assert "BERT 100.0 % and 33.3; DistilBERT 25.0 % and 50.0." in markup
    assert "BERT 60.0 as used, 40.0 at 0, 60.0 at best" in markup


def test_the_chart_has_a_line_per_seed_and_three_marks_on_each(collected):
    curves = analysis.curves(collected)
    axes = no_answer.tradeoff_chart(curves, analysis.marks(collected, curves), COLOURS).figure.axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert [line.get_xdata().tolist() for line in lines] == [[100, 100, 50, 50, 50, 0]] * 3
    assert lines[0].get_ydata().tolist() == pytest.approx([0, 100 / 3, 100 / 3, 50, 50, 50])
    assert len(axes.lines) == 3 + 3 * 3


def test_a_study_of_v1_has_nothing_to_decide(collected_of):
    shown = no_answer.section(collected_of({"bert": [[1, 0]]}), COLOURS).markup
    assert shown == "<p>None: every question of this study has an answer in its passage.</p>"


@pytest.mark.parametrize(("has_answer", "which"), [(True, "all of the 5"), (False, "none of the 5")])
def test_validation_questions_of_one_kind_have_a_notice_alone(collected, has_answer, which):
    one_kind = {key: frame.assign(has_answer=has_answer) for key, frame in collected.predictions.items()}
    markup = no_answer.section(replace(collected, predictions=one_kind), {}).markup
    assert markup.startswith(f"<p>None: {which} ") and markup.count("<p>") == 1


def test_a_small_study_goes_from_generated_questions_to_the_section(collected_of, tokenizer, network_of, tmp_path):
    generated = {
        "source": "generated", "train_passages": 12, "validation_passages": 6, "questions_per_passage": 4,
        "unanswerable_share": 0.4, "threshold_questions": 12,
    }  # fmt: skip
    collected = collected_of({"bert": [[0.0]]}, data=generated)
    splits = sources.load(collected.study.data)
    network = network_of(max_position_embeddings=192)
    engine = pytorch.Engine(network, tokenizer.pad_token_id, "cpu")
    reading = answers.Reading(max_length=192, stride=64, batch_tokens=4096, v2=True)

    def ask(examples: Any) -> answers.Predictions:
        return answers.answer(engine, tokenizer, examples, reading)

    threshold = scoring.threshold(0.0, splits.threshold, ask)
    assert threshold.questions == len(splits.threshold) >= 12
    scored = scoring.score(ask(splits.validation), splits.validation, v2=True, threshold=threshold.value)
    rows = scoring.records(scored, splits.validation, v2=True)
    rows += scoring.threshold_records(threshold, v2=True)
    scoring.write_predictions(scored, tmp_path / "predictions.parquet")
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    evaluation = results_of(collected.study, "evaluate", "bert", 0, rows)
    whole = replace(collected, predictions={("bert", 0): predictions}, evaluations={("bert", 0): evaluation})
    assert no_answer.section(whole, COLOURS).markup.count("<img") == 2
    (row,) = models_of(whole).iloc
    assert row["chosen_on"] == threshold.questions
    assert row["no_f1"] == pytest.approx(whole.evaluations["bert", 0].find("NoAns_f1").value)
    assert row["has_f1"] == pytest.approx(whole.evaluations["bert", 0].find("HasAns_f1").value)
    assert row["f1"] <= row["f1_best"]
