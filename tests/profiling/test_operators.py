"""Where the time of a call goes, on layers whose class is known and on tiny networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.profiling import operators, traces
from qa_tradeoffs.profiling.workloads import Setting

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
ROWS, INPUTS, OUTPUTS = 512, 512, 1024


def forward_and_backward(layer: torch.nn.Module, x: torch.Tensor) -> Any:
    """A call for the gradients of the weights, and of ``x`` where it asks for one."""
    wanted = [values for values in (x, *layer.parameters()) if values.requires_grad]
    gradient = torch.ones_like(layer(x))
    return lambda: torch.autograd.grad(layer(x), wanted, gradient)


def shares(found: operators.Attribution) -> dict[str, float]:
    """Of each class in the time of all operations that have one."""
    total = found.total - found.seconds[traces.OTHER]
    return {name: seconds / total for name, seconds in found.seconds.items()}


def test_a_linear_layer_is_a_matrix_product(one_thread):
    layer, x = torch.nn.Linear(INPUTS, OUTPUTS), torch.randn(ROWS, INPUTS)
    found = operators.attribute(lambda: layer(x), CPU, work="forward", repeats=5)
    assert found.flops == dict.fromkeys(traces.CLASSES, 0) | {traces.PRODUCT: 2 * ROWS * INPUTS * OUTPUTS}
    assert shares(found)[traces.PRODUCT] > 0.95


@pytest.mark.parametrize(("derivatives", "factor"), [(False, 2), (True, 3)])
def test_its_backward_pass_has_a_product_for_the_weights_and_one_for_the_inputs_if_asked(
    derivatives, factor, one_thread
):
    layer, x = torch.nn.Linear(INPUTS, OUTPUTS), torch.randn(ROWS, INPUTS, requires_grad=derivatives)
    found = operators.attribute(forward_and_backward(layer, x), CPU, work="training_step", repeats=5)
    assert found.flops[traces.PRODUCT] == factor * 2 * ROWS * INPUTS * OUTPUTS
    assert shares(found)[traces.PRODUCT] > 0.95


def test_a_grouped_convolution_is_in_the_two_convolution_classes(one_thread):
    layer, x = torch.nn.Conv1d(256, 512, 1, groups=4), torch.randn(4, 256, 128, requires_grad=True)
    found = operators.attribute(forward_and_backward(layer, x), CPU, work="training_step", repeats=5)
    forward = 2 * 4 * 128 * 256 * 512 // 4
    assert found.flops[traces.CONVOLUTION] == forward
    assert found.flops[traces.CONVOLUTION_BACKWARD] == 2 * forward
    assert shares(found)[traces.CONVOLUTION] + shares(found)[traces.CONVOLUTION_BACKWARD] > 0.95
    assert shares(found)[traces.PRODUCT] == 0


def test_dropout_alone_is_dropout_forwards_and_backwards(one_thread):
    layer, x = torch.nn.Dropout(0.1), torch.randn(512, 1024, requires_grad=True)
    found = operators.attribute(forward_and_backward(layer, x), CPU, work="training_step", repeats=5)
    assert shares(found)[traces.DROPOUT] > 0.95
    assert sum(found.flops.values()) == 0


def timed(monkeypatch: pytest.MonkeyPatch, unprofiled: list[float], profiles: list[dict[str, float]]) -> None:
    """Let calls take these seconds, and profiles say these seconds by class; the first of them is the warm-up's."""
    readings = iter(
        traces.Reading(dict.fromkeys(traces.CLASSES, 0.0) | seconds, dict.fromkeys(traces.CLASSES, 0), duration=8.0)
        for seconds in profiles
    )

    def alternate(calls: Any, device: torch.device, *, warmup: int, rounds: int) -> dict[str, Any]:
        for _ in range(warmup + rounds):
            calls["profiled"]()
        return {"unprofiled": np.array(unprofiled)}

    monkeypatch.setattr(operators, "alternate", alternate)
    monkeypatch.setattr(operators, "_profiled", lambda call, device, scores: next(readings))


def test_profiles_give_the_shares_and_calls_without_the_profiler_the_seconds(monkeypatch):
    rounds = [{traces.PRODUCT: 3.0, traces.OTHER: 1.0}, {traces.PRODUCT: 30.0, traces.OTHER: 10.0}]
    timed(monkeypatch, [2.0, 2.0], [{traces.PRODUCT: 99.0}, *rounds])
    found = operators.attribute(lambda: None, CPU, work="forward", repeats=2)
    assert {name: seconds for name, seconds in found.seconds.items() if seconds} == {
        traces.PRODUCT: 1.5, traces.OTHER: 0.5
    }  # fmt: skip
    assert (found.total, found.profiled_seconds) == (2, 8)


def test_on_a_gpu_the_time_without_a_kernel_is_other(monkeypatch):
    kernels = {traces.PRODUCT: 1.0, traces.OTHER: 1.0}
    timed(monkeypatch, [4.0], [kernels, kernels])
    found = operators.attribute(lambda: None, CUDA, work="forward", repeats=1)
    assert (found.seconds[traces.PRODUCT], found.seconds[traces.OTHER]) == (1, 3)


@pytest.mark.parametrize(("device", "expected"), [(CPU, ["CPU"]), (CUDA, ["CPU", "CUDA"])])
def test_kernels_are_recorded_where_there_are_any(device, expected, monkeypatch):
    heard = []

    @contextmanager
    def profile(activities: list[Any], record_shapes: bool) -> Iterator[Any]:
        heard.extend(kind.name for kind in activities)
        yield SimpleNamespace(events=lambda: [])

    monkeypatch.setattr(operators, "profile", profile)
    monkeypatch.setattr(operators, "synchronize", lambda device: heard.append(f"wait for {device.type}"))
    reading = operators._profiled(lambda: heard.append("call"), device, ())
    assert heard == [*expected, "call", f"wait for {device.type}"]
    assert set(reading.seconds.values()) == {0.0}


@pytest.fixture
def measured(network_of) -> list[operators.Attribution]:
    """A tiny rewritten SqueezeBERT at three rows of eight tokens."""
    network = squeezebert.to_matmul(network_of("squeezebert"))
    setting = Setting(CPU, ("fp32",), seed=0)
    return operators.measure(network, 3, 8, precision="fp32", repeats=2, setting=setting, conditions={"model": "tiny"})


def test_a_network_is_measured_forwards_and_in_training(measured):
    assert [(one.work, one.conditions["dropout"]) for one in measured] == [("forward", 0), ("training_step", 0.1)]
    assert [one.seconds[traces.OPTIMISER] > 0 for one in measured] == [False, True]


def test_every_class_has_a_record_and_they_sum_to_what_the_call_takes_without_the_profiler(measured):
    found = operators.records(measured, np.random.default_rng(0))
    assert [record.conditions["operators"] for record in found] == [*traces.CLASSES] * 2
    for one, start in zip(measured, (0, 10), strict=True):
        bar = found[start : start + 10]
        assert sum(record.value for record in bar) == pytest.approx(np.median(one.unprofiled))
        assert {record.conditions["unprofiled_seconds"] for record in bar} == {np.median(one.unprofiled)}
        assert sum(record.conditions["flops"] for record in bar) == sum(one.flops.values())
        assert one.profiled_seconds > 0
    at = {"model": "tiny", "batch_size": 3, "length": 8, "precision": "fp32", "work": "forward"}
    assert at.items() <= found[0].conditions.items()
    assert (found[0].metric, found[0].unit, found[0].n) == ("operator_seconds", "s per call", 2)


def test_an_interval_is_of_a_classs_share_in_each_call():
    shares = np.zeros((3, len(traces.CLASSES)))
    shares[:, 0], shares[:, 1] = [0.2, 0.25, 0.3], [0.8, 0.75, 0.7]
    one = operators.Attribution("forward", shares, dict.fromkeys(traces.CLASSES, 0), 5.0, np.array([4.0, 4.0, 4.0]))
    first, second, *_ = operators.records([one], np.random.default_rng(0))
    assert (first.value, first.interval.low, first.interval.high) == (1, 0.8, pytest.approx(1.2))
    assert (second.value, second.interval.low, second.interval.high) == (3, pytest.approx(2.8), 3.2)


def test_the_profiler_prints_nothing(one_thread, capfd, recwarn):
    operators.attribute(lambda: torch.ones(2) + 1, CPU, work="forward", repeats=2)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
