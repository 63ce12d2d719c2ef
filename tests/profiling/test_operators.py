"""Time by class of operation, for layers of known class and tiny networks."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import counting, squeezebert
from qa_tradeoffs.profiling import operators, traces, workloads
from tests.profiling.conftest import CPU, CUDA, SETTING

ROWS, INPUTS, OUTPUTS = 512, 512, 1024
PRODUCT = 2 * ROWS * INPUTS * OUTPUTS
GROUPED = 2 * 4 * 128 * 256 * 512 // 4


def reading(duration: float = 8.0, **seconds: float) -> traces.Reading:
    """A profile that says these seconds, by the first word of the class."""
    found = {name: seconds.get(name.split()[0], 0.0) for name in traces.CLASSES}
    return traces.Reading(found, dict.fromkeys(traces.CLASSES, 7), duration)


def forward_and_backward(layer: torch.nn.Module, x: torch.Tensor) -> Any:
    """A call for the gradients of the weights, and of ``x`` if it requires one."""
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
    call = make()
    call()  # warm-up
    found = operators.profiled(call, CPU)
    assert found.flops == dict.fromkeys(traces.CLASSES, 0) | flops
    own = sum(found.seconds[name] for name in flops)
    assert own > 0.95 * (sum(found.seconds.values()) - found.seconds[traces.OTHER])


def seconds(readings: list[traces.Reading], unprofiled: list[float]) -> dict[str, Record]:
    """The records that are not 0, by class."""
    made = operators.records(readings, np.array(unprofiled), CPU, {"model": "tiny"})
    return {str(record.conditions["operators"]): record for record in made if record.value}


def test_profiles_give_the_shares_and_calls_without_the_profiler_the_seconds():
    # 3 of 4 parts in every round, the second of which is ten times as slow; without the profiler 2 s, geometric mean.
    profiles = [reading(matrix=3.0, other=1.0), reading(matrix=30.0, other=10.0), reading(matrix=3.0, other=1.0)]
    found = seconds(profiles, [1.0, 4.0, 2.0])
    values = {name: record.value for name, record in found.items()}
    assert values == pytest.approx({traces.PRODUCT: 1.5, traces.OTHER: 0.5})
    expected = {
        "model": "tiny",
        "flops": 7,
        "unprofiled_seconds": pytest.approx(2),
        "profiled_seconds": pytest.approx(8),
    }
    product = found[traces.PRODUCT]
    assert product.conditions == expected | {"operators": traces.PRODUCT}
    assert (product.metric, product.unit, product.n) == ("operator_seconds", "s per call", 3)


def test_mean_shares_add_up_to_the_seconds_without_the_profiler():
    # 4, 2 and 2 parts of 8; 6, 1 and 1; 2, 6 and none: 4, 3 and 1 in the mean.
    profiles = [reading(matrix=4, other=2, dropout=2), reading(matrix=6, other=1, dropout=1)]
    profiles.append(reading(matrix=0.2, other=0.6))
    found = {name: record.value for name, record in seconds(profiles, [4.0, 64.0, 16.0]).items()}
    assert found == pytest.approx({traces.PRODUCT: 8, traces.OTHER: 6, traces.DROPOUT: 2})


def test_an_interval_is_of_a_classs_share_over_rounds():
    profiles = [reading(matrix=share, other=1 - share) for share in (0.2, 0.25, 0.3)]
    found = seconds(profiles, [2.0, 4.0, 8.0])
    half = 4 * 4.303 * 0.05 / 3**0.5  # t of 2 degrees of freedom, at a standard deviation of 0.05
    assert found[traces.PRODUCT].bounds == pytest.approx((1 - half, 1 + half), abs=1e-4)
    assert found[traces.OTHER].bounds == pytest.approx((3 - half, 3 + half), abs=1e-4)
    assert found[traces.OTHER].interval.over == "passes"
    rare = seconds([reading(matrix=1.0, other=0.0), reading(matrix=0.9, other=0.1)], [1.0, 1.0])
    assert rare[traces.OTHER].bounds[0] == 0


def test_on_a_gpu_the_time_without_a_kernel_is_other():
    kernels = [reading(matrix=1.0, other=1.0)] * 2
    on_gpu = operators.shares(kernels, np.array([4.0, 1.5]), CUDA)  # the profiler lets no kernel last longer
    columns = [traces.CLASSES.index(traces.PRODUCT), traces.CLASSES.index(traces.OTHER)]
    assert on_gpu[:, columns].tolist() == [[1 / 4, 3 / 4], [1 / 2, 1 / 2]]
    assert operators.shares(kernels, np.array([4.0, 1.5]), CPU)[:, columns].tolist() == [[1 / 2, 1 / 2]] * 2


@pytest.mark.parametrize(("device", "expected"), [(CPU, ["CPU"]), (CUDA, ["CPU", "CUDA"])])
def test_kernels_are_recorded_if_there_are_any(device, expected, monkeypatch):
    heard = []

    def profile(activities: list[Any], record_shapes: bool) -> Any:
        heard.extend(kind.name for kind in activities)
        return nullcontext(SimpleNamespace(events=lambda: []))

    monkeypatch.setattr(operators, "profile", profile)
    monkeypatch.setattr(operators, "synchronize", lambda device: heard.append(f"wait for {device.type}"))
    reading = operators.profiled(lambda: heard.append("call"), device)
    assert heard == [*expected, "call", f"wait for {device.type}"]
    assert set(reading.seconds.values()) == {0.0}


@pytest.mark.parametrize("work", ["forward", "training_step"])
def test_profiled_operations_add_up_to_those_counted_from_the_products(network_of, work):
    network = squeezebert.to_matmul(network_of("squeezebert"))
    batch = workloads.random_batch(network, 3, 8, SETTING)
    call = workloads.together(workloads.phases(work, network, batch, "fp32"))
    found = operators.profiled(call, CPU, (3, network.config.num_attention_heads, 8, 8))
    forward, backward = counting.flops(network, 3, 8)
    assert sum(found.flops.values()) == (forward if work == "forward" else forward + backward)
    assert (found.seconds[traces.OPTIMISER] > 0) == (work == "training_step")


def test_the_profiler_prints_nothing(one_thread, capfd, recwarn):
    operators.profiled(lambda: torch.ones(2) + 1, CPU)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
