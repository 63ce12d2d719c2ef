"""A study that names engines, through its notebooks: scores, times, files and the front over models and engines."""

from collections import Counter
from pathlib import Path

import onnx
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
MODELS = {
    "squeezebert": ENGINES,
    "squeezebert-rewritten": ["torch"],
}  # what is exported of the second is the first one's file
POINTS = {f"{model} {engine}".removesuffix(" torch") for model, engines in MODELS.items() for engine in engines}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunPaths]:
    """Study and results of a checkpoint in three engines, which torch computes in two ways."""
    folder = tmp_path_factory.mktemp("engines")
    traffic = {"questions_per_second": 5000, "p99_ms": 500}
    models = {
        slug: {"label": slug, "path": "squeezebert", "grouped_matmul": slug == "squeezebert-rewritten"}
        for slug in MODELS
    }
    study = write_study(folder / "study", ["squeezebert"], models=models, engines=ENGINES, traffic=traffic)
    paths = RunPaths(folder / "run")
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
    for model, engines in MODELS.items():
        reference = results.read(paths.evaluation(model, 0))
        assert not reference.all("engine_missing")
        assert paths.engines(model, 0).exists() == (len(engines) > 1)
        for engine in engines[1:]:
            found = results.read(paths.evaluation(model, 0, engine))
            answers = pd.read_parquet(paths.predictions(model, 0, engine))
            assert found.find("f1").value == pytest.approx(100 * answers["f1"].mean())
            assert found.find("f1").n == len(answers) == 4
            file = paths.engines(model, 0) / f"{engine}.onnx"
            assert found.find("bytes_on_disk").value == file.stat().st_size
            assert found.beside[f"engines/{engine}.onnx"] == inputs.sha256(file)
    fp32, torch = (pd.read_parquet(paths.predictions("squeezebert", 0, name)) for name in ("onnxruntime", "torch"))
    assert fp32["prediction"].tolist() == torch["prediction"].tolist()


@pytest.mark.xdist_group("engines")
def test_the_products_of_the_groups_are_integer_products(run):
    """All of them: of 2 layers with 6 products each, in as many groups as the checkpoint has, and those at the ends."""
    _, paths = run
    nodes = onnx.load(paths.engines("squeezebert", 0) / "onnxruntime-int8.onnx").graph.node
    kinds = Counter(node.op_type for node in nodes)
    of_activations = 2 * 2  # a layer's attention multiplies what depends on the question, twice
    assert kinds["MatMul"] == of_activations
    assert kinds["MatMulInteger"] > 2 * 6


@pytest.mark.xdist_group("engines")
def test_all_engines_are_timed_in_turn_and_share_one_front(run):
    study, paths = run
    compared = results.read_comparison(paths.comparison)
    assert set(compared.all("single_stream", "study")[0].models) == POINTS
    assert set(compared.all("offline", "study")[0].models) == POINTS
    collected, _ = for_analysis(str(study), run=str(paths.folder))
    assert set(collected.points) == POINTS
    models = accuracy.models(collected)
    table, contest = choices(collected, models, accuracy.differences(collected))
    assert len(table) == 4
    assert set(contest.models) <= set(table["model"])
    served = engined.table(collected)
    assert served["engine"].tolist() == ["torch", "ONNX Runtime", "int8", "torch"]
    assert served["differing"].tolist()[1] == 0
    assert served["times"].notna().tolist() == [False, True, True, False]


@pytest.mark.xdist_group("engines")
def test_the_report_has_their_table_their_front_and_the_machines_they_need(run):
    study, paths = run
    variables = {"study": str(study), "models": "", "seeds": "", "run": str(paths.folder)}
    for cell in inputs.code_cells(inputs.NOTEBOOKS["analysis"]):
        exec(cell, variables)
    held = variables["held"]
    assert set(held.machines["engine"]) == {"torch", "onnxruntime", "onnxruntime-int8"}
    assert len(held.machines) == 4
