"""Packing: windows concatenated into one row without padding, each attending only to itself; on a CPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from qa_tradeoffs.models import inputs
from qa_tradeoffs.models.fast_dropout import overridden

# Tokens of the two windows on which a network is tried. The second is as long as the network allows, up to this. So it
# exceeds the reach of local attention, and both together exceed the network's positions.
_TRIED = 5, 512
_TOKENS = 97  # different tokens in them
_TOLERANCE = 1e-4  # in standard deviations of the logits, for rounding; a wrong position changes them by far more


@contextmanager
def apart(splits: Sequence[int]) -> Iterator[None]:
    """Within the block, torch computes the attention of a row (1, T) of packed windows separately in each window.

    Window i has the tokens ``[splits[i], splits[i + 1])``.
    """
    with overridden("scaled_dot_product_attention", partial(_in_each, splits), "CPU", "AutogradCPU"):
        yield


def possible(network: Any) -> bool:
    """Whether the network, on a CPU, gives the same logits for packed windows as for each alone, tried on two.

    This holds if it takes positions, calls torch's attention, and lets tokens interact in no other way: then no bit of
    a window's logits depends on the other window's tokens.
    """
    reads = inputs.of(network)
    if "position_ids" not in reads.names or reads.separator is not None:
        return False
    middle, most = _TRIED
    splits = 0, middle, middle + min(most, reads.longest or most)
    # Different tokens: among equal ones it makes no difference which a token attends to.
    position, last = torch.arange(splits[-1]), network.config.vocab_size - 1
    some, others = (last - (position + shift) % min(last, _TOKENS) for shift in (0, 1))
    first, second = torch.cat([others[:middle], some[middle:]]), torch.cat([some[:middle], others[middle:]])
    training = network.training
    network.eval()
    with torch.no_grad():
        with apart(splits):
            same, first, second = (
                network(**reads.packed(ids, torch.zeros_like(ids), splits)).start_logits[0]
                for ids in (some, first, second)
            )
        alone = torch.cat([network(**reads.full(some[None, a:b])).start_logits[0] for a, b in pairwise(splits)])
    network.train(training)
    independent = torch.equal(same[middle:], first[middle:]) and torch.equal(same[:middle], second[:middle])
    return independent and bool((same - alone).abs().max() <= _TOLERANCE * alone.std())


def _in_each(
    splits: Sequence[int], query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, **settings: Any,
) -> Tensor:  # fmt: skip
    """``scaled_dot_product_attention`` within each window; a mask over the whole row comes from local attention."""
    attention = torch.ops.aten._scaled_dot_product_attention_math  # torch's own, or fast_attention
    found = []
    for begin, stop in pairwise(splits):
        part = (x[..., begin:stop, :] for x in (query, key, value))
        mask = None if attn_mask is None else attn_mask[..., begin:stop, begin:stop]
        found.append(attention(*part, mask, dropout_p, is_causal, **settings)[0])
    return torch.cat(found, dim=-2)
