"""Where the time of a call goes, on layers whose class is known and on tiny networks."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.profiling import operators, traces, workloads
from tests.profiling.conftest import CPU, CUDA, SETTING

ROWS, INPUTS, OUTPUTS = 512, 512, 1024
PRODUCT = 2 * ROWS * INPUTS * OUTPUTS
GROUPED = 2 * 4 * 128 * 256 * 512 // 4


def attribute(call: Any, device: torch.device = CPU) -> operators.Attribution:
    return operators.attribute(call, device)


def forward_and_backward(layer: torch.nn.Module, x: torch.Tensor) -> Any:
    """A call for the gradients of the weights, and of ``x`` where it asks for one."""
    wanted = [values for values in (x, *layer.parameters()) if values.requires_grad]
    gradient = torch.ones_like(layer(x))
    return lambda: torch.autograd.grad(layer(x), wanted, gradient)


def linear(backward: bool, derivatives: bool = False) -> Any:
    layer, x = torch.nn.Linear(INPUTS, OUTPUTS), torch.randn(ROWS, INPUTS, requires_grad=derivatives)
    return forward_and_backward(layer, x) if backward else lambda: layer(x)


def convolution() -> Any:
    return forward_and_backward(torch.nn.Conv1d(256, 512, 1, groups=4), torch.randn(4, 256, 128, requires_grad=True))


def dropout() -> Any:
    return forward_and_backward(torch.nn.Dropout(0.1), torch.randn(512, 1024, requires_grad=True))


@pytest.mark.parametrize(
    ("make", "flops"),
    [
        (lambda: linear(backward=False), {traces.PRODUCT: PRODUCT}),
        # Its backward pass has a product for the weights, and one for the inputs if asked.
        (lambda: linear(backward=True), {traces.PRODUCT: 2 * PRODUCT}),
        (lambda: linear(backward=True, derivatives=True), {traces.PRODUCT: 3 * PRODUCT}),
        (convolution, {traces.CONVOLUTION: GROUPED, traces.CONVOLUTION_BACKWARD: 2 * GROUPED}),
        (dropout, {traces.DROPOUT: 0}),
    ],
)
def test_a_layer_takes_its_time_and_its_operations_in_its_own_classes(make, flops, one_thread):
    found = attribute(make())
    assert found.flops == dict.fromkeys(traces.CLASSES, 0) | flops
    own = sum(found.seconds[name] for name in flops)
    assert own > 0.95 * (found.total - found.seconds[traces.OTHER])


def timed(monkeypatch: pytest.MonkeyPatch, unprofiled: list[float], profiles: list[dict[str, float]]) -> None:
    """Let calls take these seconds, and profiles say these seconds by class; the first of them is the warm-up's."""
    readings = iter(
        traces.Reading(dict.fromkeys(traces.CLASSES, 0.0) | seconds, dict.fromkeys(traces.CLASSES, 0), duration=8.0)
        for seconds in profiles
    )

    def alternate(calls: Any, device: torch.device, *, warmup: int, rounds: int) -> dict[str, Any]:
        for _ in profiles:
            calls["profiled"]()
        return {"unprofiled": np.array(unprofiled)}

    monkeypatch.setattr(operators, "alternate", alternate)
    monkeypatch.setattr(operators, "_profiled", lambda call, device, scores: next(readings))


def test_profiles_give_the_shares_and_calls_without_the_profiler_the_seconds(monkeypatch):
    rounds = [{traces.PRODUCT: 3.0, traces.OTHER: 1.0}, {traces.PRODUCT: 30.0, traces.OTHER: 10.0}]
    timed(monkeypatch, [2.0, 2.0], [{traces.PRODUCT: 99.0}, *rounds])
    found = attribute(lambda: None)
    assert {name: seconds for name, seconds in found.seconds.items() if seconds} == {
        traces.PRODUCT: 1.5, traces.OTHER: 0.5
    }  # fmt: skip
    assert (found.total, found.profiled_seconds) == (2, 8)


def test_on_a_gpu_the_time_without_a_kernel_is_other(monkeypatch):
    kernels = {traces.PRODUCT: 1.0, traces.OTHER: 1.0}
    timed(monkeypatch, [4.0], [kernels, kernels])
    found = attribute(lambda: None, CUDA)
    assert (found.seconds[traces.PRODUCT], found.seconds[traces.OTHER]) == (1, 3)


@pytest.mark.parametrize(("device", "expected"), [(CPU, ["CPU"]), (CUDA, ["CPU", "CUDA"])])
def test_kernels_are_recorded_where_there_are_any(device, expected, monkeypatch):
    heard = []

    def profile(activities: list[Any], record_shapes: bool) -> Any:
        heard.extend(kind.name for kind in activities)
        return nullcontext(SimpleNamespace(events=lambda: []))

    monkeypatch.setattr(operators, "profile", profile)
    monkeypatch.setattr(operators, "synchronize", lambda device: heard.append(f"wait for {device.type}"))
    reading = operators._profiled(lambda: heard.append("call"), device, ())
    assert heard == [*expected, "call", f"wait for {device.type}"]
    assert set(reading.seconds.values()) == {0.0}


def test_every_class_has_a_record_and_they_sum_to_what_the_call_takes_without_the_profiler(network_of):
    network = squeezebert.to_matmul(network_of("squeezebert"))
    rng, conditions = np.random.default_rng(0), {"model": "tiny", "precision": "fp32"}
    found = operators.measure(network, 3, 8, SETTING, conditions, rng)
    works = {"forward": found[: len(traces.CLASSES)], "training_step": found[len(traces.CLASSES) :]}
    for work, bar in works.items():
        assert [record.conditions["operators"] for record in bar] == list(traces.CLASSES)
        (whole,) = {record.conditions["unprofiled_seconds"] for record in bar}
        assert sum(record.value for record in bar) == pytest.approx(whole)
        at = conditions | {"batch_size": 3, "length": 8, "work": work, "dropout": 0.1 * (work == "training_step")}
        assert all(at.items() <= record.conditions.items() for record in bar)
        assert {(record.metric, record.unit, record.n) for record in bar} == {("operator_seconds", "s per call", 3)}
        (optimiser,) = (record for record in bar if record.conditions["operators"] == traces.OPTIMISER)
        assert (optimiser.value > 0) == (work == "training_step")
    forward, backward = workloads.flops(network, 3, 8)
    totals = [sum(record.conditions["flops"] for record in bar) for bar in works.values()]
    assert totals == [forward, forward + backward]


def test_an_interval_is_of_a_classs_share_in_each_call():
    shares = np.zeros((3, len(traces.CLASSES)))
    shares[:, 0], shares[:, 1] = [0.2, 0.25, 0.3], [0.8, 0.75, 0.7]
    one = operators.Attribution(shares, dict.fromkeys(traces.CLASSES, 0), 5.0, np.array([4.0, 4.0, 4.0]))
    first, second, *_ = operators.records(one, {}, np.random.default_rng(0))
    assert (first.value, first.bounds) == (1, (0.8, pytest.approx(1.2)))
    assert (second.value, second.bounds) == (3, (pytest.approx(2.8), 3.2))


def test_the_profiler_prints_nothing(one_thread, capfd, recwarn):
    attribute(lambda: torch.ones(2) + 1)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
