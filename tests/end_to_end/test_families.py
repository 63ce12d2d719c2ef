"""Every encoder family through the notebooks that train, evaluate and profile, and several of them to a report."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Checkout

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.profiling import memory
from qa_tradeoffs.runs import inputs, results
from qa_tradeoffs.runs.paths import RunPaths
from tests.families import FAMILIES, checkpoint_of

GRID = {"batch_sizes": [1], "lengths": [16]}
STUDY: dict[str, Any] = {
    "title": "Families",
    "about": "Tiny checkpoints of encoder families.",
    "data": {"source": "files", "train": "train.json", "validation": "validation.json"},
    "training": {"learning_rate": 1e-3, "epochs": 1, "batch_size": 4, "max_length": 60, "stride": 8, "dropout": 0.2},
    "profile": {
        "forward": GRID, "training_step": {"batch_sizes": [2], "lengths": [16]}, "passes": 3, "warmup": 1,
        "min_repeats": 3, "min_seconds": 0.001, "questions": 2, "offline_batch_sizes": [2],
    },
    "price": "gcp-n1-standard-2",
}  # fmt: skip
KINDS = {"splinter": "AutoModelForPreTraining", "t5": "AutoModel", "xlnet": "AutoModel"}


def write_study(folder: Path, families: list[str]) -> Path:
    """A study of pretrained checkpoints of these families on four questions, in a new folder."""
    folder.mkdir()
    for family in families:
        checkpoint_of(family, folder / family, KINDS.get(family, "AutoModelForMaskedLM"))
    context = "Ada lives in Rome and Bob lives in Paris."
    for split in ("train", "validation"):
        questions = [
            {
                "id": f"{split} {name} {n}",
                "question": f"Where is {name}?",
                "answers": [{"text": place, "answer_start": context.index(place)}],
            }
            for n in range(2)
            for name, place in (("Ada", "Rome"), ("Bob", "Paris"))
        ]
        article = {"title": split, "paragraphs": [{"context": context, "qas": questions}]}
        (folder / f"{split}.json").write_text(json.dumps({"data": [article]}))
    models = {family: {"label": family, "path": family} for family in families}
    file = folder / "families.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"models": models}))
    return file


def run_cells(stage: inputs.Stage, **parameters: Any) -> None:
    """What a notebook computes, in this process."""
    variables = {"seed": 0, "device": "cpu", "processes": 0} | parameters
    for cell in inputs.code_cells(inputs.NOTEBOOKS[stage]):
        exec(cell, variables)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pretrained_checkpoint_is_trained_evaluated_and_profiled(family, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(memory, "prepare", lambda: None)  # no memory is measured
    study, run = write_study(tmp_path / "study", [family]), tmp_path / "run"
    for stage in ("train", "evaluate", "profile"):
        run_cells(stage, study=str(study), model=family, run=str(run))
    paths = RunPaths(run)
    training, evaluation, profile = (
        results.read(path) for path in (paths.training(family, 0), paths.evaluation(family, 0), paths.profile(family))
    )
    assert training.find("train_steps").conditions["dropout"] == 0.2
    assert evaluation.find("f1").n == 4
    measured = profile.find("forward_seconds", network="study", eager_control=False).conditions
    # Only Longformer looks at values to know what it computes.
    assert ("flops" in measured) == (family != "longformer")
    assert ("flops_missing" in measured) == (family == "longformer")
    step = profile.find("training_step_seconds", network="study").conditions
    assert step["dropout"] == 0.2
    assert profile.find("single_stream_seconds").value > 0


@pytest.mark.parametrize("family", ["t5", "xlnet"])
def test_a_tokenizer_that_cannot_say_no_answer_is_refused_before_anything_is_trained(family, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study, run = write_study(tmp_path / "study", [family]), tmp_path / "run"
    with pytest.raises(StudyError, match="extractive models need the leading special token to mean that a window has"):
        run_cells("train", study=str(study), model=family, run=str(run))
    assert not (run / family).exists()


def test_a_profile_that_the_network_is_too_short_for_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(STUDY["profile"], "training_step", {"batch_sizes": [1], "lengths": [16, 65]})
    study, run = write_study(tmp_path / "study", ["bert"]), tmp_path / "run"
    with pytest.raises(StudyError, match=r"^profile.training_step.lengths: 65 tokens, but the network takes 64; give"):
        run_cells("train", study=str(study), model="bert", run=str(run))
    assert not (run / "bert").exists()


@pytest.mark.slow
def test_a_study_of_several_families_ends_in_a_report(tmp_path):
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    study = write_study(tmp_path / "study", ["bart", "deberta-v2", "fnet", "longformer", "modernbert", "splinter"])
    done: subprocess.CompletedProcess[str] = checkout.make("all", f"STUDY={study}")
    assert done.returncode == 0, done.stdout + done.stderr
    report = Path(done.stdout.splitlines()[-1]).read_text()
    for family in ("bart", "deberta-v2", "fnet", "longformer", "modernbert", "splinter"):
        assert family in report
    assert "LongformerForQuestionAnswering cannot be counted without data" in report
