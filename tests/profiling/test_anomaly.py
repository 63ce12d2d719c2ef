"""What is called in turn, that ratios are taken within a round, and what the command says and writes."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.analysis import attribution
from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.profiling import anomaly, variants
from qa_tradeoffs.profiling.anomaly import measure
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.variants import BERT, PUBLISHED, REWRITTEN, WATERFALL
from qa_tradeoffs.runs import results

CPU = torch.device("cpu")
ALL = [*(variant.name for variant in WATERFALL), "BERT, eager attention", "fused attention"]
MASKS = ["fast dropout masks", "rewritten, fast dropout masks", "BERT, fast dropout masks"]
FEW = ["as published", "rewritten", "BERT"]
# Seconds by round, the first being the warm-up: the machine is ten times as slow in the last.
SPEED = [1000.0, 1.0, 2.0, 10.0]
COST = {"as published": 4.0, "rewritten": 2.0, "BERT": 5.0, "rewritten, without groups": 5.5}


@pytest.fixture
def network(network_of: Callable[..., Any]) -> Any:
    return network_of("squeezebert")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Call]]:
    """The calls of every round so far; what is called takes as long as SPEED and COST say."""
    asked: list[dict[str, Call]] = []

    def alternate(calls: dict[str, Call], device: torch.device, *, warmup: int, rounds: int) -> dict[str, Any]:
        assert (warmup, rounds) == (0, 1)
        speed = SPEED[len(asked) % len(SPEED)]
        asked.append(calls)
        return {name: np.array([speed * COST.get(name, 3.0)]) for name in calls}

    monkeypatch.setattr(anomaly, "alternate", alternate)
    return asked


@pytest.fixture
def unattributed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the profiler, which takes seconds, where only what is called in turn is looked at."""
    monkeypatch.setattr(anomaly, "_attributed", lambda *arguments, **settings: [])


def one(rows: list[dict[str, Any]], metric: str, **conditions: Any) -> dict[str, Any]:
    (found,) = (r for r in rows if r["metric"] == metric and conditions.items() <= r["conditions"].items())
    return found


def test_all_variants_run_forward_and_at_the_highest_dropout_the_compared_ones_at_the_others(
    network, rounds, unattributed
):
    measure(network, [(2, 8), (1, 16)], dropouts=[0.0, 0.1], rounds=3, device=CPU)
    assert [list(calls) for calls in rounds[:: len(SPEED)]] == [ALL, FEW, [*ALL, "no dropout", *MASKS]] * 2
    assert len(rounds) == 2 * 3 * (1 + 3)


def test_medians_leave_out_the_warm_up_and_ratios_are_taken_within_rounds(network, rounds, unattributed):
    rows = measure(network, [(2, 8)], dropouts=[0.1], rounds=3, device=CPU, network="study", weights="random")
    records = results.records(rows)
    assert len(records) == len(rows)
    published = one(rows, "variant_training_step_seconds", variant="as published")
    assert (published["value"], published["n"], published["unit"]) == (8, 3, "s per call")  # of 4, 8 and 40
    assert published["interval"] == {"low": 4, "high": 40, "level": 0.95, "over": "passes"}
    expected = {
        "work": "training_step", "precision": "fp32", "batch_size": 2, "length": 8, "dropout": 0.1,
        "network": "study", "weights": "random", "position": 0, "step": "as published", "alone": False,
    }  # fmt: skip
    assert expected.items() <= published["conditions"].items()
    ratio = one(rows, "variant_ratio", work="training_step", variant="rewritten", over="as published")
    assert ratio["value"] == 0.5
    assert (ratio["interval"]["low"], ratio["interval"]["high"]) == (0.5, 0.5)  # the same in slow rounds as in fast


def test_the_tables_can_be_made_of_the_records(network, rounds, unattributed):
    rows = measure(network, [(2, 8)], dropouts=[0.0, 0.1], rounds=3, device=CPU)
    steps = attribution.waterfall(rows).query("work == 'training_step'")
    assert steps["seconds"].tolist() == [8, 6, 6, 4, 11, 10]
    assert steps["change"].tolist()[1:] == [-2, 0, -2, 7, -1]
    assert steps["ratio"].tolist()[1:] == pytest.approx([3 / 4, 1, 2 / 3, 5.5 / 2, 5 / 5.5])
    alone = attribution.one_at_a_time(rows)
    assert alone["variant"].tolist() == [
        *["matrix products", "fused attention"] * 2, "no dropout", "fast dropout masks",
    ]  # fmt: skip
    aims = attribution.aims(rows)
    assert len(aims) == len(attribution.AIMS)
    assert aims["reached"].all()  # 2 / 4 and 2 / 5


def test_time_is_attributed_at_the_last_point_and_the_highest_dropout(network, rounds):
    rows = measure(network, [(1, 16), (2, 8)], dropouts=[0.0, 0.3], rounds=3, device=CPU, weights="random")
    table = attribution.operators(rows)
    assert list(table["model"].unique()) == ["SqueezeBERT as published", "SqueezeBERT rewritten", "BERT", "DistilBERT"]
    assert table[["batch_size", "length", "precision"]].drop_duplicates().to_numpy().tolist() == [[2, 8, "fp32"]]
    assert table.groupby("work")["dropout"].unique().map(list).to_dict() == {"forward": [0.0], "training_step": [0.3]}
    whole = table.groupby(["model", "work"])["share"].sum()
    assert whole.tolist() == pytest.approx([1.0] * 8)
    # What is published has convolutions, what is rewritten has none but the same operations.
    step = table[table["work"] == "training_step"].pivot(index="operations", columns="model", values="gflop")
    published, rewritten = step["SqueezeBERT as published"], step["SqueezeBERT rewritten"]
    assert published["convolution backward"] == 2 * published["convolution forward"] > 0
    assert rewritten["convolution forward"] == rewritten["convolution backward"] == 0
    assert rewritten.sum() == pytest.approx(published.sum())


def test_what_is_called_is_a_forward_pass_of_the_same_weights(network, rounds, unattributed):
    measure(network, [(2, 8)], dropouts=[0.1], rounds=3, device=CPU)
    calls = rounds[0]
    shared = [v.name for v in WATERFALL[:4]] + ["fused attention"]
    wanted = calls["as published"]()
    assert wanted.shape == (2, 8)
    for name in shared:
        torch.testing.assert_close(calls[name](), wanted, rtol=0, atol=1e-5)
    assert (calls["BERT"]() - wanted).abs().max() > 1e-3


def test_steps_of_variants_train_the_same_parameters_with_one_optimizer(network):
    originals = variants.networks(network, CPU, seed=0)
    (comparison,) = [c for c in anomaly._comparisons("fp32", (2, 8), [0.1], CPU) if c.work == "training_step"]
    steps = anomaly._calls(comparison, originals, CPU, seed=0)
    assert steps["rewritten"].updates is steps["as published"].updates is steps["no dropout"].updates
    assert steps["BERT"].updates is steps["BERT, eager attention"].updates is not steps["as published"].updates
    weight = originals[PUBLISHED.network].qa_outputs.weight
    for step in (steps["as published"], steps["rewritten"]):
        before = weight.detach().clone()
        step()
        assert not torch.equal(weight, before)
        assert weight.grad is None
    assert steps["as published"].updates.state[weight]["step"] == 2


def test_training_steps_train_with_dropout_and_forward_passes_do_not(network):
    originals = variants.networks(network, CPU, seed=0)
    seen: list[tuple[bool, float]] = []
    layer = originals[PUBLISHED.network].transformer.encoder.layers[0]
    layer.output.dropout.register_forward_hook(lambda module, *_: seen.append((module.training, module.p)))
    for comparison in anomaly._comparisons("fp32", (2, 8), [0.0, 0.3], CPU):
        anomaly._calls(comparison, originals, CPU, seed=0)["as published"]()
    assert seen == [(False, 0.0), (True, 0.0), (True, 0.3)]


def test_the_network_that_was_given_stays_as_it_is(network):
    before = {name: values.clone() for name, values in network.state_dict().items()}
    classes = [type(module) for module in network.modules()]
    measure(network, [(1, 8)], dropouts=[0.1], rounds=2, device=CPU)
    assert [type(module) for module in network.modules()] == classes
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_bf16_alone_is_in_mixed_precision_while_the_run_is_not(network, monkeypatch):
    monkeypatch.setattr(variants, "others", lambda *arguments: (variants._BF16,))
    originals = variants.networks(network, CPU, seed=0)
    forward, _ = anomaly._comparisons("fp32", (2, 8), [0.1], CPU)
    calls = anomaly._calls(forward, originals, CPU, seed=0)
    assert (calls["bf16"]().dtype, calls["as published"]().dtype) == (torch.bfloat16, torch.float32)


def test_the_number_format_of_the_run_holds_while_it_measures(network, rounds, unattributed, monkeypatch):
    allowed = []
    inner = anomaly.alternate
    monkeypatch.setattr(
        anomaly, "alternate", lambda *a, **k: (allowed.append(torch.backends.cudnn.allow_tf32), inner(*a, **k))[1]
    )
    measure(network, [(1, 8)], dropouts=[0.1], rounds=3, device=CPU, formats=["fp32", "tf32"])
    assert allowed == [False] * 8 + [True] * 8


def test_a_length_that_the_network_does_not_take_is_refused(network, rounds):
    with pytest.raises(StudyError, match=r"^points: 65 tokens, but the network takes 64"):
        measure(network, [(1, 8), (1, 65)], dropouts=[0.1], rounds=3, device=CPU)
    assert rounds == []


def test_running_out_of_memory_is_said_in_a_sentence(network, monkeypatch):
    def fail(*arguments: Any, **settings: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(anomaly, "alternate", fail)
    with pytest.raises(StudyError, match=r"^points: 2x8 takes more memory than this device has"):
        measure(network, [(2, 8)], dropouts=[0.1], rounds=3, device=CPU)


@pytest.fixture
def small(network: Any, rounds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command measures a tiny network in place of the published one."""
    monkeypatch.setattr(anomaly, "models", SimpleNamespace(from_config=lambda config: network))
    monkeypatch.setattr(anomaly.devices, "use_all_cores", lambda: None)


def test_the_command_prints_tables_and_writes_what_can_be_read_back(small, tmp_path, capsys):
    out = tmp_path / "new" / "anomaly.json"
    anomaly.main(["--points", "1x8", "1x8", "--rounds", "3", "--device", "cpu", "--out", str(out)])
    found = results.read_experiment(out)
    assert (found.experiment, found.origin.seed, found.origin.device["type"]) == ("anomaly", 0, "cpu")
    assert {record.conditions["network"] for record in found.records} == {"full size"}
    rows = [record.model_dump() for record in found.records]
    assert len(attribution.waterfall(rows)) == 2 * len(WATERFALL)  # the point that was given twice is measured once
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[-1] == str(out)
    for text in ("step by step", "convolutions as matrix products", "One change at a time", "no dropout", "at most"):
        assert text in printed.out
    assert progress.VARIABLE not in os.environ


def test_progress_is_told_up_to_the_end(network, rounds, monkeypatch):
    told: dict[tuple[str, int], list[int]] = {}

    class Progress:
        def __init__(self, label: str, total: int) -> None:
            self.done = told.setdefault((label, total), [])

        def update(self, done: int) -> None:
            self.done.append(done)

    monkeypatch.setattr(progress, "Progress", Progress)
    measure(network, [(2, 8)], dropouts=[0.0], rounds=3, device=CPU)
    # 16 tokens: 8 variants forward, then 8 in a step worth three passes; four rounds each
    assert told == {
        ("token passes", 2048): [128, 256, 384, 512, 896, 1280, 1664, 2048],
        ("attribution", 4): [1, 2, 3, 4],
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--points", "8"], "--points: '8' is no batch size x length; give such as 8x384"),
        (["--points", "0x8"], "--points: '0x8' is no batch size x length"),
        (["--points", "1x99"], "points: 99 tokens, but the network takes 64"),
        (["--dropout", "1"], "--dropout: '1' is no probability"),
        (["--dropout", "high"], "--dropout: 'high' is no probability"),
        (["--rounds", "1"], "--rounds: '1' is too few or no number; give 2 or more"),
        (["--precision", "bf16"], "--precision: 'bf16' is not to be had on this device; choose of fp32"),
        (["--device", "tpu"], "DEVICE: 'tpu' is no device"),
        (["--out", "/dev/null/anomaly.json"], "--out: /dev/null cannot be made"),
        (["--out", "/"], "--out: / cannot be written"),
    ],
)
def test_a_wrong_argument_is_a_sentence_before_anything_is_measured(arguments, sentence, small, rounds, tmp_path):
    given = ["--device", "cpu", "--out", str(tmp_path / "anomaly.json"), *arguments]
    with pytest.raises(StudyError) as raised:
        anomaly.main(given)
    assert str(raised.value).startswith(sentence)
    assert rounds == []


def test_a_gpu_is_measured_at_a_larger_point_and_in_the_precisions_it_has(small, monkeypatch, tmp_path):
    asked: dict[str, Any] = {}

    def note(network: Any, points: Any, /, **settings: Any) -> None:
        asked.update(settings, points=points)
        raise StudyError("measured enough")

    monkeypatch.setattr(anomaly, "measure", note)
    monkeypatch.setattr(anomaly.devices, "choose", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(anomaly.devices, "precision", lambda asked, device: "bf16")
    with pytest.raises(StudyError, match="measured enough"):
        anomaly.main(["--out", str(tmp_path / "anomaly.json")])
    expected = {"points": [(16, 384)], "rounds": 20, "formats": ["fp32", "bf16"], "dropouts": [0.0, 0.1]}
    assert expected.items() <= asked.items()


def test_tables_and_variants_call_things_by_the_same_names():
    assert (PUBLISHED.name, REWRITTEN.name, BERT.name) == (
        attribution.PUBLISHED, attribution.REWRITTEN, attribution.BERT
    )  # fmt: skip
