"""Floating-point operations of any network, counted by torch while a copy on the device 'meta' runs."""

import copy
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.squeezebert.modeling_squeezebert import SqueezeBertEncoder

from qa_tradeoffs.models import inputs, networks, squeezebert


class UncountedError(Exception):
    """Why the operations of a network cannot be counted, to be recorded in place of the count."""


def flops(network: Any, batch_size: int, length: int, *, backward: bool = True) -> tuple[int, int]:
    """FLOP of the matrix products of a forward pass of (batch_size, length) tokens, and of its backward pass.

    ``backward``: False skips the backward pass, to save time, and returns 0 for it.

    Attention is counted as its matrix products, since fused attention is decomposed on 'meta'. torch's counter ignores
    the groups in a grouped convolution's backward pass: SqueezeBERT is counted as matrix products, and for other
    networks the backward pass is taken as twice the forward pass, which holds for every product. Raises UncountedError
    for a network that depends on values, which 'meta' does not have (Longformer).
    """
    # In this mode, as under torch.compile, no network checks whether its mask hides anything.
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("meta"):
            counted = networks.from_config(copy.deepcopy(network.config)).eval().requires_grad_(backward)
            ids, ends = torch.zeros(batch_size, length, dtype=torch.long), torch.zeros(batch_size, dtype=torch.long)
        if any(isinstance(module, SqueezeBertEncoder) for module in counted.modules()):
            squeezebert.to_matmul(counted)
        rows = inputs.of(counted).full(ids) | {"start_positions": ends, "end_positions": ends}
        try:
            with FlopCounterMode(display=False) as counter:
                output = counted(**rows)
                forward = int(counter.get_total_flops())
                if backward:
                    output.loss.backward()
        except Exception as error:  # each network fails in its own way
            reason = f"{type(counted).__name__} cannot be counted without data ({type(error).__name__})"
            raise UncountedError(reason) from None
    grouped = any(isinstance(module, _ConvNd) and module.groups > 1 for module in counted.modules())
    if backward and grouped and not squeezebert.is_matmul(counted):
        return forward, 2 * forward
    return forward, int(counter.get_total_flops()) - forward
