"""Setting the dropout probability of a network, however it implements dropout, and observing the one in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Identity, Module, functional
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from qa_tradeoffs.models import inputs

_DROPOUTS = (
    functional.dropout, functional.alpha_dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,
    functional.feature_alpha_dropout,
)  # fmt: skip
_TOKENS = 8


def set_dropout(network: Module, probability: float | None) -> None:
    """Set every dropout of the network to one probability; None leaves the config's.

    A dropout is a module, a number that a module passes to torch's function (BART, Longformer), or absent if the
    config sets it to 0 (ModernBERT). Dropping whole layers (``layerdrop``) is different and is left unchanged.
    """
    if probability is None:
        return
    for name, module in list(network.named_modules()):
        if isinstance(module, _DropoutNd):
            module.p = probability
        elif type(module) is Identity and "drop" in name.rpartition(".")[2]:
            network.set_submodule(name, torch.nn.Dropout(probability).train(module.training))
        else:
            for key, value in list(vars(module).items()):
                if "dropout" in key and type(value) in (int, float):
                    setattr(module, key, probability)


def dropout(network: Any) -> float:
    """The highest dropout probability that the network uses in training, observed on a few tokens."""
    reads = inputs.of(network)
    rows = torch.ones(1, reads.padded(_TOKENS), dtype=torch.int64, device=network.device)
    with _in_training(network), torch.random.fork_rng(_cuda(network)), torch.no_grad(), _Seen() as seen:
        network(**reads.full(rows))
    return max(seen.rates, default=0.0)


class _Seen(TorchFunctionMode):
    """Records the probabilities of all dropouts within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if function in _DROPOUTS:
            self.rates.append(_argument(args, named, 1, "p", 0.5) if _argument(args, named, 2, "training", True) else 0)
        elif function is functional.scaled_dot_product_attention:
            self.rates.append(_argument(args, named, 4, "dropout_p", 0.0))
        return function(*args, **named)


def _argument(args: Any, named: dict[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if len(args) > place else named.get(name, default)


@contextmanager
def _in_training(network: Module) -> Iterator[None]:
    """Put the network into training mode within the block; restore its mode afterwards."""
    before = network.training
    network.train()
    try:
        yield
    finally:
        network.train(before)


def _cuda(network: Any) -> list[torch.device]:
    return [network.device] if network.device.type == "cuda" else []
