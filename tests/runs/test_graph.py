"""What make is told of a study, and that an edit touches only the files of the stages that it changes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_tradeoffs.core import errors
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs import graph, inputs
from qa_tradeoffs.study import config

STUDY: dict[str, Any] = {
    "title": "A study",
    "about": "For tests.",
    "data": {"source": "generated", "train_passages": 4, "validation_passages": 2},
    "models": {
        "bert": {"label": "BERT", "architecture": "bert"},
        "ready": {"label": "Ready", "path": "ready", "fine_tuned": True},
    },
    "seeds": [3, 5],
    "profile": {
        "forward": {"batch_sizes": [1], "lengths": [16]},
        "training_step": {"batch_sizes": [2], "lengths": [16]},
    },
    "price": "gcp-t4",
}
PRICES = ROOT / "studies" / "prices.yaml"


def study_file(folder: Path, **keys: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | keys))
    return path


def test_make_learns_models_seeds_and_which_of_them_are_trained(tmp_path):
    assert graph.describe(config.load(study_file(tmp_path)), PRICES).splitlines() == [
        "STUDY_MODELS := bert ready",
        "STUDY_TRAINED := bert",
        "STUDY_SEEDS := 3 5",
        "DATA_FILES := ",
        "FILES_ready := ",
        *(
            f"{stage.upper()}_CODE := {' '.join(f'src/qa_tradeoffs/{module}.py' for module in modules)}"
            for stage, modules in inputs.CODE.items()
        ),
    ]


def test_make_learns_the_data_files(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).touch()
    study = config.load(study_file(tmp_path, data={"source": "files", "train": "a.json", "validation": "b.json"}))
    line = f"DATA_FILES := {tmp_path / 'a.json'} {tmp_path / 'b.json'}"
    assert line in graph.describe(study, PRICES).splitlines()


def test_make_learns_the_files_of_a_checkpoint_on_this_machine(tmp_path):
    (tmp_path / "ready").mkdir()
    for name in ("config.json", "model.safetensors", "notes.md"):
        (tmp_path / "ready" / name).touch()
    line = f"FILES_ready := {tmp_path}/ready/config.json {tmp_path}/ready/model.safetensors"
    assert line in graph.describe(config.load(study_file(tmp_path)), PRICES).splitlines()


def test_a_data_file_that_is_not_there_is_refused_before_any_work(tmp_path):
    study = config.load(study_file(tmp_path, data={"source": "files", "file": "absent.json"}))
    with pytest.raises(StudyError) as error:
        graph.describe(study, PRICES)
    assert str(error.value) == f"data.file: there is no file {tmp_path / 'absent.json'}"


@pytest.mark.parametrize("name", ["my data.json", "10%.json", "a#b.json", "$a.json", "c:d.json"])
def test_a_path_that_make_would_misread_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    study = config.load(study_file(tmp_path, data={"source": "files", "file": name}))
    with pytest.raises(
        StudyError, match=r"^data\.file: make cannot follow the path '.*'; rename it to letters, digits"
    ):
        graph.describe(study, PRICES)


def test_every_stage_of_every_model_has_a_file_with_its_inputs(tmp_path):
    study = config.load(study_file(tmp_path))
    graph.write_stage_inputs(study, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run" / "stages").iterdir()} == {
        "train-bert.json", "evaluate-bert.json", "profile-bert.json",
        "train-ready.json", "evaluate-ready.json", "profile-ready.json", "analysis.json",
    }  # fmt: skip
    written = json.loads((tmp_path / "run" / "stages" / "train-bert.json").read_text())
    assert written == config.stage_inputs(study, "train", "bert") | {"code": list(inputs.CODE["train"])}


@pytest.mark.parametrize(
    ("keys", "rewritten"),
    [
        ({}, set()),
        ({"title": "Another"}, {"analysis.json"}),
        (
            {"evaluation": {"max_answer_tokens": 5}},
            {
                "analysis.json",
                *(f"{stage}-{slug}.json" for stage in ("evaluate", "profile") for slug in ("bert", "ready")),
            },
        ),
    ],
)
def test_only_files_whose_content_changes_are_written_again(tmp_path, keys, rewritten):
    stages = tmp_path / "run" / "stages"
    graph.write_stage_inputs(config.load(study_file(tmp_path)), tmp_path / "run")
    before = {path.name: path.stat().st_ino for path in stages.iterdir()}
    graph.write_stage_inputs(config.load(study_file(tmp_path, **keys)), tmp_path / "run")
    assert {path.name for path in stages.iterdir() if path.stat().st_ino != before[path.name]} == rewritten


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sedes": [1]}, "sedes: unknown key; the keys here are title, "),
        ({"price": "free"}, "price: there is no price 'free' in the price table; it has gcp-p100, "),
    ],
)
def test_the_command_ends_with_code_2_one_line_and_nothing_written(tmp_path, capsys, keys, said):
    path = study_file(tmp_path, **keys)
    with pytest.raises(SystemExit) as end:
        errors.exit_cleanly(lambda: graph.main([str(path), str(tmp_path / "run")]))
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert printed.out == ""
    assert printed.err.startswith(f"error: {path}: {said}")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_command_prints_what_make_includes(tmp_path, capsys):
    study = config.load(study_file(tmp_path))
    graph.main([str(tmp_path / "study.yaml"), str(tmp_path / "run")])
    assert capsys.readouterr().out == graph.describe(study, PRICES)
    assert (tmp_path / "run" / "stages" / "analysis.json").is_file()


def test_an_interrupted_command_ends_with_code_130(capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        errors.exit_cleanly(interrupted)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_study_of_published_checkpoints_trains_nothing():
    study = config.load(ROOT / "studies" / "original-checkpoints.yaml")
    described = graph.describe(study, ROOT / "studies" / "prices.yaml")
    assert "STUDY_MODELS := bert distilbert squeezebert\nSTUDY_TRAINED := \n" in described
