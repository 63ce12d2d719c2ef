"""The stages of a study, their dependencies, and which of them are stale."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.runs import graph
from qa_tradeoffs.runs.execute import stage_of
from qa_tradeoffs.runs.paths import RunPaths, study_name
from qa_tradeoffs.runs.selection import Selection, selected
from qa_tradeoffs.study import config

STUDY: dict[str, Any] = {
    "title": "A study",
    "about": "For tests.",
    "data": {"source": "files", "train": "train.json", "validation": "dev.json"},
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


@pytest.fixture
def chosen(tmp_path: Path) -> Selection:
    """A study of one model to train and one that came fine-tuned, with its files."""
    (tmp_path / "ready").mkdir()
    for name in ("train.json", "dev.json", "ready/config.json", "ready/model.safetensors", "ready/notes.md"):
        (tmp_path / name).write_text("{}")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return Selection(path, config.load(path), RunPaths(tmp_path / "run"), ("bert", "ready"), (3, 5))


def stages(chosen: Selection) -> list[graph.Step]:
    """All but the report, which would lie in the repository."""
    return graph.stages(chosen)[:-1]


def finish(chosen: Selection) -> None:
    """Write the files that every stage would write."""
    for stage in stages(chosen):
        for path in stage.targets:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"beside": {"checkpoint/model.safetensors": "0" * 64}}))
        stage.write_record(stage.inputs())


def stale(chosen: Selection) -> set[str]:
    return {f"{stage.name} {stage.slug} {stage.seed}" for stage in stages(chosen) if stage.stale}


def test_a_model_that_came_fine_tuned_is_not_trained_and_evaluated_once(chosen):
    assert [f"{stage.name} {stage.slug} {stage.seed}" for stage in stages(chosen)] == EVERYTHING


def test_a_study_that_was_never_run_is_stale_and_one_that_is_finished_is_not(chosen):
    assert stale(chosen) == set(EVERYTHING)
    finish(chosen)
    assert stale(chosen) == set()


EVERYTHING = [
    "train bert 3", "evaluate bert 3", "train bert 5", "evaluate bert 5", "evaluate ready 3", "profile bert None",
    "profile ready None", "compare  None", "analysis  None", "audit  None", "anomaly  None",
]  # fmt: skip
EXCURSIONS = {"audit  None", "anomaly  None"}
OF_READY = {"evaluate ready 3", "profile ready None", "compare  None", "analysis  None"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("dev.json", set(EVERYTHING) - EXCURSIONS),
        ("ready/model.safetensors", OF_READY),
        ("ready/notes.md", set()),
        ("run/bert/seed-3/evaluation.json", {"analysis  None"}),
    ],
)
def test_changed_bytes_make_results_stale_however_old_the_file(chosen, tmp_path, changed, expected):
    finish(chosen)
    (tmp_path / changed).write_text('{"other": 1}')
    os.utime(tmp_path / changed, (0, 0))  # as cp -p, mv, tar and rsync -t leave it
    assert stale(chosen) == expected


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("bert/seed-3/training.json", {"train bert 3", "evaluate bert 3", "compare  None", "analysis  None"}),
        ("4-compare.ipynb", {"compare  None", "analysis  None"}),
        ("bert/seed-5/2-evaluate.ipynb", {"evaluate bert 5", "analysis  None"}),
        ("bert/.3-profile.inputs.json", {"profile bert None", "analysis  None"}),
        ("5-analysis.ipynb", {"analysis  None"}),
        ("audit.ipynb", {"audit  None"}),
        (".anomaly.inputs.json", {"anomaly  None"}),
    ],
)
def test_lost_files_are_made_again_with_everything_that_depends_on_them(chosen, lost, expected):
    finish(chosen)
    (chosen.run.folder / lost).unlink()
    assert stale(chosen) == expected


def test_a_study_that_was_moved_with_its_files_and_results_is_not_stale(chosen, tmp_path):
    finish(chosen)
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    path = moved / "study.yaml"
    again = Selection(path, config.load(path), RunPaths(moved / "run"), chosen.models, chosen.seeds)
    assert stale(again) == set()


def test_a_models_own_recipe_makes_only_that_model_stale(chosen, tmp_path):
    finish(chosen)
    models = STUDY["models"] | {"ready": STUDY["models"]["ready"] | {"training": {"max_length": 128, "stride": 32}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"models": models}))
    again = Selection(
        tmp_path / "study.yaml", config.load(tmp_path / "study.yaml"), chosen.run, chosen.models, chosen.seeds
    )
    assert stale(again) == OF_READY


def test_a_comparison_of_all_models_is_valid_for_a_subset_but_not_the_reverse(chosen):
    finish(chosen)
    assert stale(replace(chosen, models=("ready",))) == {"analysis  None"}
    (compare,) = [stage for stage in stages(replace(chosen, models=("ready",))) if stage.name == "compare"]
    compare.write_record(compare.inputs())
    assert stale(chosen) == {"compare  None", "analysis  None"}


def test_the_comparison_is_of_the_first_seed_and_waits_for_its_trainings_alone(chosen):
    (compare,) = [stage for stage in stages(chosen) if stage.name == "compare"]
    assert [(stage.name, stage.slug, stage.seed) for stage in compare.after] == [("train", "bert", 3)]
    finish(chosen)
    (chosen.run.folder / "bert/seed-3/training.json").write_text('{"beside": {}}')  # trained again to other weights
    assert "compare  None" in stale(chosen)


def test_changed_inputs_are_named_and_missing_ones_refused(chosen, tmp_path):
    finish(chosen)
    (tmp_path / "train.json").write_text("[]")
    assert stages(chosen)[0].changes() == ["files"]
    (tmp_path / "dev.json").unlink()
    with pytest.raises(StudyError, match=r"dev\.json: no such file"):
        stages(chosen)[0].inputs()


def test_the_excursions_wait_for_no_stage_and_the_report_for_them(chosen):
    *_, analysis, audit, anomaly, report = graph.stages(chosen)
    assert [step.name for step in (analysis, audit, anomaly, report)] == ["analysis", "audit", "anomaly", "report"]
    assert audit.after == anomaly.after == ()
    assert report.after == (analysis, audit, anomaly)
    assert {Path(name).name for name in anomaly.inputs()["tables"]} >= {"anomaly.json", "engines.json"}
    assert "anomaly.json" not in {Path(name).name for name in audit.inputs()["tables"]}


def test_whether_texts_are_published_makes_nothing_stale(chosen, tmp_path):
    finish(chosen)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"publish_texts": True}))
    assert stale(replace(chosen, study=config.load(tmp_path / "study.yaml"))) == set()


def test_studies_of_one_file_name_in_two_folders_have_separate_results():
    names = [
        study_name(ROOT / path) for path in ("studies/demo.yaml", "mine.yaml", "exp1/study.yaml", "exp2/study.yaml")
    ]
    assert names == ["demo", "mine", "exp1-study", "exp2-study"]


def test_a_folder_of_results_belongs_to_one_study_file(tmp_path):
    one, other, run = tmp_path / "a" / "s.yaml", tmp_path / "b" / "s.yaml", RunPaths(tmp_path / "run")
    for path in (one, other):
        path.parent.mkdir()
        path.touch()
    run.claim(one)
    run.claim(one)
    with pytest.raises(StudyError) as error:
        run.claim(other)
    assert str(error.value) == (
        f"{tmp_path}/run: has the results of {one}, not of {other}; "
        "give RUN=runs/another-name, or rename the study file"
    )
    one.unlink()  # it was moved: its results go with it
    run.claim(other)


TAUGHT: dict[str, Any] = STUDY | {
    "models": {
        "student": {"label": "Student", "architecture": "distilbert", "teacher": "middle"},
        "middle": {"label": "Middle", "architecture": "bert", "config": {"num_hidden_layers": 6}, "teacher": "ready"},
        **STUDY["models"],
        "alone": {"label": "Alone", "architecture": "distilbert", "teacher": "bert"},
    }
}  # fmt: skip


def taught(chosen: Selection, models: tuple[str, ...], **distillation: float) -> Selection:
    """The study with students in front of their teachers."""
    content = json.loads(json.dumps(TAUGHT))
    if distillation:
        content["models"]["student"]["distillation"] = distillation
    chosen.study_file.write_text(yaml.safe_dump(content, sort_keys=False))
    return replace(chosen, study=config.load(chosen.study_file), models=models)


def test_a_student_waits_for_its_teacher_of_the_same_seed(chosen):
    found = stages(taught(chosen, ("student", "middle", "bert", "ready", "alone")))
    names = [f"{stage.name} {stage.slug} {stage.seed}" for stage in found]
    trainings = {(stage.slug, stage.seed): stage for stage in found if stage.name == "train"}
    waits = {key: [(before.slug, before.seed) for before in stage.after] for key, stage in trainings.items()}
    for seed in (3, 5):
        assert waits["student", seed] == [("middle", seed)]
        assert waits["alone", seed] == [("bert", seed)]
        assert waits["middle", seed] == waits["bert", seed] == []  # one came fine-tuned, and nobody taught the other
        assert names.index(f"train middle {seed}") < names.index(f"train student {seed}")
    assert len(names) == len(set(names))


def test_students_with_more_seeds_than_their_teacher_learn_from_its_runs_in_turn(chosen):
    content = json.loads(json.dumps(TAUGHT))
    content["models"]["bert"]["seeds"] = [3]
    chosen.study_file.write_text(yaml.safe_dump(content, sort_keys=False))
    found = stages(replace(chosen, study=config.load(chosen.study_file), models=("bert", "alone")))
    trainings = {(stage.slug, stage.seed): stage for stage in found if stage.name == "train"}
    waits = {key: [(before.slug, before.seed) for before in stage.after] for key, stage in trainings.items()}
    assert waits == {("bert", 3): [], ("alone", 3): [("bert", 3)], ("alone", 5): [("bert", 3)]}


def test_a_students_run_alone_has_the_inputs_that_it_has_in_make(chosen):
    """The notebook's parameters name one seed, which here is not one of the teacher's."""
    content = json.loads(json.dumps(TAUGHT))
    content["models"]["bert"]["seeds"] = [3]
    chosen.study_file.write_text(yaml.safe_dump(content, sort_keys=False))
    in_make = stages(replace(chosen, study=config.load(chosen.study_file), models=("bert", "alone")))
    (expected,) = (step for step in in_make if (step.name, step.slug, step.seed) == ("train", "alone", 5))
    parameters = {"study": str(chosen.study_file), "run": str(chosen.run.folder), "model": "alone", "seed": 5}
    found = stage_of("train", expected.notebook, parameters)
    assert found.inputs() == expected.inputs()
    assert [step.targets for step in found.after] == [step.targets for step in expected.after]


def test_a_student_is_trained_again_after_its_teacher(chosen, tmp_path):
    chosen = taught(chosen, ("student", "middle", "ready"))
    finish(chosen)
    assert stale(chosen) == set()
    written = tmp_path / "run" / "middle" / "seed-3" / "training.json"
    written.write_text(json.dumps({"beside": {"checkpoint/model.safetensors": "1" * 64}}))  # other weights
    assert {"train student 3", "evaluate student 3", "evaluate middle 3"} <= stale(chosen)
    assert not {"train middle 3", "train student 5", "profile student None"} & stale(chosen)
    (tmp_path / "ready" / "model.safetensors").write_text("other")  # the teacher's teacher
    assert {"train middle 5", "train student 5"} <= stale(chosen)


def test_how_much_a_teacher_counts_matters_to_the_training_and_not_to_the_profile(chosen):
    finish(taught(chosen, ("student", "middle", "ready")))
    again = stale(taught(chosen, ("student", "middle", "ready"), weight=0.9, temperature=2.0))
    assert {"train student 3", "train student 5"} <= again
    assert not {"profile student None", "train middle 3"} & again


def test_selecting_a_student_also_selects_its_teachers(tmp_path):
    (tmp_path / "ready").mkdir()
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(TAUGHT, sort_keys=False))
    found = selected({"STUDY": str(path), "MODELS": "student"})
    assert found.models == ("student", "middle", "ready")
    assert selected({"STUDY": str(path), "MODELS": "ready bert"}).models == ("ready", "bert")


@pytest.mark.parametrize(("seeds", "needed"), [("5", "models.bert has the seeds 3"), ("3 8 7", "")])
def test_seeds_that_a_model_does_not_have_are_refused(chosen, seeds, needed):
    content = json.loads(json.dumps(TAUGHT))
    content["models"]["bert"]["seeds"] = [3]
    chosen.study_file.write_text(yaml.safe_dump(content, sort_keys=False))
    asked = {"STUDY": str(chosen.study_file), "MODELS": "alone", "SEEDS": seeds}
    if not needed:  # another student of the teacher's only run
        assert selected(asked).seeds_of("bert") == (3,)
        return
    with pytest.raises(StudyError, match=f"^SEEDS: {needed};"):
        selected(asked)
