"""From a profile's events to seconds and FLOPs of every class of operation.

torch's profiler records every operation with the operations that it calls. What an operation takes itself counts for
the class of the outermost operation around it that has one: the multiplication inside of a dropout is dropout, a copy
inside of a convolution is convolution. Four rules add to this:

Drawing random numbers is dropout inside of attention too, since what dropout costs is a question of its own. Where
attention is one kernel with its dropout in it (on GPUs), the two cannot be separated, and all of it is attention.

The casts of mixed precision are copies wherever they are made, in a product or before it.

A node of the backward pass has the class of the operation that made it, found by autograd's sequence number: on CPUs
dropout's derivative is a multiplication like any other, and that of a grouped product a product like attention's. The
bias's gradient, and the addition of two gradients that meet at a node, count for that node.

Attention that is not fused is spelled out. A softmax belongs to it; so does whatever has scores, (rows, heads, length,
length), as its first input and no class of its own; and so does a batched product (``bmm``) of rows · heads matrices.
The batched product of ``grouped``, of as many matrices as groups, is ``baddbmm`` where it is not a derivative.

'Other' is what is left: sums of layers' outputs and inputs, embeddings and the zeros of their gradients, and the loss.
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

# Operations that only call others, as `linear`, `matmul` and `conv1d`, have no class: a cast or a copy in them is one.
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
_NODE = "autograd::engine::evaluate_function: "  # what autograd calls a node of the backward pass
CALL = "the profiled call"  # name of the event around all others


@dataclass(frozen=True)
class Reading:
    """One profile's ``seconds`` and ``flops`` by class, and the ``duration`` of the call in seconds."""

    seconds: dict[str, float]
    flops: dict[str, int]
    duration: float


def read(events: Iterable[Any], device: torch.device, scores: tuple[int, ...] = ()) -> Reading:
    """The reading of a profile's events (torch's FunctionEvent), given in the order of their starts.

    On a CPU an operation has the seconds that it takes itself, on a GPU those of the kernels that it launches itself.
    ``scores``: shape of the attention scores, (rows, heads, length, length).
    """
    seconds, flops, duration = dict.fromkeys(CLASSES, 0.0), dict.fromkeys(CLASSES, 0), 0.0
    counted: set[int] = set()  # events whose FLOP are counted, and all inside of them: some call their like
    for event, name in classified(events, scores):
        took = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        seconds[name] += took / 1e6  # it counts microseconds
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
    classes: dict[int, str | None] = {}  # of every event so far: callers start before what they call
    made_by: dict[int, str | None] = {}  # of the last operation with a sequence number, which made the node that has it
    for event in events:
        if event.device_type.name != "CPU":
            continue  # a kernel, which counts for the operation that launched it
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
    """FLOP of an operation by the shapes and values of its inputs: 2·m·n·k of a product, 0 of all that is none.

    A convolution, its output as long as its input, takes 2·(size of the weight) per row and position, and as much for
    each gradient computed. Fused attention takes 4·rows·heads·L²·d, and twice that backwards: products that it
    computes a second time, to save memory, are not counted.
    """
    name = name.removeprefix("aten::")
    if name in ("mm", "bmm"):
        return 2 * math.prod(shapes[0]) * shapes[1][-1]
    if name in ("addmm", "baddbmm"):
        return 2 * math.prod(shapes[1]) * shapes[2][-1]
    if name == "convolution":
        return 2 * shapes[0][0] * math.prod(shapes[0][2:]) * math.prod(shapes[1])
    if name == "convolution_backward":
        gradients = sum(values[-1][:2])  # which are computed: of the input, of the weight; the third is the bias's
        return int(gradients) * operations("convolution", shapes[1:], values)
    if fused := re.fullmatch(_FUSED, name):
        query, key = shapes[1:3] if fused["backward"] else shapes[:2]
        return (8 if fused["backward"] else 4) * math.prod(query) * key[-2]
    return 0


def _wins(name: str, own: str | None, outer: str) -> bool:
    """Whether an operation keeps its class inside of another."""
    return (own == DROPOUT and outer == ATTENTION) or (name == "aten::to" and outer != OPTIMISER)


def _own_class(event: Any, scores: tuple[int, ...]) -> str | None:
    first = tuple(event.input_shapes[0]) if event.input_shapes else ()
    if event.name == "aten::bmm" and scores and first[0] == scores[0] * scores[1]:
        return ATTENTION
    named = next((name for name, pattern in _NAMES.items() if re.fullmatch(pattern, event.name)), None)
    return named or (ATTENTION if scores and first == scores else None)
