"""A teacher's logits are computed once, stored with their inputs, and become its students' targets."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import checkpoints, inputs
from qa_tradeoffs.runs import results, stage, teaching

SIZES = {"vocab_size": 300, "max_position_embeddings": 192}
STUDY: dict[str, Any] = {
    "data": {"source": "generated", "train_passages": 4, "validation_passages": 2, "questions_per_passage": 2},
    "models": {
        "bert": {
            "label": "BERT",
            "architecture": "bert",
            "config": SIZES | {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        },
        "student": {
            "label": "Student",
            "architecture": "distilbert",
            "config": SIZES | {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
            "teacher": "bert",
            "distillation": {"temperature": 4},
            "training": {"max_length": 96},
        },
    },
    "training": {"max_length": 192, "stride": 32, "precision": "fp32"},
    "profile": {"forward": {"batch_sizes": [1], "lengths": [8]}, "training_step": {"batch_sizes": [1], "lengths": [8]}},
}


@pytest.fixture
def opened(tmp_path: Path, one_thread: None) -> Any:
    """A function that opens the training of a model of the study."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return lambda slug: stage.start("train", str(tmp_path / "study.yaml"), slug, 0, "cpu", str(tmp_path / "run"))


@pytest.fixture
def teacher(opened: Any) -> Any:
    """The teacher as notebook 1 leaves it, untrained, with ten seconds on two devices as its cost."""
    job = opened("bert")
    network = job.untrained_network()
    checkpoints.save(network, job.tokenizer, job.paths.checkpoint("bert", 0))
    took = Record.of("train_seconds", 10, "s", conditions={"devices": 2})
    written = [job.paths.checkpoint("bert", 0)]
    results.write(job.paths.training("bert", 0), job.collect([took], beside=written))
    return network.eval()


def taught(opened: Any) -> tuple[stage.Stage, features.Windows, teaching.Taught]:
    job = opened("student")
    windows = job.windows(job.questions[0], job.tokenizer)
    return job, windows, teaching.of(job, job.questions[0], windows)


def test_the_logits_are_the_teachers_and_the_targets_sum_to_one_in_each_window(opened, teacher):
    job, windows, found = taught(opened)
    logits = np.load(job.paths.logits("bert", 0))
    theirs = features.build(job.splits.train, job.tokenizer, 192, 32)  # by its own recipe
    assert logits.shape == (2, len(theirs.input_ids))
    for row in range(len(theirs.lengths)):
        batch = inputs.of(teacher).batch(theirs, np.array([row]), 0)
        with torch.no_grad():
            output = teacher(**batch)
        own = slice(*theirs.splits[row : row + 2])
        np.testing.assert_allclose(logits[0, own], output.start_logits[0], atol=1e-5)
        np.testing.assert_allclose(logits[1, own], output.end_logits[0], atol=1e-5)
    assert (found.lesson.teacher, found.lesson.weight, found.lesson.temperature) == ("bert", 0.5, 4)
    sums = np.add.reduceat(found.lesson.probabilities, windows.splits[:-1], axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_what_a_teacher_costs_is_recorded(opened, teacher):
    _, windows, found = taught(opened)
    values = {record.metric: record for record in found.records}
    assert values["teacher_train_seconds"].value == 20  # of one device
    assert values["teacher_logits_seconds"].value > 0
    assert 0 < values["teacher_dropped"].value < 1
    assert values["teacher_dropped"].n == len(windows.lengths)
    assert list(found.summary()) == [
        "teacher", "weight", "time to compute the teacher's logits", "probability dropped", "time to train the teacher"
    ]  # fmt: skip
    assert (found.summary()["teacher"], found.summary()["time to train the teacher"]) == ("bert", "20.0 s")


def test_logits_are_computed_once_for_all_students_and_again_if_stale(opened, teacher, monkeypatch):
    job, _, first = taught(opened)
    computed: list[Path] = []
    real = teaching._compute
    monkeypatch.setattr(teaching, "_compute", lambda *given: (computed.append(given[2]), real(*given))[1])
    assert taught(opened)[2].records == first.records
    assert computed == []
    path = job.paths.logits("bert", 0)
    kept = path.read_bytes()
    path.write_bytes(kept[:-4] + b"\0\0\0\0")
    taught(opened)
    assert computed == [path]
    assert path.read_bytes() == kept


def test_an_untrained_or_stale_teacher_is_refused(opened, teacher, tmp_path):
    content = STUDY | {"training": STUDY["training"] | {"epochs": 1}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(StudyError, match=r"bert/seed-0/training\.json: is stale"):
        taught(opened)
    (tmp_path / "run" / "bert" / "seed-0" / "training.json").unlink()
    with pytest.raises(StudyError, match=r"bert/seed-0/training\.json: is missing; run the stage that writes it"):
        taught(opened)


def test_nan_logits_are_refused_and_not_kept(opened, teacher, monkeypatch):
    def broken(*given: Any, **settings: Any) -> Any:
        teacher.qa_outputs.bias.data[1] = float("nan")
        return teacher

    monkeypatch.setattr(teaching.checkpoints, "load", broken)
    with pytest.raises(StudyError, match="the teacher's logits are not all finite"):
        taught(opened)
    assert not opened("student").paths.logits("bert", 0).exists()


def test_a_model_without_a_teacher_has_no_lesson_and_no_cost(opened):
    job = opened("bert")
    windows = job.windows(job.questions[0], job.tokenizer)
    found = teaching.of(job, job.questions[0], windows)
    assert (found.lesson, found.records, found.summary()) == (None, [], {"teacher": "none"})


def test_questions_that_the_student_holds_out_are_not_among_its_windows(opened, teacher):
    job = opened("student")
    held_out = job.study.training.model_copy(update={"early_stopping_questions": 3})
    job = dataclasses.replace(job, study=job.study.model_copy(update={"training": held_out}))
    questions, out = job.questions
    assert len(out) >= 3
    assert {e.title for e in questions}.isdisjoint(e.title for e in out)
    windows = job.windows(questions, job.tokenizer)
    targets = teaching.of(job, questions, windows).lesson.probabilities
    whole = taught(opened)[2].lesson.probabilities
    assert targets.shape == (2, len(windows.input_ids))
    assert targets.shape[1] < whole.shape[1]
