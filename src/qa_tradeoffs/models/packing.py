"""Windows laid end to end in one row, without padding, of which each attends to itself alone; on a CPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from qa_tradeoffs.models import inputs
from qa_tradeoffs.models.fast_dropout import overridden

# Tokens of the windows on which a network is tried. The second is as long as it takes, up to this: farther than local
# attention reaches, and together they are more than it has positions for.
_TRIED = 5, 512
_TOLERANCE = 1e-4  # of the standard deviation of logits, by rounding; another position changes them by far more


@contextmanager
def apart(splits: Sequence[int]) -> Iterator[None]:
    """Within the block, torch computes attention over a row (1, T) of packed windows in each of them alone.

    Window i has the tokens ``[splits[i], splits[i + 1])``.
    """
    with overridden("scaled_dot_product_attention", partial(_in_each, splits), "CPU", "AutogradCPU"):
        yield


def possible(network: Any) -> bool:
    """Whether the network, on a CPU, reads packed windows as it reads each alone, as seen on two of them.

    So does one that takes positions and asks torch for its attention, and lets tokens see others in no other way: then
    no bit of a window's logits depends on the tokens of the other.
    """
    reads = inputs.of(network)
    if "position_ids" not in reads.names or reads.separator is not None:
        return False
    middle, most = _TRIED
    splits = 0, middle, middle + min(most, reads.longest or most)
    some, others = (torch.full((splits[-1],), network.config.vocab_size - last) for last in (1, 2))
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
    """``scaled_dot_product_attention`` in each window; a mask over the whole row is that of local attention."""
    attention = torch.ops.aten._scaled_dot_product_attention_math  # as torch has it, or fast_attention
    found = []
    for begin, stop in pairwise(splits):
        part = (x[..., begin:stop, :] for x in (query, key, value))
        mask = None if attn_mask is None else attn_mask[..., begin:stop, begin:stop]
        found.append(attention(*part, mask, dropout_p, is_causal, **settings)[0])
    return torch.cat(found, dim=-2)
