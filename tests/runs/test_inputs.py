"""A result is stale when its part of the study, its data or its code has changed, and never for anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_layers import imported

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import inputs, results, stage
from qa_tradeoffs.study import config

SOURCE = Path(inputs.__file__).parents[1]


@pytest.fixture
def digests(study_of: Callable[..., config.Study]) -> Callable[..., dict[str, str]]:
    """A function that gives the digest of each stage of BERT with seed 0; keywords replace the study's keys."""

    def of(**keys: object) -> dict[str, str]:
        study = study_of(**keys)
        return {name: inputs.digest(study, name, "bert", 0) for name in inputs.CODE}

    return of


def test_a_stage_s_code_is_all_that_its_modules_import_but_for_what_changes_no_number():
    plumbing = {"errors", "paths", "processes", "progress"}
    unused = {
        "train": set(),
        "evaluate": set(),
        "profile": {"baseline"},
    }  # evaluation imports it; a profile scores none
    for name, modules in inputs.CODE.items():
        needed = set(modules)
        for module in modules:
            needed |= imported(module)
        assert needed - set(modules) == (plumbing | unused[name]) & needed, name


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
        ("report/figures", set()),
        ("metrics/squad", {"evaluate", "profile"}),
        ("training/fine_tuning", {"train", "evaluate"}),
        ("profiling/clock", {"profile"}),
        ("models/networks", {"train", "evaluate", "profile"}),
    ],
)
def test_an_edit_of_the_code_makes_stale_what_it_computed(digests, monkeypatch, tmp_path, module, stale):
    before = digests()
    shutil.copytree(SOURCE, tmp_path / "copy")
    edited = tmp_path / "copy" / f"{module}.py"
    edited.write_bytes(edited.read_bytes() + b"# an edit")
    monkeypatch.setattr(inputs, "__file__", str(tmp_path / "copy" / "runs" / "inputs.py"))
    assert changed(before, digests()) == stale


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


def test_an_edit_of_a_notebook_s_code_makes_stale_what_it_computed_but_no_run_of_it_does(
    digests, monkeypatch, tmp_path
):
    before, path = digests(), tmp_path / "2-evaluate.ipynb"
    content = json.loads(inputs.NOTEBOOKS["evaluate"].read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    monkeypatch.setitem(inputs.NOTEBOOKS, "evaluate", path)
    code[0]["source"] = "model = 'distilbert'"  # the parameters
    code[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "it ran"}]
    path.write_text(json.dumps(content))
    assert changed(before, digests()) == set()
    code[1]["source"].append("\n# an edit")
    path.write_text(json.dumps(content))
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
    with pytest.raises(StudyError, match=r"training\.json: was made from other settings, data or code than there are"):
        job.trained_network()
