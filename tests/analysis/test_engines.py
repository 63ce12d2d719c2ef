"""Models in engines: each compared with itself in torch, one front for all, and reasons for missing figures."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from qa_tradeoffs.analysis import accuracy, choice, engines
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs import inputs, results
from tests.analysis.conftest import compared
from tests.conftest import evaluation_results, in_turn, predictions_of, write_beside

ENGINES = ["torch", "onnxruntime", "onnxruntime-int8"]
EQUAL = [1.0, 0.5, 1.0, 1.0] * 10
WORSE = [1.0, 0.5, 0.0, 1.0] * 10  # every fourth answer lost


def evaluation(collected: Collected, slug: str, scores: list[float], size: float) -> results.Results:
    found = evaluation_results(collected.study, slug, 0, 100 * sum(scores) / len(scores), len(scores))
    return found.model_copy(update={"records": (*found.records, Record.of("bytes_on_disk", size, "bytes"))})


@pytest.fixture
def served(collected_of: Callable[..., Collected]) -> Collected:
    """BERT in three engines: ONNX Runtime gives the same answers in half the time, int8 loses some in a quarter of it.

    DistilBERT could not be exported.
    """
    collected = collected_of({"bert": [EQUAL], "distilbert": [WORSE]}, engines=ENGINES)
    answered = {"bert onnxruntime": EQUAL, "bert onnxruntime-int8": WORSE}
    seconds = {"bert": 0.2, "bert onnxruntime": 0.1, "bert onnxruntime-int8": 0.05, "distilbert": 0.1}
    memory = Record.of(
        "engine_memory_bytes", 2**21, "bytes", conditions={"model": "bert", "engine": "onnxruntime", "network": "study"}
    )
    reasons = [
        Record.of("engine_missing", 1, "1", conditions={"engine": name, "reason": f"{name}: cannot be exported"})
        for name in ENGINES[1:]
    ]
    distilbert = collected.evaluations["distilbert", 0]
    missing = distilbert.model_copy(update={"records": (*distilbert.records, *reasons)})
    timed = compared(collected, in_turn("single_stream", seconds), records=[memory])
    return replace(
        timed,
        evaluations=collected.evaluations | {("distilbert", 0): missing},
        engine_evaluations={(p, 0): evaluation(collected, "bert", s, 1000 * len(p)) for p, s in answered.items()},
        engine_predictions={(p, 0): predictions_of(s) for p, s in answered.items()},
    )


def test_points_are_models_in_the_engines_that_answered(served):
    assert served.points == ["bert", "bert onnxruntime", "bert onnxruntime-int8", "distilbert"]
    assert [served.label(point) for point in served.points] == [
        "BERT", "BERT (ONNX Runtime)", "BERT (int8)", "DistilBERT"
    ]  # fmt: skip
    assert served.distinct == ["bert", "distilbert"]
    assert accuracy.models(served)["model"].tolist() == ["BERT", "DistilBERT"]
    assert accuracy.variants(served).empty


def test_each_engine_is_compared_with_its_model_in_torch(served):
    table = engines.table(served).set_index(["model", "engine"])
    same, lossy = table.loc["BERT", "ONNX Runtime"], table.loc["BERT", "int8"]
    assert (same["f1_difference"], same["differing"], same["answers"], same["kept"]) == (0, 0, 40, "yes")
    # Ten of forty answers lost whole: 25 points of F1, from 87.5 to 62.5.
    assert (lossy["f1_difference"], lossy["differing"], lossy["kept"]) == (pytest.approx(-25), 10, "no")
    assert (lossy["f1"], lossy["exact_match"]) == (pytest.approx(62.5), pytest.approx(50))
    assert (same["times"], lossy["times"]) == (pytest.approx(2), pytest.approx(4))
    assert (same["times_pace"], same["bytes"], same["memory"]) == ("faster", 16_000, 2**21)
    torch = table.loc["BERT", "torch"]
    assert (torch["f1"], torch["bytes"]) == (pytest.approx(87.5), 400e6)


def test_an_engine_without_a_result_has_its_reason(served):
    table = engines.table(served).set_index(["model", "engine"])
    assert table.loc["DistilBERT", "int8"]["reason"] == "onnxruntime-int8: cannot be exported"
    assert table.loc["BERT", "int8"]["reason"] == ""


def test_an_engine_that_was_not_timed_is_not_a_point(served):
    works = in_turn("single_stream", {"bert": 0.2, "bert onnxruntime": 0.1, "distilbert": 0.1})
    short = compared(served, works)
    assert "bert onnxruntime-int8" not in short.points
    reasons = engines.table(short).set_index(["model", "engine"])["reason"]
    assert "memory" in reasons["BERT", "int8"]


def test_a_study_with_torch_alone_has_no_table(collected_of):
    assert engines.table(collected_of({"bert": [EQUAL], "distilbert": [WORSE]})).empty


def test_every_point_has_a_standing_by_its_own_answers_and_times(served):
    table, contest = choice.choices(served, accuracy.models(served), accuracy.differences(served))
    standing = dict(zip(table["model"], table["standing"], strict=True))
    assert table["of"].tolist() == ["BERT"] * 3 + ["DistilBERT"]
    # The same answers in half the time; and int8, with the same scores as DistilBERT, in half of its time.
    assert standing["BERT"] == "dominated" and contest.dominators("BERT") == ["BERT (ONNX Runtime)"]
    assert contest.gap("BERT (int8)", "DistilBERT").verdict == "equal"
    assert contest.dominators("DistilBERT") == ["BERT (int8)"]
    assert (standing["BERT (ONNX Runtime)"], standing["BERT (int8)"]) == ("front", "front")
    # Raw p values of the four pairs with an engine that differ are one and the same; Holm multiplies by the pairs.
    assert (
        contest.gap("BERT (int8)", "BERT").p_value > accuracy.compared(served, "bert onnxruntime-int8", "bert").p_value
    )
    assert table.set_index("model").loc["BERT (int8)", "bytes"] == 21_000


def test_results_of_engines_are_read_and_refused_like_others(written_study, study_of, served, tmp_path):
    from qa_tradeoffs.analysis import collected as reading
    from tests.conftest import comparison_of, price_at_par, usual_works

    _, run = written_study
    study = study_of(engines=["torch", "onnxruntime"])
    for slug in ("bert", "distilbert"):
        for name in ("torch", "onnxruntime"):
            frame = run.predictions(slug, 0, name)
            predictions_of([1, 0]).to_parquet(frame)
            write_beside(run.evaluation(slug, 0, name), evaluation_results(study, slug, 0, 50, 2), frame)
    slugs = ("bert", "distilbert")
    times: dict[str, Any] = dict.fromkeys((*slugs, *(f"{slug} onnxruntime" for slug in slugs)), 0.1)
    results.write(run.comparison, comparison_of(study, slugs, *usual_works(times)))
    found = reading.collect(study, price_at_par(), run, slugs, [0])
    assert found.points == ["bert", "bert onnxruntime", "distilbert", "distilbert onnxruntime"]
    run.evaluation("bert", 0, "onnxruntime").unlink()
    with pytest.raises(StudyError, match=r"evaluation-onnxruntime\.json: is missing; run the stage"):
        reading.collect(study, price_at_par(), run, slugs, [0])


def test_the_libraries_of_engines_are_inputs_only_if_a_study_names_engines(study_of, monkeypatch):
    alone, several = study_of(), study_of(engines=ENGINES)
    assert "engine_versions" not in inputs.of(alone, "evaluate", "bert", 0)
    assert inputs.of(several, "evaluate", "bert", 0)["engine_versions"].keys() == {"onnx", "onnxruntime", "onnxscript"}
    before = inputs.digest(several, "evaluate", "bert", 0)
    monkeypatch.setattr(inputs.importlib.util, "find_spec", lambda name: None)
    assert inputs.digest(several, "evaluate", "bert", 0) != before
    assert inputs.digest(several, "train", "bert", 0) == inputs.digest(alone, "train", "bert", 0)
