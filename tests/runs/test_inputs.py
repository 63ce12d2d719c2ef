"""A result is stale when its part of the study, its data or its code has changed, and never for anything else."""

import json
import os
import shutil
from collections.abc import Callable, Iterator

import pytest

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
    """The wings that a stage's notebook imports from, directly or through others."""
    source = "\n".join(inputs.code_cells(inputs.NOTEBOOKS[stage]))
    return {path.parent.name for path in inputs.closure(inputs._imported(source))}


def test_a_stage_s_code_is_all_that_its_notebook_imports():
    assert {"core", "study", "data", "models", "training", "runs"} <= wings("train")
    assert {"evaluation", "profiling", "analysis", "publish"} & wings("train") == set()
    assert "training" not in wings("evaluate") | wings("profile")
    assert {"analysis", "report"} <= wings("analysis")


@pytest.fixture(autouse=True)
def forget_afterwards() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    """The code is read once a command; here it changes within one."""
    inputs.code.cache_clear()
    inputs._imported.cache_clear()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_each_stage_has_a_digest_of_its_own_that_can_be_repeated(digests):
    assert digests() == digests()
    assert len(set(digests().values())) == 3


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


@pytest.mark.parametrize(
    ("module", "stale"),
    [
        ("report/display", set()),
        ("runs/forecast", set()),
        ("metrics/squad", {"evaluate", "profile"}),
        ("training/collation", {"train", "evaluate"}),
        ("profiling/clock", {"profile"}),
        ("runs/stage", {"train", "evaluate", "profile"}),
    ],
)
def test_an_edit_of_the_code_makes_stale_what_it_computed(digests, monkeypatch, tmp_path, module, stale):
    before = digests()
    source = tmp_path / "qa_tradeoffs"
    shutil.copytree(inputs.SOURCE, source)
    edited = source / f"{module}.py"
    edited.write_bytes(edited.read_bytes() + b"# an edit")
    monkeypatch.setattr(inputs, "SOURCE", source)
    forget()
    assert changed(before, digests()) == stale


def test_another_version_of_a_library_makes_every_result_stale(digests, monkeypatch):
    before = digests()
    monkeypatch.setattr(inputs.importlib.metadata, "version", lambda name: "99" if name == "torch" else "1")
    assert changed(before, digests()) == set(STAGES)


def test_a_large_file_is_read_again_only_where_it_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(inputs, "_DIGESTS", tmp_path / "digests.json")
    large = tmp_path / "weights"
    large.write_bytes(b"a" * 2**20)
    inputs._digests.cache_clear()
    before = inputs.sha256(large)
    inputs._digests.cache_clear()  # as another command
    monkeypatch.setattr(inputs, "_plain_sha256", lambda path: "read again")
    assert inputs.sha256(large) == before
    large.write_bytes(b"b" * 2**20)
    os.utime(large, (0, 0))
    assert inputs.sha256(large) == "read again"
    inputs._digests.cache_clear()


def test_other_content_of_a_data_file_makes_every_stage_stale(digests, tmp_path):
    for name in ("train.json", "dev.json"):
        (tmp_path / name).write_text("{}")
    data = {"source": "files", "train": tmp_path / "train.json", "validation": tmp_path / "dev.json"}
    before = digests(data=data)
    (tmp_path / "dev.json").touch()
    assert changed(before, digests(data=data)) == set()
    (tmp_path / "dev.json").write_text("{ }")
    assert changed(before, digests(data=data)) == {"train", "evaluate", "profile"}


def test_other_weights_in_a_model_s_folder_make_its_results_stale(digests, tmp_path):
    model = {"bert": {"label": "BERT", "path": tmp_path}}
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text("{}")
    before = digests(models=model)
    (tmp_path / "README.md").write_text("Another text")
    assert changed(before, digests(models=model)) == set()
    (tmp_path / "model.safetensors").write_text("{ }")
    assert changed(before, digests(models=model)) == {"train", "evaluate", "profile"}


def test_a_pickle_counts_only_where_there_are_no_safetensors(digests, tmp_path):
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
        assert changed(before, digests(models=model)) == {"train", "evaluate", "profile"}


def test_an_edit_of_a_notebook_s_code_makes_stale_what_it_computed_but_no_run_of_it_does(
    digests, monkeypatch, tmp_path
):
    before, path = digests(), tmp_path / "2-evaluate.ipynb"
    content = json.loads(inputs.NOTEBOOKS["evaluate"].read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    monkeypatch.setitem(inputs.NOTEBOOKS, "evaluate", path)
    forget()
    code[0]["source"] = "model = 'distilbert'"  # the parameters
    code[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "it ran"}]
    path.write_text(json.dumps(content))
    forget()
    assert changed(before, digests()) == set()
    code[1]["source"].append("\n# an edit")
    path.write_text(json.dumps(content))
    forget()
    assert changed(before, digests()) == {"evaluate"}


def test_another_seed_has_other_results(study_of):
    assert inputs.digest(study_of(), "train", "bert", 0) != inputs.digest(study_of(), "train", "bert", 1)


def test_weights_of_another_training_are_not_evaluated(tmp_path):
    job = stage.start("evaluate", "studies/smoke.yaml", "distilbert", 0, "cpu", str(tmp_path))
    with pytest.raises(StudyError, match=r"distilbert/seed-0/training\.json: is missing; run the stage that writes it"):
        job.trained_network()
    origin = {"git_commit": None, "git_dirty": None, "seed": 0, "device": {}, "python": "3", "versions": {}}
    shas = {"study_sha256": "a", "inputs_sha256": "b", "data_sha256": "c"}
    provenance = origin | shas | {"study": "smoke.yaml", "checkpoint": "", "revision": None}
    record = {"metric": "train_steps", "value": 1, "unit": "updates", "n": 1}
    content = {"stage": "train", "model": "distilbert", "provenance": provenance, "records": [record]}
    path = job.paths.training("distilbert", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    assert results.read(path).stage == "train"
    with pytest.raises(StudyError, match=r"training\.json: was made from other settings, data, code or"):
        job.trained_network()
