"""From a profile's events to seconds and FLOPs of each class of operation.

torch's profiler records every operation with the operations that it calls. An operation's own time counts towards the
outermost enclosing operation that has a class: a multiplication inside a dropout is dropout, a copy inside a
convolution is convolution. Four rules add to this:

Drawing random numbers is dropout even inside attention, since the cost of dropout is of interest separately. If
attention is one kernel including its dropout (on GPUs), the two cannot be separated, and all of it is attention.

The casts of mixed precision are copies wherever they occur, in a product or before it.

A node of the backward pass has the class of the operation that created it, found by autograd's sequence number: on CPUs
the derivative of dropout is an ordinary multiplication, and the derivative of a grouped product is a product like
attention's. The bias's gradient, and the addition of two gradients that meet at a node, count towards that node.

Attention that is not fused consists of separate operations. A softmax belongs to it, as do operations without a class
whose first input has the shape of scores, (rows, heads, length, length), and batched products (``bmm``) of rows · heads
matrices. The batched product over the groups of a rewritten SqueezeBERT is ``baddbmm`` unless it is a derivative.

'Other' is the rest: residual sums, embeddings and the zeros of their gradients, and the loss.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

PRODUCT, CONVOLUTION, CONVOLUTION_BACKWARD = "matrix product", "convolution forward", "convolution backward"
ATTENTION, NORMALISATION, ACTIVATION = "attention", "normalisation", "activation"
DROPOUT, COPIES, OPTIMISER, OTHER = "dropout and random numbers", "copies and layout changes", "optimiser", "other"

# Operations that only call others, such as `linear`, `matmul` and `conv1d`, have no class: casts in them are copies.
_NAMES = {
    PRODUCT: r"aten::(mm|bmm|addmm|baddbmm)",
    CONVOLUTION: r"aten::convolution",
    CONVOLUTION_BACKWARD: r"aten::convolution_backward",
    ATTENTION: r"aten::(_?scaled_dot_product_\w+|_?(safe_)?softmax)",
    NORMALISATION: r"aten::(native_)?(layer|batch|group|rms)_norm",
    ACTIVATION: r"aten::(gelu|relu|tanh|silu|sigmoid|elu|leaky_relu)_?",
    DROPOUT: r"aten::(\w*dropout|bernoulli_?|rand\w*|uniform_?|normal_?)",
    COPIES: r"aten::(copy_|clone|contiguous|to|_to_copy|cat|stack|reshape|_reshape_alias|view|_unsafe_view|as_strided|"
    r"transpose|permute|t|expand|expand_as|squeeze|unsqueeze|flatten|slice|select|narrow|split|chunk|unbind|detach)",
    OPTIMISER: r"Optimizer\..*",
}
CLASSES = (*_NAMES, OTHER)
_FUSED = r"_scaled_dot_product_(flash|efficient|cudnn)_attention(_for_cpu)?(?P<backward>_backward)?"
_NODE = "autograd::engine::evaluate_function: "  # prefix of autograd's names for nodes of the backward pass
CALL = "the profiled call"  # name of the event around all others


@dataclass(frozen=True)
class Reading:
    """One profile's ``seconds`` and ``flops`` by class, and the ``duration`` of the call in seconds."""

    seconds: dict[str, float]
    flops: dict[str, int]
    duration: float


def read(events: Iterable[Any], device: torch.device, scores: tuple[int, ...] = ()) -> Reading:
    """The reading of a profile's events (torch's FunctionEvent), sorted by start.

    On a CPU an operation counts with its own seconds, on a GPU with the seconds of the kernels that it launches itself.
    ``scores``: shape of the attention scores, (rows, heads, length, length).
    """
    seconds, flops, duration = dict.fromkeys(CLASSES, 0.0), dict.fromkeys(CLASSES, 0), 0.0
    counted: set[int] = set()  # events whose FLOP are counted, and all events inside them
    for event, name in classified(events, scores):
        took = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        seconds[name] += took / 1e6  # from microseconds
        inside = id(event.cpu_parent) in counted
        own = 0 if inside else operations(event.name, event.input_shapes, event.concrete_inputs)
        flops[name] += own
        if inside or own:
            counted.add(id(event))
        if event.name == CALL:
            duration = event.cpu_time_total / 1e6
    return Reading(seconds, flops, duration)


def classified(events: Iterable[Any], scores: tuple[int, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Each event that is an operation, with its class."""
    classes: dict[int, str | None] = {}  # of every event so far: callers start before callees
    made_by: dict[int, str | None] = {}  # sequence number → class of the last operation with it, which created the node
    for event in events:
        if event.device_type.name != "CPU":
            continue  # a kernel, which counts towards the operation that launched it
        outer = classes.get(id(event.cpu_parent))
        if event.name.startswith(_NODE):
            maker = made_by.get(event.sequence_nr)
            own = CONVOLUTION_BACKWARD if maker == CONVOLUTION else maker
        else:
            own = _own_class(event, scores)
        name = own if outer is None or _wins(event.name, own, outer) else outer
        classes[id(event)] = name
        if event.sequence_nr >= 0:
            made_by[event.sequence_nr] = name
        yield event, name or OTHER


def operations(name: str, shapes: Sequence[Sequence[int]], values: Sequence[Any]) -> int:
    """FLOP of an operation from the shapes and values of its inputs: 2·m·n·k for a product, 0 for other operations.

    A convolution whose output is as long as its input takes 2·(size of the weight) per row and position, and the same
    for each gradient computed. Fused attention takes 4·rows·heads·L²·d, and twice that in the backward pass: products
    that it recomputes to save memory are not counted.
    """
    name = name.removeprefix("aten::")
    if name in ("mm", "bmm"):
        return 2 * math.prod(shapes[0]) * shapes[1][-1]
    if name in ("addmm", "baddbmm"):
        return 2 * math.prod(shapes[1]) * shapes[2][-1]
    if name == "convolution":
        return 2 * shapes[0][0] * math.prod(shapes[0][2:]) * math.prod(shapes[1])
    if name == "convolution_backward":
        gradients = sum(values[-1][:2])  # which gradients are computed: input, weight; the third is the bias
        return int(gradients) * operations("convolution", shapes[1:], values)
    if fused := re.fullmatch(_FUSED, name):
        query, key = shapes[1:3] if fused["backward"] else shapes[:2]
        return (8 if fused["backward"] else 4) * math.prod(query) * key[-2]
    return 0


def _wins(name: str, own: str | None, outer: str) -> bool:
    """Whether an operation keeps its class inside another."""
    return (own == DROPOUT and outer == ATTENTION) or (name == "aten::to" and outer != OPTIMISER)


def _own_class(event: Any, scores: tuple[int, ...]) -> str | None:
    first = tuple(event.input_shapes[0]) if event.input_shapes else ()
    if event.name == "aten::bmm" and scores and first[0] == scores[0] * scores[1]:
        return ATTENTION
    named = next((name for name, pattern in _NAMES.items() if re.fullmatch(pattern, event.name)), None)
    return named or (ATTENTION if scores and first == scores else None)
