"""A result is stale if its part of the study, its libraries or its code changed, and only then.

Data and checkpoints are those of test_graph.py, edits of the code those of end_to_end/test_notebooks.py.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import training_results

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import inputs, results, stage
from qa_tradeoffs.study import config

STAGES: tuple[inputs.Stage, ...] = ("train", "evaluate", "profile")


@pytest.fixture
def digests(study_of: Callable[..., config.Study]) -> Callable[..., dict[str, str]]:
    """A function that gives the digest of each stage of BERT with seed 0; keywords replace the study's keys."""

    def of(**keys: object) -> dict[str, str]:
        study = study_of(**keys)
        return {name: inputs.digest(study, name, "bert", 0) for name in STAGES}

    return of


def wings(stage: str) -> set[str]:
    """The wings that a stage's notebook imports from, directly or through others, but to show what it computed."""
    source = "\n".join(inputs.code_cells(inputs.NOTEBOOKS[stage]))
    shown = () if stage == "analysis" else ("report",)
    return {path.parent.name for path in inputs.closure(inputs._imported(source), without=shown)}


def test_a_stage_s_code_is_all_that_its_notebook_imports():
    assert {"core", "study", "data", "models", "training", "runs"} <= wings("train")
    assert {"evaluation", "profiling", "analysis", "publish"} & wings("train") == set()
    assert "training" not in wings("evaluate") | wings("profile")
    assert {"analysis", "report"} <= wings("analysis")


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_each_stage_and_seed_has_its_own_reproducible_digest(digests, study_of):
    assert digests() == digests()
    assert len({*digests().values(), inputs.digest(study_of(), "train", "bert", 1)}) == 4


def test_a_stage_s_own_view_of_the_study_has_the_digests_of_the_whole(study_of):
    """If torch computes a model in two ways, the exported engines belong to the first."""
    model = {"label": "One", "architecture": "squeezebert"}
    models = {"one": model, "other": model | {"label": "Other", "grouped_matmul": True}}
    study = study_of(models=models, engines=["torch", "torch-bf16", "onnxruntime"])
    assert study.of("one").engines == ("torch", "torch-bf16", "onnxruntime")
    assert study.of("other").engines == ("torch", "torch-bf16")
    for slug in models:
        for name in STAGES:
            assert inputs.digest(study.of(slug), name, slug, 0) == inputs.digest(study, name, slug, 0)


@pytest.mark.parametrize(
    ("keys", "stale"),
    [
        ({"title": "Another"}, set()),
        ({"evaluation": {"max_answer_tokens": 5}}, {"evaluate", "profile"}),
        ({"training": {"learning_rate": 1e-3}}, {"train", "evaluate", "profile"}),
        ({"training": {"processes": 1}}, set()),
        ({"training": {"processes": 2}}, {"train", "evaluate", "profile"}),
    ],
)
def test_an_edit_of_the_study_makes_stale_what_depends_on_it(digests, keys, stale):
    assert changed(digests(), digests(**keys)) == stale


def test_another_version_of_a_library_makes_every_result_stale(digests, monkeypatch):
    before = digests()
    monkeypatch.setattr(inputs.importlib.metadata, "version", lambda name: "99" if name == "torch" else "1")
    assert changed(before, digests()) == set(STAGES)


def test_a_large_file_is_read_again_only_if_it_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(inputs, "_DIGESTS", tmp_path / "digests.json")
    large = tmp_path / "weights"
    large.write_bytes(b"a" * 2**20)
    inputs._digests.cache_clear()
    before = inputs.sha256(large)
    inputs._digests.cache_clear()  # as another command
    monkeypatch.setattr(inputs, "sha256_of", lambda path: "read again")
    assert inputs.sha256(large) == before
    large.write_bytes(b"b" * 2**20)
    os.utime(large, (0, 0))
    assert inputs.sha256(large) == "read again"
    inputs._digests.cache_clear()


def test_a_pickle_counts_only_if_there_are_no_safetensors(digests, tmp_path):
    model = {"bert": {"label": "BERT", "path": tmp_path}}
    for name in ("config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin", "training_args.bin"):
        (tmp_path / name).write_text("{}")
    before = digests(models=model)
    (tmp_path / "pytorch_model.bin").write_text("unused")
    assert changed(before, digests(models=model)) == set()
    (tmp_path / "model.safetensors").unlink()
    before = digests(models=model)
    (tmp_path / "training_args.bin").write_text("of its training")
    assert changed(before, digests(models=model)) == set()
    for name in ("pytorch_model.bin", "vocab.txt"):
        before = digests(models=model)
        (tmp_path / name).write_text("others")
        assert changed(before, digests(models=model)) == set(STAGES)


def test_weights_of_another_training_are_not_evaluated(tmp_path, study_of):
    job = stage.start("evaluate", "studies/smoke.yaml", "distilbert", 0, "cpu", str(tmp_path))
    with pytest.raises(StudyError, match=r"distilbert/seed-0/training\.json: is missing; run the stage that writes it"):
        job.trained_network()
    results.write(job.paths.training("distilbert", 0), training_results(study_of(), "distilbert", 0, 1.0))
    with pytest.raises(StudyError, match=r"training\.json: is stale"):
        job.trained_network()


def test_a_study_depends_on_every_file_of_its_folders_and_on_its_names_without_their_folders(study_of, tmp_path):
    for name in ("b.jsonl", "a.csv.gz", "notes.txt"):
        (tmp_path / name).write_text(name)
    study = study_of(data={"source": "files", "train": [tmp_path], "validation": "dev.json"})
    assert inputs.files(study, "bert") == {
        "data.train[0]": tmp_path / "a.csv.gz",
        "data.train[1]": tmp_path / "b.jsonl",
        "data.validation[0]": Path("dev.json"),
    }
    kept = inputs.without_folders(config.stage_inputs(study, "train", "bert"))["data"]
    assert (kept["train"], kept["validation"], kept["file"]) == ([tmp_path.name], ["dev.json"], None)
