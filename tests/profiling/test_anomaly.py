"""Variants are called in turn, and ratios are taken within a round."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.analysis import anomaly as tables
from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.passes import Surroundings
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.profiling import anomaly, variants, workloads
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.traces import CLASSES, Reading
from qa_tradeoffs.profiling.variants import PUBLISHED, WATERFALL
from tests.profiling.conftest import CPU, SETTING

ALL = [*(variant.name for variant in WATERFALL), "as published, again", "BERT, eager attention", "fused attention"]
MASKS = ["fast dropout masks", "rewritten, fast dropout masks", "BERT, fast dropout masks"]
FEW = ["as published", "as published, again", "rewritten", "BERT"]
PROFILED = ["as published, profiled", "rewritten, profiled", "BERT, profiled", "DistilBERT, profiled"]
# Seconds by round, the first being the warm-up: the machine is ten times as slow in the last.
SPEED = [1000.0, 1.0, 2.0, 10.0]
MEAN = 20 ** (1 / 3)  # of the rounds that count, geometric
COST = {
    "as published": 4.0,
    "as published, again": 4.0,
    "rewritten": 2.0,
    "BERT": 5.0,
    "rewritten, without groups": 5.5,
}


@pytest.fixture
def network(network_of: Callable[..., Any]) -> Any:
    return network_of("squeezebert")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Call]]:
    """The calls of every round so far; they take as long as SPEED and COST say, and only those profiled are made."""
    asked: list[dict[str, Call]] = []

    def alternate(calls: dict[str, Call], device: torch.device, *, warmup: int, rounds: int) -> dict[str, Any]:
        assert (warmup, rounds) == (0, 1)
        speed = SPEED[len(asked) % len(SPEED)]
        asked.append(calls)
        for name in PROFILED:
            calls.get(name, lambda: None)()
        return {name: np.array([speed * COST.get(name, 3.0)]) for name in calls}

    monkeypatch.setattr(anomaly, "alternate", alternate)
    return asked


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is quiet except in every fourth round, the last round of each comparison."""

    class Watch:
        def __init__(self, device: torch.device, precision: str) -> None:
            self.begun = 0

        def begin(self) -> None:
            self.begun += 1

        def end(self) -> Surroundings:
            return Surroundings(steal=0.25, foreign=0.25 * (self.begun % len(SPEED) == 0), rate=1e9)

    monkeypatch.setattr(anomaly.quiet, "Watch", Watch)
    monkeypatch.setattr(anomaly.quiet, "contended", lambda found, best: ("other programs",) * (found.foreign > 0))


@pytest.fixture
def unattributed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the profiler, which takes seconds, in tests of interleaved calls."""
    reading = Reading(dict.fromkeys(CLASSES, 1.0), dict.fromkeys(CLASSES, 0), duration=1.0)
    monkeypatch.setattr(anomaly.operators, "profiled", lambda call, device, scores: reading)


def comparison(work: str, *dropouts: float) -> Any:
    """The one at the last of the dropouts."""
    plan = anomaly.Plan(((2, 8),), dropouts, rounds=3)
    return [found for found in anomaly._comparisons(plan, SETTING) if found.work == work][-1]


def measure(network: Any, *points: tuple[int, int], **changes: Any) -> list[Record]:
    plan = {"dropouts": (0.1,), "rounds": 3} | changes
    conditions = {"network": "study", "weights": "random"}
    return anomaly.measure(network, anomaly.Plan(points, **plan), SETTING, conditions)


def one(records: list[Record], metric: str, **conditions: Any) -> Record:
    (record,) = (r for r in records if r.metric == metric and conditions.items() <= r.conditions.items())
    return record


def test_all_variants_run_forward_and_at_the_highest_dropout_the_compared_ones_at_the_others(
    network, rounds, unattributed
):
    measure(network, (2, 8), (1, 16), dropouts=(0.0, 0.1))
    step, attributed = [*ALL, "no dropout", *MASKS], ["DistilBERT", *PROFILED]
    expected = [ALL, FEW, step, [*ALL, *attributed], FEW, [*step, *attributed]]
    assert [sorted(calls) for calls in rounds] == [sorted(names) for names in expected for _ in SPEED]


def test_every_round_has_its_own_order_from_the_seed(network, rounds, unattributed):
    measure(network, (2, 8))
    orders = [tuple(calls) for calls in rounds]
    assert len(set(orders)) == len(orders)
    assert len({order.index("as published") for order in orders}) > 2
    rounds.clear()
    measure(network, (2, 8))
    assert [tuple(calls) for calls in rounds] == orders


def test_the_control_calls_the_published_network_again(network, rounds, unattributed):
    records = measure(network, (2, 8))
    (control,) = tables.summary(records).query("work == 'forward' and variant == @tables.CONTROL").itertuples()
    assert (control.ratio, control.alone) == (pytest.approx(1), False)
    torch.testing.assert_close(rounds[0]["as published"](), rounds[0]["as published, again"](), rtol=0, atol=0)


def test_times_leave_out_the_warm_up_and_ratios_are_taken_within_rounds(network, rounds, unattributed):
    records = measure(network, (2, 8))
    published = one(records, "variant_training_step_seconds", variant="as published")
    assert (published.value, published.n, published.unit) == (pytest.approx(4 * MEAN), 3, "s per call")  # 4, 8 and 40
    assert published.bounds[0] < 4 * MEAN < published.bounds[1]
    assert published.interval.over == "passes"
    expected = {
        "work": "training_step", "precision": "fp32", "batch_size": 2, "length": 8, "dropout": 0.1,
        "network": "study", "weights": "random", "position": 0, "step": "as published", "alone": False,
    }  # fmt: skip
    assert expected.items() <= published.conditions.items()
    ratio = one(records, "variant_ratio", work="training_step", variant="rewritten", over="as published")
    assert (ratio.value, *ratio.bounds) == pytest.approx((0.5, 0.5, 0.5))  # the same in slow rounds as in fast


def test_the_tables_can_be_made_of_the_records(network, rounds, unattributed):
    records = measure(network, (2, 8), dropouts=(0.0, 0.1))
    steps = tables.waterfall(records).query("work == 'training_step'")
    assert steps["step"].all()  # each is named
    assert steps["seconds"].tolist() == pytest.approx([4 * MEAN, 3 * MEAN, 3 * MEAN, 2 * MEAN, 5.5 * MEAN, 5 * MEAN])
    assert steps["change"].sum() == pytest.approx(5 * MEAN - 4 * MEAN)
    assert steps["ratio"].tolist()[1:] == pytest.approx([3 / 4, 1, 2 / 3, 5.5 / 2, 5 / 5.5])
    aims = tables.aims(records)
    assert len(aims) == len(tables.AIMS)
    assert aims["reached"].all()  # 2 / 4 and 2 / 5


def test_time_is_attributed_at_the_last_point_and_the_highest_dropout(network, rounds):
    table = tables.operators(measure(network, (1, 16), (2, 8), dropouts=(0.0, 0.3)))
    assert list(table["model"].unique()) == ["SqueezeBERT as published", "SqueezeBERT rewritten", "BERT", "DistilBERT"]
    assert table[["batch_size", "length", "precision"]].drop_duplicates().to_numpy().tolist() == [[2, 8, "fp32"]]
    assert table.groupby("work")["dropout"].unique().map(list).to_dict() == {"forward": [0.0], "training_step": [0.3]}
    whole = table.groupby(["model", "work"])["share"].sum()
    assert whole.tolist() == pytest.approx([1.0] * 8)
    # The whole is what the same call took in the rounds in which it was profiled.
    seconds = table[table["work"] == "training_step"].groupby("model")["seconds"].sum()
    expected = {"SqueezeBERT as published": 4, "SqueezeBERT rewritten": 2, "BERT": 5, "DistilBERT": 3}
    assert seconds.to_dict() == pytest.approx({model: cost * MEAN for model, cost in expected.items()})
    # The published network has convolutions, the rewritten one none, but both have the same operations.
    step = table[table["work"] == "training_step"].pivot(index="operations", columns="model", values="gflop")
    published, rewritten = step["SqueezeBERT as published"], step["SqueezeBERT rewritten"]
    assert published["convolution backward"] == 2 * published["convolution forward"] > 0
    assert rewritten["convolution forward"] == rewritten["convolution backward"] == 0
    assert rewritten.sum() == pytest.approx(published.sum())


def test_every_round_but_the_warm_up_says_what_else_the_machine_did(network, rounds, unattributed):
    records = measure(network, (2, 8))
    found = tables.rounds(records).query("work == 'training_step'")
    assert found["round"].tolist() == [1, 2, 3]
    assert found["taken"].tolist() == [0.25, 0.25, 0.5]  # steal, and in the last round other programs
    assert found["contended"].tolist() == ["", "", "other programs"]
    assert one(records, "round_taken", work="forward", round=3).conditions["foreign"] == 0.25


def test_all_variants_run_a_forward_pass_of_the_same_weights(network, rounds, unattributed):
    measure(network, (2, 8))
    calls = rounds[0]
    shared = [v.name for v in WATERFALL[:4]] + ["fused attention"]
    (wanted,) = calls["as published"]()
    assert wanted.shape == (2, 8)
    for name in shared:
        torch.testing.assert_close(calls[name](), [wanted], rtol=0, atol=1e-5)
    assert (calls["BERT"]()[0] - wanted).abs().max() > 1e-3


def test_steps_of_variants_train_the_same_parameters_with_one_optimizer(network, monkeypatch):
    originals, made = variants.networks(network, CPU, seed=0), []
    monkeypatch.setattr(anomaly, "optimizer", lambda network: made.append(workloads.optimizer(network)) or made[-1])
    steps = anomaly._calls(comparison("training_step", 0.1), originals, SETTING)
    weight = originals[PUBLISHED.network].qa_outputs.weight
    for name in ("as published", "rewritten"):
        before = weight.detach().clone()
        steps[name]()
        assert not torch.equal(weight, before)
        assert weight.grad is None
    assert len(made) == len(originals)
    assert [one.state[weight]["step"] for one in made if weight in one.state] == [2]
    steps["BERT"](), steps["BERT, eager attention"]()
    assert sorted(int(one.state[one.param_groups[0]["params"][0]]["step"]) for one in made if one.state) == [2, 2]


def test_training_steps_train_with_dropout_and_forward_passes_do_not(network):
    originals = variants.networks(network, CPU, seed=0)
    seen: list[tuple[bool, float]] = []
    layer = originals[PUBLISHED.network].transformer.encoder.layers[0]
    layer.output.dropout.register_forward_hook(lambda module, *_: seen.append((module.training, module.p)))
    for asked in (comparison("forward", 0.0), comparison("training_step", 0.0), comparison("training_step", 0.0, 0.3)):
        anomaly._calls(asked, originals, SETTING)["as published"]()
    assert seen == [(False, 0.0), (True, 0.0), (True, 0.3)]


def test_the_network_that_was_given_stays_as_it_is(network):
    before = {name: values.clone() for name, values in network.state_dict().items()}
    classes = [type(module) for module in network.modules()]
    measure(network, (1, 8), rounds=2)
    assert [type(module) for module in network.modules()] == classes
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


def test_bf16_alone_is_in_mixed_precision_while_the_run_is_not(network, monkeypatch):
    monkeypatch.setattr(variants, "others", lambda *arguments: (variants.Variant("bf16", precision="bf16"),))
    calls = anomaly._calls(comparison("forward", 0.1), variants.networks(network, CPU, seed=0), SETTING)
    found = {name: calls[name]()[0].dtype for name in ("bf16", "as published")}
    assert found == {"bf16": torch.bfloat16, "as published": torch.float32}


def test_the_precision_of_the_run_applies_while_it_measures(network, rounds, unattributed, monkeypatch):
    allowed = []
    inner = anomaly.alternate
    monkeypatch.setattr(
        anomaly, "alternate", lambda *a, **k: (allowed.append(torch.backends.cudnn.allow_tf32), inner(*a, **k))[1]
    )
    plan = anomaly.Plan(((2, 8),), (0.1,), rounds=3)
    anomaly.measure(network, plan, replace(SETTING, formats=("fp32", "tf32")), {})
    assert allowed == [False] * 8 + [True] * 8


def test_a_length_that_the_network_does_not_support_is_refused(network, rounds):
    with pytest.raises(StudyError, match=r"^points: 65 tokens, but the network supports 64"):
        measure(network, (1, 8), (1, 65))
    assert rounds == []


def test_running_out_of_memory_names_the_point(network, monkeypatch):
    def fail(*arguments: Any, **settings: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(anomaly, "alternate", fail)
    with pytest.raises(StudyError, match=r"^points: 2x8 .* memory"):
        measure(network, (2, 8))


def test_progress_is_reported_up_to_the_end(network, rounds, unattributed, monkeypatch):
    reported: dict[tuple[str, int], list[int]] = {}

    class Progress:
        def __init__(self, label: str, total: int) -> None:
            self.done = reported.setdefault((label, total), [])

        def update(self, done: int) -> None:
            self.done.append(done)

    monkeypatch.setattr(progress, "Progress", Progress)
    measure(network, (2, 8), dropouts=(0.0,))
    # 16 tokens: 10 variants and 4 profiles forward, then as many in a step worth three passes; four rounds each
    assert reported == {("token passes", 3584): [*range(224, 897, 224), *range(1568, 3585, 672)]}
