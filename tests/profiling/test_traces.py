"""A profile's events, hand-made and from tiny networks, get the right classes and FLOPs."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch.profiler import ProfilerActivity, profile

from qa_tradeoffs.models import counting, squeezebert
from qa_tradeoffs.models.dropout import set_dropout
from qa_tradeoffs.profiling import traces, workloads
from tests.profiling.conftest import CPU, CUDA, SETTING

NODE = "autograd::engine::evaluate_function: "
SCORES = (2, 12, 8, 8)
LENGTH = 8


def trace(*described: tuple[str, dict[str, Any]]) -> list[Any]:
    """Events as the profiler gives them, each in the order of its start, of 1 s on the CPU and 10 s on the GPU.

    Each is its name and what else is known of it: ``by``, the number of the event that called it; sequence ``number``;
    ``shape`` of its inputs; and where it runs.
    """
    events: list[Any] = []
    for name, known in described:
        event = SimpleNamespace(
            name=name, cpu_parent=events[known["by"]] if "by" in known else None,
            sequence_nr=known.get("number", -1), input_shapes=[list(known.get("shape", ()))] * 3, concrete_inputs=[],
            self_cpu_time_total=1e6, self_device_time_total=10e6, cpu_time_total=7e6,
            device_type=SimpleNamespace(name=known.get("on", "CPU")),
        )  # fmt: skip
        events.append(event)
    return events


TRACES = {
    "what an operation calls counts for the outermost class": (
        [("aten::dropout", {}), ("aten::mul", {"by": 0}), ("aten::div_", {"by": 0}), ("aten::copy_", {"by": 2})],
        {traces.DROPOUT: 4},
    ),
    "operations that only call others leave the class to them": (
        [("aten::linear", {}), ("aten::t", {"by": 0}), ("aten::addmm", {"by": 0, "shape": (1, 1)})],
        {traces.PRODUCT: 1, traces.COPIES: 1, traces.OTHER: 1},
    ),
    "random numbers are dropout inside of attention but not inside of anything else": (
        [("aten::scaled_dot_product_attention", {}), ("aten::softmax", {"by": 0}), ("aten::dropout", {"by": 0}),
         ("aten::bernoulli_", {"by": 2}), ("Optimizer.step#AdamW.step", {}), ("aten::bernoulli_", {"by": 4})],
        {traces.ATTENTION: 2, traces.DROPOUT: 2, traces.OPTIMISER: 2},
    ),
    "casts are copies inside of products but not of the optimiser": (
        [("aten::baddbmm", {"shape": (4, 1, 1)}), ("aten::to", {"by": 0}), ("aten::_to_copy", {"by": 1}),
         ("aten::copy_", {"by": 0}), ("Optimizer.step#AdamW.step", {}), ("aten::to", {"by": 4})],
        {traces.PRODUCT: 2, traces.COPIES: 2, traces.OPTIMISER: 2},
    ),
    # A number is taken by the last operation that starts with it.
    "a node of the backward pass has the class of the operation that made it": (
        [("aten::add", {"number": 5}), ("aten::dropout", {"number": 5}), ("aten::mul", {"by": 1, "number": 5}),
         ("aten::mul", {"number": 6}), (NODE + "MulBackward0", {"number": 6}), ("aten::mul", {"by": 4}),
         (NODE + "MulBackward0", {"number": 5}), ("aten::mul", {"by": 6})],
        {traces.DROPOUT: 4, traces.OTHER: 4},
    ),
    "the backward pass of a convolution is a class of its own": (
        [("aten::convolution", {"number": 3, "shape": (1, 1, 1)}), (NODE + "ConvolutionBackward0", {"number": 3}),
         ("ConvolutionBackward0", {"by": 1, "number": 3}), ("aten::add", {"by": 2})],
        {traces.CONVOLUTION: 1, traces.CONVOLUTION_BACKWARD: 3},
    ),
    "a batched product is attention's where it has a matrix per row and head": (
        [("aten::bmm", {"shape": (24, 8, 4)}), ("aten::bmm", {"shape": (4, 16, 4)}),
         ("aten::baddbmm", {"shape": (24, 16, 4)})],
        {traces.PRODUCT: 2, traces.ATTENTION: 1},
    ),
    "sums over scores are attention but their copies are copies": (
        [("aten::add", {"shape": SCORES}), ("aten::clone", {"shape": SCORES}), ("aten::add", {"shape": (2, 8, 48)})],
        {traces.ATTENTION: 1, traces.COPIES: 1, traces.OTHER: 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("described", "expected"), TRACES.values(), ids=TRACES)
def test_the_seconds_of_a_trace_fall_into_classes(described, expected):
    found = traces.read(trace(*described), CPU, SCORES).seconds
    assert {name: seconds for name, seconds in found.items() if seconds} == expected


@pytest.mark.parametrize(("device", "seconds"), [(CUDA, 10), (CPU, 1)])
def test_on_a_gpu_kernels_count_once_and_for_the_operation_that_launched_them(device, seconds):
    found = traces.read(trace(("aten::gelu", {"shape": (1,)}), ("void gelu_kernel", {"on": "CUDA"})), device).seconds
    assert found == dict.fromkeys(traces.CLASSES, 0) | {traces.ACTIVATION: seconds}


def test_a_product_that_calls_products_is_counted_once():
    product = {"shape": (4, 3, 3)}
    inside = [("aten::baddbmm", product | {"by": 0}), ("aten::bmm", product | {"by": 1})]
    events = trace(("aten::baddbmm", product), *inside, ("aten::bmm", product))
    assert traces.read(events, CPU).flops[traces.PRODUCT] == 2 * (2 * 4 * 3 * 3 * 3)


def test_the_duration_is_of_the_whole_call():
    assert traces.read(trace((traces.CALL, {}), ("aten::gelu", {"by": 0})), CPU).duration == 7


@pytest.mark.parametrize(
    ("name", "shapes", "values", "by_hand"),
    [
        ("aten::mm", [(3, 5), (5, 7)], [], 2 * 3 * 5 * 7),
        ("aten::addmm", [(7,), (3, 5), (5, 7)], [], 2 * 3 * 5 * 7),
        ("aten::bmm", [(4, 3, 5), (4, 5, 7)], [], 4 * 2 * 3 * 5 * 7),
        ("aten::baddbmm", [(4, 1, 7), (4, 3, 5), (4, 5, 7)], [], 4 * 2 * 3 * 5 * 7),
        # 8 channels to 12 in 4 groups: each output is of 2 inputs, at 10 positions of 3 rows
        ("aten::convolution", [(3, 8, 10), (12, 2, 1), (12,)], [], 2 * 3 * 10 * 12 * 2),
        ("aten::convolution_backward", [(3, 12, 10), (3, 8, 10), (12, 2, 1)], [[True] * 3], 2 * 2 * 3 * 10 * 12 * 2),
        ("aten::convolution_backward", [(3, 12, 10), (3, 8, 10), (12, 2, 1)], [[False, True, True]], 2 * 3 * 10 * 24),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", [(3, 4, 10, 6)] * 3, [], 2 * 2 * 3 * 4 * 10 * 10 * 6),
        ("aten::_scaled_dot_product_efficient_attention_backward", [(3, 4, 10, 6)] * 4, [], 8 * 3 * 4 * 10 * 10 * 6),
        ("aten::_scaled_dot_product_attention_math", [(3, 4, 10, 6)] * 3, [], 0),  # its products are events themselves
        ("aten::add", [(3, 5), (3, 5)], [], 0),
    ],
)
def test_operations_are_counted_from_shapes(name, shapes, values, by_hand):
    assert traces.operations(name, shapes, values) == by_hand


def profiled(network: Any, rows: int = 3, work: str = "training_step", precision: str = "fp32") -> list[Any]:
    call = workloads.together(
        workloads.phases(work, network, workloads.random_batch(network, rows, LENGTH, SETTING), precision)
    )
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        call()
    return list(found.events())


def read(network: Any, rows: int = 3, **settings: Any) -> traces.Reading:
    scores = (rows, network.config.num_attention_heads, LENGTH, LENGTH)
    return traces.read(profiled(network, rows, **settings), CPU, scores)


@pytest.fixture(params=["bert", "bert, eager", "distilbert", "squeezebert", "squeezebert, rewritten"])
def network(request, network_of) -> Any:
    """A tiny network with dropout in each of its ways to compute."""
    architecture, *way = request.param.split(", ")
    found = network_of(architecture)
    set_dropout(found, 0.1)
    if way == ["eager"]:
        found.set_attn_implementation("eager")
    return squeezebert.to_matmul(found) if way == ["rewritten"] else found


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("work", ["forward", "training_step"])
def test_the_operations_of_all_classes_are_those_that_torch_counts(network, work, dropout):
    set_dropout(network, dropout)  # without it, attention is one fused operation
    forward, backward = counting.flops(network, 3, LENGTH)
    expected = forward if work == "forward" else forward + backward
    assert sum(read(network, work=work).flops.values()) == expected


def test_the_operations_agree_in_mixed_precision_too(network):
    assert sum(read(network, precision="bf16").flops.values()) == sum(counting.flops(network, 3, LENGTH))


def test_attention_is_distinguished_from_grouped_products_for_any_number_of_matrices(network_of):
    network = network_of("squeezebert")  # two heads and four groups: with two rows, both have four matrices
    scores_and_mixtures = 2 * (2 * 2 * 8 * 16 * 8)  # each 2 · rows · length · width · length
    # Query, key, value, and the two of the feed-forward layer are in four groups.
    in_groups = 2 * 2 * 8 * (3 * 16 * 16 + 2 * 16 * 32) // 4
    after_attention, pooler, head = 2 * 2 * 8 * 16 * 16, 2 * 2 * 16 * 16, 2 * 2 * 8 * 16 * 2
    stock = read(network, rows=2).flops
    assert stock[traces.ATTENTION] == 3 * scores_and_mixtures
    assert stock[traces.CONVOLUTION] == in_groups + after_attention
    assert stock[traces.CONVOLUTION_BACKWARD] == 2 * stock[traces.CONVOLUTION]
    assert stock[traces.PRODUCT] == pooler + 3 * head  # the pooled token is not used, so it has no gradient
    rewritten = read(squeezebert.to_matmul(network), rows=2).flops
    assert rewritten[traces.ATTENTION] == stock[traces.ATTENTION]
    assert rewritten[traces.PRODUCT] == 3 * (in_groups + after_attention) + stock[traces.PRODUCT]
    assert rewritten[traces.CONVOLUTION] == rewritten[traces.CONVOLUTION_BACKWARD] == 0


def test_only_sums_embeddings_the_loss_and_helpers_are_left_over(network):
    sums = {"add", "sum"}
    embeddings = {"embedding", "embedding_backward", "embedding_dense_backward", "index_select", "gather", "zero_",
                  "zeros"}  # fmt: skip
    loss = {"cross_entropy_loss", "log_softmax", "_log_softmax", "_log_softmax_backward_data", "nll_loss",
            "nll_loss_nd", "nll_loss_forward", "nll_loss_backward", "clamp", "ones_like", "div"}  # fmt: skip
    callers = {"linear", "conv1d", "matmul", "dropout"}
    helpers = {"empty", "empty_like", "empty_strided", "fill_", "all", "item", "is_nonzero", "_local_scalar_dense"}
    scores = (3, network.config.num_attention_heads, LENGTH, LENGTH)
    classes = traces.classified(profiled(network), scores)
    left = {
        event.name.removeprefix("aten::") for event, name in classes if name == traces.OTHER and "aten" in event.name
    }
    assert left <= sums | embeddings | loss | callers | helpers
    assert left >= {"add", "embedding", "nll_loss"}
