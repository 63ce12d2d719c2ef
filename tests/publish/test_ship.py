"""Exported models are the evaluated ones with their figures; others have a reason why they cannot be exported."""

from dataclasses import replace
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import shipped
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import checkpoints
from qa_tradeoffs.publish import ship
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths
from tests.analysis.conftest import compared
from tests.conftest import evaluation_results, in_turn, predictions_of

POINT = "bert onnxruntime-int8"


@pytest.fixture
def evaluated(collected_of, network_of, tokenizer, tmp_path) -> Any:
    """A trained BERT that int8 runs four times as fast with one answer of four lost, and its run."""
    models = {"bert": {"label": "BERT", "architecture": "bert", "config": {"hidden_size": 16}}}
    engines = ["torch", "torch-bf16", "onnxruntime-int8"]
    collected = collected_of({"bert": [[1.0, 1.0, 1.0, 0.0]]}, models=models, engines=engines)
    run = RunPaths(tmp_path / "run")
    checkpoints.save(network_of("bert"), tokenizer, run.checkpoint("bert", 0))
    file, frame = run.engines("bert", 0) / "onnxruntime-int8.onnx", run.predictions("bert", 0, "onnxruntime-int8")
    file.parent.mkdir()
    file.write_bytes(b"a network")
    predictions_of([1.0, 1.0, 0.0, 0.0]).to_parquet(frame)
    scored = evaluation_results(collected.study, "bert", 0, 50, 4)
    records = [record.under({"precision": "int8"}) for record in scored.records]
    found = scored.model_copy(
        update={
            "records": (*records, Record.of("bytes_on_disk", 9, "bytes")),
            "beside": results.fingerprints(run.seed_folder("bert", 0), frame, file),
        }
    )
    results.write(run.evaluation("bert", 0, "onnxruntime-int8"), found)
    torch = collected.evaluations["bert", 0]
    reason = {"engine": "torch-bf16", "reason": "torch-bf16: this device does not multiply bf16 natively"}
    missing = torch.model_copy(
        update={"records": (*torch.records, Record.of("engine_missing", 1, "1", conditions=reason))}
    )
    timed = compared(collected, in_turn("single_stream", {"bert": 0.2, POINT: 0.05}))
    return replace(
        timed,
        evaluations={("bert", 0): missing},
        engine_evaluations={(POINT, 0): found},
        engine_predictions={(POINT, 0): predictions_of([1.0, 1.0, 0.0, 0.0])},
    ), run


def test_a_folder_has_the_network_that_was_evaluated_its_tokenizer_and_its_figures(evaluated, tmp_path):
    folder = ship.ship(*evaluated, "bert", "onnxruntime-int8", tmp_path / "exports")
    assert folder == tmp_path / "exports/bert-onnxruntime-int8"
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "network.onnx", "serving.json", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    assert (folder / shipped.NETWORK).read_bytes() == b"a network"
    text = (folder / "README.md").read_text()
    assert text.startswith("# BERT in int8\n")
    assert "F1 50.0 (49.0–51.0) on 4 questions" in text
    # Of the differences 0, 0, 0 and -1 the mean less 3.18 standard errors is -104.6, more than there is to lose.
    assert "F1 -25.0 (-100.0 to +54.6) points" in text and "1 of 4 answers changed" in text
    assert "4.00 (4.00 to 4.00) times as fast as in torch" in text and "some processor (AVX2), 2 threads" in text
    again = ship.ship(*evaluated, "bert", "onnxruntime-int8", tmp_path / "exports")
    assert again == folder and [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (
            "onnxruntime",
            "ENGINE: 'onnxruntime' is not an engine of bert; it has torch, torch-bf16, onnxruntime-int8",
        ),
        ("torch-bf16", "ENGINE: bert has no result to export: torch-bf16: this device does not multiply bf16 natively"),
        ("torch", "ENGINE: torch runs the checkpoint itself; choose onnxruntime or onnxruntime-int8"),
    ],
)
def test_what_cannot_be_exported_says_why(evaluated, tmp_path, engine, message):
    collected, run = evaluated
    results.write(run.evaluation("bert", 0), collected.evaluations["bert", 0])
    with pytest.raises(StudyError, match=message):
        ship.ship(*evaluated, "bert", engine, tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


def test_a_file_other_than_the_evaluated_one_is_not_exported(evaluated, tmp_path):
    collected, run = evaluated
    (run.engines("bert", 0) / "onnxruntime-int8.onnx").write_bytes(b"another")
    with pytest.raises(StudyError, match=r"onnxruntime-int8\.onnx: .*run make all"):
        ship.ship(collected, run, "bert", "onnxruntime-int8", tmp_path / "exports")
