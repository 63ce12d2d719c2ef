"""Tiny networks exported once: each export takes seconds, whatever its size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_tradeoffs.engines import registry
from qa_tradeoffs.engines.protocol import Engine, Trained

ENGINES = ("torch", "onnxruntime", "onnxruntime-int8")


def trained(network: Any, folder: Path, precision: str = "fp32") -> Trained:
    return Trained(network, 0, torch.device("cpu"), precision, folder)


@pytest.fixture(scope="session")
def exported(
    network_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Trained, dict[str, Engine]]]:
    """Architecture → a network of it, far from its random initial weights, and its engines by name."""
    found = {}
    for architecture in ("bert", "squeezebert"):
        network = network_of(architecture, initializer_range=0.3)
        of_network = trained(network, tmp_path_factory.mktemp(architecture))
        found[architecture] = of_network, {name: registry.prepare(name, of_network) for name in ENGINES}
    return found
