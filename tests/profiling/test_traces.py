"""A profile's events, made by hand and taken from tiny networks, fall into the right classes with the right FLOPs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from qa_tradeoffs.models import squeezebert
from qa_tradeoffs.models.counting import flops
from qa_tradeoffs.models.dropout_rates import set_dropout
from qa_tradeoffs.profiling import traces, workloads

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
NODE = "autograd::engine::evaluate_function: "
SCORES = (2, 12, 8, 8)
LENGTH = 8


class Trace:
    """Events as the profiler gives them, each in the order of its start, of 1 s on the CPU and 10 s on the GPU."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def add(self, name: str, parent: Any = None, *, number: int = -1, shape: Any = (), on: str = "CPU") -> Any:
        event = SimpleNamespace(
            name=name, cpu_parent=parent, sequence_nr=number, input_shapes=[list(shape)] * 3, concrete_inputs=[],
            self_cpu_time_total=1e6, self_device_time_total=10e6, cpu_time_total=7e6,
            device_type=SimpleNamespace(name=on),
        )  # fmt: skip
        self.events.append(event)
        return event

    def seconds(self, device: torch.device = CPU) -> dict[str, float]:
        """Seconds of the classes that have any."""
        return {name: spent for name, spent in traces.read(self.events, device, SCORES).seconds.items() if spent}


@pytest.fixture
def trace() -> Trace:
    return Trace()


def test_what_an_operation_calls_counts_for_the_outermost_class(trace):
    dropout = trace.add("aten::dropout")
    trace.add("aten::mul", dropout)
    trace.add("aten::copy_", trace.add("aten::div_", dropout))
    assert trace.seconds() == {traces.DROPOUT: 4}


def test_operations_that_only_call_others_leave_the_class_to_them(trace):
    linear = trace.add("aten::linear")
    trace.add("aten::t", linear)
    trace.add("aten::addmm", linear, shape=(1, 1))
    assert trace.seconds() == {traces.PRODUCT: 1, traces.COPIES: 1, traces.OTHER: 1}


def test_random_numbers_are_dropout_inside_of_attention_but_not_inside_of_anything_else(trace):
    attention = trace.add("aten::scaled_dot_product_attention")
    trace.add("aten::softmax", attention)
    trace.add("aten::bernoulli_", trace.add("aten::dropout", attention))
    trace.add("aten::bernoulli_", trace.add("Optimizer.step#AdamW.step"))
    assert trace.seconds() == {traces.ATTENTION: 2, traces.DROPOUT: 2, traces.OPTIMISER: 2}


def test_casts_are_copies_inside_of_products_but_not_of_the_optimiser(trace):
    product = trace.add("aten::baddbmm", shape=(4, 1, 1))
    trace.add("aten::_to_copy", trace.add("aten::to", product))
    trace.add("aten::copy_", product)
    trace.add("aten::to", trace.add("Optimizer.step#AdamW.step"))
    assert trace.seconds() == {traces.PRODUCT: 2, traces.COPIES: 2, traces.OPTIMISER: 2}


def test_a_node_of_the_backward_pass_has_the_class_of_the_operation_that_made_it(trace):
    trace.add("aten::add", number=5)  # a number is taken by the last operation that starts with it
    dropout = trace.add("aten::dropout", number=5)
    trace.add("aten::mul", dropout, number=5)
    trace.add("aten::mul", number=6)
    trace.add("aten::mul", trace.add(NODE + "MulBackward0", number=6))
    trace.add("aten::mul", trace.add(NODE + "MulBackward0", number=5))
    assert trace.seconds() == {traces.DROPOUT: 4, traces.OTHER: 4}


def test_the_backward_pass_of_a_convolution_is_a_class_of_its_own(trace):
    trace.add("aten::convolution", number=3, shape=(1, 1, 1))
    node = trace.add(NODE + "ConvolutionBackward0", number=3)
    trace.add("aten::add", trace.add("ConvolutionBackward0", node, number=3))
    assert trace.seconds() == {traces.CONVOLUTION: 1, traces.CONVOLUTION_BACKWARD: 3}


def test_a_batched_product_is_attentions_where_it_has_a_matrix_per_row_and_head(trace):
    trace.add("aten::bmm", shape=(24, 8, 4))
    trace.add("aten::bmm", shape=(4, 16, 4))
    trace.add("aten::baddbmm", shape=(24, 16, 4))
    assert trace.seconds() == {traces.PRODUCT: 2, traces.ATTENTION: 1}


def test_sums_over_scores_are_attention_but_their_copies_are_copies(trace):
    trace.add("aten::add", shape=SCORES)
    trace.add("aten::clone", shape=SCORES)
    trace.add("aten::add", shape=(2, 8, 48))
    assert trace.seconds() == {traces.ATTENTION: 1, traces.COPIES: 1, traces.OTHER: 1}


def test_on_a_gpu_kernels_count_once_and_for_the_operation_that_launched_them(trace):
    trace.add("aten::gelu", shape=(1,))
    trace.add("void gelu_kernel", on="CUDA")
    assert trace.seconds(CUDA) == {traces.ACTIVATION: 10}
    assert trace.seconds(CPU) == {traces.ACTIVATION: 1}


def test_a_product_that_calls_its_like_is_counted_once(trace):
    product = trace.add("aten::baddbmm", shape=(4, 3, 3))
    trace.add("aten::bmm", trace.add("aten::baddbmm", product, shape=(4, 3, 3)), shape=(4, 3, 3))
    trace.add("aten::bmm", shape=(4, 3, 3))
    assert traces.read(trace.events, CPU).flops[traces.PRODUCT] == 2 * (2 * 4 * 3 * 3 * 3)


def test_the_duration_is_that_of_the_whole_call(trace):
    trace.add("aten::gelu", trace.add(traces.CALL))
    assert traces.read(trace.events, CPU).duration == 7


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


def profiled(network: Any, rows: int = 3, training: bool = True, precision: str = "fp32") -> list[Any]:
    batch = workloads.random_batch(network, rows, LENGTH, CPU, seed=0)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        if not training:
            workloads.Forward(network, batch, precision)()
        else:
            step = workloads.TrainingStep(network, batch, precision)
            step.forward()
            step.backward()
            step.optimizer()
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
@pytest.mark.parametrize("training", [False, True])
def test_the_operations_of_all_classes_are_those_that_torch_counts(network, training, dropout):
    set_dropout(network, dropout)  # without it, attention is one fused operation
    forward, backward = flops(network, 3, LENGTH)
    found = sum(read(network, training=training).flops.values())
    assert found == forward + training * backward


def test_they_are_so_in_mixed_precision(network):
    assert sum(read(network, precision="bf16").flops.values()) == sum(flops(network, 3, LENGTH))


def test_attention_is_told_from_grouped_products_however_many_matrices_they_have(network_of):
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
