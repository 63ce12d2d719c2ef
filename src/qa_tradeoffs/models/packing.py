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

_TRIED = (0, 5, 14)  # where the windows begin and end on which a network is tried
_TOLERANCE = 1e-3  # of the standard deviation of logits; a token of another window would change them by far more


@contextmanager
def apart(splits: Sequence[int]) -> Iterator[None]:
    """Within the block, torch computes attention over a row (1, T) of packed windows in each of them alone.

    Window i has the tokens ``[splits[i], splits[i + 1])``.
    """
    with overridden("scaled_dot_product_attention", partial(_in_each, splits), "CPU", "AutogradCPU"):
        yield


def possible(network: Any) -> bool:
    """Whether the network, on a CPU, reads packed windows as it reads each alone, as seen on two short ones.

    So does one that takes positions and asks torch for its attention, and lets tokens see others in no other way.
    """
    reads = inputs.of(network)
    if "position_ids" not in reads.names:
        return False
    ids = torch.arange(_TRIED[-1]) % network.config.vocab_size
    training = network.training
    network.eval()
    with torch.no_grad():
        with apart(_TRIED):
            (together,) = network(**reads.packed(ids, torch.zeros_like(ids), _TRIED)).start_logits
        alone = torch.cat([network(**reads.full(ids[None, a:b])).start_logits[0] for a, b in pairwise(_TRIED)])
    network.train(training)
    return bool((together - alone).abs().max() <= _TOLERANCE * alone.std())


def _in_each(
    splits: Sequence[int], query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, **settings: Any,
) -> Tensor:  # fmt: skip
    """``scaled_dot_product_attention`` in each window; a row without padding has no mask."""
    attention = torch.ops.aten._scaled_dot_product_attention_math  # as torch has it, or fast_attention
    parts = ([x[..., a:b, :] for x in (query, key, value)] for a, b in pairwise(splits))
    return torch.cat([attention(*part, None, dropout_p, is_causal, **settings)[0] for part in parts], dim=-2)
