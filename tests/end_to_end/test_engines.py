"""A study that names engines, through its notebooks: scores, times, files and the front over models and engines."""

from pathlib import Path

import pandas as pd
import pytest

from qa_tradeoffs.analysis import accuracy
from qa_tradeoffs.analysis import engines as engined
from qa_tradeoffs.analysis.choice import choices
from qa_tradeoffs.analysis.collected import for_analysis
from qa_tradeoffs.profiling import memory
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from tests.end_to_end.test_families import run_cells, write_study

ENGINES = ["torch", "onnxruntime", "onnxruntime-int8"]
MODELS = ["bert", "squeezebert"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunPaths]:
    """Study and results of two checkpoints in three engines."""
    folder = tmp_path_factory.mktemp("engines")
    traffic = {"questions_per_second": 5000, "p99_ms": 500}
    study, paths = write_study(folder / "study", MODELS, engines=ENGINES, traffic=traffic), RunPaths(folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(memory, "prepare", lambda: None)
        for model in MODELS:
            for stage in ("train", "evaluate", "profile"):
                run_cells(stage, study=str(study), model=model, run=str(paths.folder))
        run_cells("compare", study=str(study), models="", run=str(paths.folder))
    return study, paths


@pytest.mark.xdist_group("engines")
def test_every_engine_has_its_answers_and_the_file_that_gave_them(run):
    _, paths = run
    for model in MODELS:
        reference = results.read(paths.evaluation(model, 0))
        assert not reference.all("engine_missing")
        for engine in ENGINES[1:]:
            found = results.read(paths.evaluation(model, 0, engine))
            answers = pd.read_parquet(paths.predictions(model, 0, engine))
            assert found.find("f1").value == pytest.approx(100 * answers["f1"].mean())
            assert found.find("f1").n == len(answers) == 4
            file = paths.engines(model, 0) / f"{engine}.onnx"
            assert found.find("bytes_on_disk").value == file.stat().st_size
            assert found.beside[f"engines/{engine}.onnx"] == inputs.sha256(file)
        fp32 = pd.read_parquet(paths.predictions(model, 0, "onnxruntime"))["prediction"]
        assert fp32.tolist() == pd.read_parquet(paths.predictions(model, 0))["prediction"].tolist()


@pytest.mark.xdist_group("engines")
def test_all_engines_are_timed_in_turn_and_stand_on_one_front(run):
    study, paths = run
    points = {f"{model} {engine}".removesuffix(" torch") for model in MODELS for engine in ENGINES}
    compared = results.read_comparison(paths.comparison)
    assert set(compared.all("single_stream", "study")[0].models) == points
    assert set(compared.all("offline", "study")[0].models) == points
    collected, _ = for_analysis(str(study), run=str(paths.folder))
    assert set(collected.points) == points
    models = accuracy.models(collected)
    table, contest = choices(collected, models, accuracy.differences(collected))
    assert len(table) == 6
    assert set(contest.models) <= set(table["model"])
    served = engined.table(collected)
    assert served["differing"].tolist()[1] == served["differing"].tolist()[4] == 0  # ONNX Runtime in fp32
    assert (served["times"].dropna() > 0).all() and served["times"].notna().sum() == 4


@pytest.mark.xdist_group("engines")
def test_the_report_has_their_table_their_front_and_the_machines_they_need(run):
    study, paths = run
    variables = {"study": str(study), "models": "", "seeds": "", "run": str(paths.folder)}
    for cell in inputs.code_cells(inputs.NOTEBOOKS["analysis"]):
        exec(cell, variables)
    held = variables["held"]
    assert set(held.machines["engine"]) == {"torch", "ONNX Runtime", "int8"}
    assert len(held.machines) == 6
