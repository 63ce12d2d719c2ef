"""The number of kernels that a forward pass launches on a GPU, by torch's dispatcher: python -m benchmarks.launches

For BERT, DistilBERT and SqueezeBERT at full size with eager attention, in the installed version of transformers; the
numbers do not depend on batch or length. The numbers in studies/published.yaml are for transformers 4.13.0, which the
original study used. To count them, put that version first on the path and empty its dependency_versions_check.py.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForQuestionAnswering

NETWORKS = ("bert", "distilbert", "squeezebert")
# These compute nothing, although torch does not mark all of them as views.
_NO_KERNEL = {"aten::_unsafe_view", "aten::detach", "aten::empty"}
# Before torch 1.12 a linear layer's bias was copied into the result before the product (pytorch #72148); cuDNN adds a
# convolution's bias afterwards; and a masked copy is a copy followed by a fill.
_TWO_KERNELS = {"aten::addmm", "aten::convolution", "aten::masked_fill"}


class Launches(NamedTuple):
    """``operations``: all that were dispatched; ``kernels``: those that compute, without views.

    ``launches``: kernels launched by torch 1.10, in which some of these operations take two.
    """

    operations: int
    kernels: int
    launches: int


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[str, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append((func._schema.name, func.is_view))
        return func(*args, **kwargs or {})


def count(network: Any) -> Launches:
    """Count one forward pass of two rows of eight tokens, without a mask."""
    tokens = torch.ones(2, 8, dtype=torch.long)
    with torch.no_grad(), _Counter() as counter:
        network(tokens)
    kernels = [name for name, is_view in counter.names if not is_view and name not in _NO_KERNEL]
    twice = sum(name in _TWO_KERNELS for name in kernels)
    return Launches(len(counter.names), len(kernels), len(kernels) + twice)


def main(names: Sequence[str] = NETWORKS) -> None:
    """Print the counts of each network."""
    for name in names:
        settings = AutoConfig.for_model(name)
        network = AutoModelForQuestionAnswering.from_config(settings, attn_implementation="eager").eval()
        print(name, *(f"{field} {value}" for field, value in count(network)._asdict().items()))


if __name__ == "__main__":
    main()
