"""The layers of a network from the bottom up: the level of each parameter, and freezing."""

import re
from typing import Any

from torch.nn import Parameter

from qa_tradeoffs.models import families

# The first number in a parameter's name is its layer's: bert.encoder.layer.3.attention...
_LAYER = re.compile(r"^(.*?\.\d+)\.")


def levels(network: Any) -> tuple[dict[str, int], int]:
    """The level of each parameter, by name, and the number of layers, n.

    0: the embeddings; 1 to n: the layers in the order of computation, with what follows each; n + 1: the answer head.
    Layers that share weights, such as ALBERT's, count as one.
    """
    head, layers, found = families.head(network), list[str](), dict[str, int]()
    for name, _ in network.named_parameters():
        numbered = None if name in head else _LAYER.match(name)
        if numbered and numbered[1] not in layers:
            layers.append(numbered[1])
        found[name] = layers.index(numbered[1]) + 1 if numbered else len(layers)
    return found | dict.fromkeys(head, len(layers) + 1), len(layers)


def depths(network: Any) -> dict[Parameter, int]:
    """The number of layers above each parameter, 0 for the answer head's."""
    found, n = levels(network)
    return {parameter: n + 1 - found[name] for name, parameter in network.named_parameters()}


def freeze(network: Any, embeddings: bool, layers: int) -> None:
    """Exclude the embeddings and the lowest ``layers`` layers from training."""
    found, _ = levels(network)
    for name, parameter in network.named_parameters():
        if 1 <= found[name] <= layers or (embeddings and found[name] == 0):
            parameter.requires_grad_(False)
