"""The command that measures SqueezeBERT's anomaly: its plan and its result file."""

import os
from typing import Any

import pytest
import torch

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import precisions
from qa_tradeoffs.profiling.anomaly import Plan
from qa_tradeoffs.profiling.workloads import Setting
from qa_tradeoffs.runs import anomaly, results

RECORD = Record.of("variant_ratio", 0.5, "1", 5)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Setting]]:
    """Records the plan instead of measuring; no network is built."""
    asked: list[tuple[Plan, Setting]] = []

    def measure(network: Any, plan: Plan, setting: Setting, conditions: dict[str, Any]) -> list[Record]:
        assert network == "a squeezebert"
        assert progress.VARIABLE in os.environ
        asked.append((plan, setting))
        return [RECORD.under(conditions)]

    monkeypatch.setattr(anomaly.anomaly, "measure", measure)
    monkeypatch.setattr(anomaly.networks, "from_config", lambda config: f"a {config.model_type}")
    monkeypatch.setattr(anomaly.devices, "use_all_cores", lambda: None)
    return asked


def test_the_command_writes_what_can_be_read_back(measured, tmp_path, capsys):
    out = tmp_path / "new" / "anomaly.json"
    given = ["--points", "1x8", "2x8", "1x8", "--rounds", "3", "--dropout", "0.1", "0"]
    anomaly.main([*given, "--device", "cpu", "--out", str(out)])
    plan = Plan(points=((1, 8), (2, 8)), dropouts=(0.0, 0.1), rounds=3)
    assert measured == [(plan, Setting(torch.device("cpu"), ("fp32",), seed=0))]
    experiment = results.read_experiment(out)
    assert (experiment.experiment, experiment.origin.seed, experiment.origin.device["type"]) == ("anomaly", 0, "cpu")
    assert experiment.records == (RECORD.under({"network": "full size", "weights": "random"}),)
    assert capsys.readouterr() == (f"{out}\n", "")
    assert progress.VARIABLE not in os.environ


def test_a_gpu_is_measured_at_a_larger_point_and_in_the_precisions_it_has(measured, monkeypatch, tmp_path):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(anomaly.devices, "choose", lambda name: gpu)
    monkeypatch.setattr(precisions, "native_bf16", lambda device_type: True)
    monkeypatch.setattr(anomaly.devices, "describe", lambda device: {"name": "a GPU"})
    anomaly.main(["--out", str(tmp_path / "anomaly.json")])
    assert measured == [(Plan(((16, 384),), (0.0, 0.1), rounds=20), Setting(gpu, ("fp32", "bf16"), seed=0))]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--points", "8"], "--points: '8' is not batch size x length; give, for example, 8x384"),
        (["--points", "0x8"], "--points: '0x8' is not batch size x length"),
        (["--dropout", "1"], "--dropout: '1' is not a probability"),
        (["--dropout", "high"], "--dropout: 'high' is not a probability"),
        (["--rounds", "1"], "--rounds: '1' is not a whole number above 1; give 2 or more"),
        (["--precision", "bf16"], "--precision: 'bf16' is not available on this device; choose from fp32"),
        (["--device", "tpu"], "DEVICE: 'tpu' is not a device"),
        (["--out", "/dev/null/anomaly.json"], "'/dev/null': "),
        (["--out", "/"], "--out: / is a folder"),
    ],
)
def test_a_wrong_argument_is_a_sentence_before_anything_is_measured(arguments, sentence, measured, tmp_path):
    with pytest.raises(StudyError) as raised:
        anomaly.main(["--device", "cpu", "--out", str(tmp_path / "anomaly.json"), *arguments])
    assert str(raised.value).startswith(sentence)
    assert measured == []
