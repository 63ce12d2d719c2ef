"""The layers of a network from below: how high each parameter lies, and those that are not trained."""

import re
from typing import Any

from torch.nn import Parameter

from qa_tradeoffs.models import families

# A layer is what bears a number first in the names of its parameters: bert.encoder.layer.3.attention...
_LAYER = re.compile(r"^(.*?\.\d+)\.")


def levels(network: Any) -> tuple[dict[str, int], int]:
    """How high each parameter lies, by name, and how many layers there are, n.

    0: the embeddings; 1 to n: the layers in the order in which they are computed, with what comes after each; n + 1:
    the answer head. Layers that share their weights, as ALBERT's, are one.
    """
    head, layers, found = families.head(network), list[str](), dict[str, int]()
    for name, _ in network.named_parameters():
        numbered = None if name in head else _LAYER.match(name)
        if numbered and numbered[1] not in layers:
            layers.append(numbered[1])
        found[name] = layers.index(numbered[1]) + 1 if numbered else len(layers)
    return found | dict.fromkeys(head, len(layers) + 1), len(layers)


def depths(network: Any) -> dict[Parameter, int]:
    """How many layers lie above each parameter, 0 for those of the answer head."""
    found, n = levels(network)
    return {parameter: n + 1 - found[name] for name, parameter in network.named_parameters()}


def freeze(network: Any, embeddings: bool, layers: int) -> None:
    """Take the embeddings and so many of the lowest ``layers`` out of training."""
    found, _ = levels(network)
    for name, parameter in network.named_parameters():
        if 1 <= found[name] <= layers or (embeddings and found[name] == 0):
            parameter.requires_grad_(False)
