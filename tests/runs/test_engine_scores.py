"""A study's engines, two of them defined here: scored beside torch, or left out with a reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import pytorch, registry
from qa_tradeoffs.engines.protocol import Trained
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.runs import comparing, engine_scores, results
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.runs.stage import Stage
from qa_tradeoffs.study import config
from qa_tradeoffs.study.engines import KINDS, LABELS, Kind

STUDY = {
    "data": {"source": "generated", "train_passages": 1, "validation_passages": 2, "questions_per_passage": 3},
    "models": {"bert": {"label": "BERT", "architecture": "bert"}},
    "training": {"max_length": 64, "stride": 8, "max_question_tokens": 16},
}


class Toy(pytorch.Engine):
    """Torch with its logits the other way round, so that it finds the worst spans; its file is a note."""

    def __init__(self, trained: Trained) -> None:
        super().__init__(trained.network, trained.pad_token_id, trained.device)
        trained.folder.mkdir(parents=True, exist_ok=True)
        self.file = trained.folder / "toy"
        self.file.write_text("worst")
        self.conditions = {"precision": "fp32", "toy": "1.0"}

    def logits(self, windows: Any, rows: Any) -> Any:
        return tuple(-logits for logits in super().logits(windows, rows))


class Overflowing(pytorch.Engine):
    def logits(self, windows: Any, rows: Any) -> Any:
        return tuple(np.full_like(logits, np.nan) for logits in super().logits(windows, rows))


def absent(trained: Trained) -> Any:
    import no_such_engine  # noqa: F401


TOYS = {
    "toy": Toy,
    "overflowing": lambda trained: Overflowing(trained.network, trained.pad_token_id, trained.device),
    "absent": absent,
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """An evaluation of a study with three engines besides torch."""
    for name, prepare in TOYS.items():
        monkeypatch.setitem(KINDS, name, Kind(name.title()))
        monkeypatch.setitem(LABELS, name, name.title())
        monkeypatch.setitem(registry.PREPARE, name, prepare)
    file = tmp_path / "study.yaml"
    file.write_text("")
    study = config.check(STUDY | {"engines": ["torch", *TOYS]}, file)
    return Stage("evaluate", file, study, "bert", 0, torch.device("cpu"), RunPaths(tmp_path / "run"))


@pytest.fixture
def network(network_of) -> Any:
    return network_of(initializer_range=0.3)


def test_each_engine_is_scored_kept_and_read_back_and_those_that_fail_say_why(job, network, tokenizer):
    engines = engine_scores.score(job, network, tokenizer, 0.0, "en")
    assert list(engines.scored) == ["toy"]
    assert engines.reasons == {
        "absent": "absent: is not installed (No module named 'no_such_engine')",
        "overflowing": engines.reasons["overflowing"],
    }
    assert engines.reasons["overflowing"].startswith("overflowing: the model's start and end logits are not all finite")
    assert [record.conditions["engine"] for record in engines.missing] == ["absent", "overflowing"]

    examples = job.splits.validation
    torch_engine = pytorch.Engine(network, tokenizer.pad_token_id, "cpu")
    answered = answers.answer(torch_engine, tokenizer, examples, Reading.of(job.study))
    reference = scoring.score(answered, examples, v2=False, threshold=0.0)
    changed = int((engines.scored["toy"].frame["prediction"] != reference["prediction"]).sum())
    assert changed > 0
    table = engine_scores.table(reference, engines)
    assert table["engine"].tolist() == ["Toy", "Absent", "Overflowing"]
    assert table["answers changed"].tolist() == [f"{changed} of 6", "", ""]
    assert table["note"].tolist()[1:] == list(engines.reasons.values())

    (path,) = engine_scores.write(job, engines, language="en")
    found = results.read(path)
    assert path == job.paths.folder / "bert/seed-0/evaluation-toy.json"
    assert found.find("f1").conditions.items() >= {"engine": "toy", "toy": "1.0", "language": "en"}.items()
    assert found.find("bytes_on_disk").value == len("worst")
    assert found.beside.keys() == {"predictions-toy.parquet", "engines/toy"}
    kept = pd.read_parquet(job.paths.predictions("bert", 0, "toy"))
    assert kept["prediction"].tolist() == engines.scored["toy"].frame["prediction"].tolist()


def test_exported_files_are_reused_only_if_they_belong_to_the_evaluation(job, network, tokenizer):
    object.__setattr__(job.study, "engines", ("torch", "toy"))
    assert comparing.evaluated_files(job) is None
    engine_scores.write(job, engine_scores.score(job, network, tokenizer, 0.0, "en"), language="en")
    folder = job.paths.engines("bert", 0)
    assert comparing.evaluated_files(job) == folder
    (folder / "toy").write_text("other")
    assert comparing.evaluated_files(job) is None


def test_files_of_other_weights_are_removed_before_an_engine_is_prepared(job, network, tokenizer):
    folder = job.paths.engines("bert", 0)
    folder.mkdir(parents=True)
    (folder / "onnxruntime.onnx").write_text("old")
    engine_scores.score(job, network, tokenizer, 0.0, "en")
    assert [path.name for path in folder.iterdir()] == ["toy"]


def test_a_study_with_torch_alone_has_no_other_rows(tmp_path, network, tokenizer):
    file = tmp_path / "study.yaml"
    study = config.check(STUDY, file)
    job = Stage("evaluate", file, study, "bert", 0, torch.device("cpu"), RunPaths(tmp_path))
    engines = engine_scores.score(job, network, tokenizer, 0.0, "en")
    assert engine_scores.table(pd.DataFrame(), engines).empty
    assert engine_scores.write(job, engines) == engines.missing == []
    assert comparing.evaluated_files(job) is None


def test_an_unknown_engine_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(StudyError, match=r"engines\[1\]: must be one of torch, .* \(it is 'tensorrt'\)"):
        config.check(STUDY | {"engines": ["torch", "tensorrt"]}, tmp_path / "study.yaml")
