"""How long a forward pass and a training step take: raw values, warm-up apart, device synchronised.

Compute does not depend on the values of the weights, so a network is timed as it is before training.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from qa_tradeoffs.config import Profile
from qa_tradeoffs.device import synchronize
from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.intervals import bootstrap_median
from qa_tradeoffs.models import attention, parameters
from qa_tradeoffs.paths import written_atomically
from qa_tradeoffs.progress import Progress


@dataclass(frozen=True)
class Timing:
    """One kind of call, timed again and again. ``seconds``: (n_repeats,) float64, one value a call."""

    work: str
    batch_size: int
    length: int
    seconds: NDArray[np.float64]

    @property
    def questions_per_second(self) -> float:
        """Rows of the batch per median second."""
        return self.batch_size / float(np.median(self.seconds))


def measure(network: Any, plan: Profile, *, device: torch.device, precision: str, seed: int) -> Iterator[Timing]:
    """Time the forward pass and the training step of ``network`` at every point of the plan's grids.

    Inputs are random tokens without padding, drawn with ``seed``; a training step is forward, backward and an AdamW
    update, with the network's own dropout. Raises StudyError for a length that the network does not take.
    """
    _check_lengths(network, plan)
    network = network.to(device)
    grids = (("forward", plan.forward, forward), ("training_step", plan.training_step, training_step))
    points = [(work, make, b, n) for work, grid, make in grids for b in grid.batch_sizes for n in grid.lengths]
    progress = Progress("measurement", len(points))
    for done, (work, make, batch_size, length) in enumerate(points):
        batch = random_batch(network, batch_size, length, device, seed)
        call = make(network, batch, precision)
        seconds = repeat(call, device, warmup=plan.warmup, at_least=plan.min_repeats, for_seconds=plan.min_seconds)
        progress.update(done + 1)
        yield Timing(work, batch_size, length, seconds)


def repeat(
    call: Callable[[], object], device: torch.device, *, warmup: int, at_least: int, for_seconds: float
) -> NDArray[np.float64]:
    """Seconds of each of at least ``at_least`` calls that together last at least ``for_seconds``, after ``warmup``."""
    for _ in range(warmup):
        call()
    synchronize(device)
    seconds: list[float] = []
    total = 0.0
    while len(seconds) < at_least or total < for_seconds:
        began = time.perf_counter()
        call()
        synchronize(device)
        seconds.append(time.perf_counter() - began)
        total += seconds[-1]
    return np.array(seconds)


def forward(network: Any, batch: dict[str, torch.Tensor], precision: str) -> Callable[[], object]:
    """A call that answers ``batch`` once."""
    network.eval()
    inputs = {name: values for name, values in batch.items() if not name.endswith("_positions")}

    def call() -> object:
        with torch.inference_mode(), _autocast(network, precision):
            return network(**inputs).start_logits

    return call


def training_step(network: Any, batch: dict[str, torch.Tensor], precision: str) -> Callable[[], object]:
    """A call that makes one update on ``batch``."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def call() -> object:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(network, precision):
            loss = network(**batch).loss
        loss.backward()
        optimizer.step()
        return loss

    return call


def random_batch(
    network: Any, batch_size: int, length: int, device: torch.device, seed: int
) -> dict[str, torch.Tensor]:
    """Random tokens (batch_size, length) int64, all attended to, and random answer positions (batch_size,) int64."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(network.config.vocab_size, (batch_size, length), generator=generator)
    positions = torch.randint(length, (2, batch_size), generator=generator).sort(dim=0).values
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "start_positions": positions[0],
        "end_positions": positions[1],
    }
    return {name: values.to(device) for name, values in batch.items()}


def bytes_on_disk(network: Any) -> int:
    """Bytes of the weights as safetensors."""
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def size_rows(network: Any) -> list[dict[str, Any]]:
    """Record rows of the network's size."""
    return [
        {"metric": "parameters", "value": parameters(network), "unit": "parameters", "n": 1},
        {"metric": "bytes_on_disk", "value": bytes_on_disk(network), "unit": "bytes", "n": 1},
    ]


def summary(timings: list[Timing]) -> pd.DataFrame:
    """Percentiles of each timing, for a reader."""
    return pd.DataFrame(
        [
            {
                "work": timing.work,
                "batch": timing.batch_size,
                "tokens per row": timing.length,
                **{f"p{q} (s)": float(np.percentile(timing.seconds, q)) for q in (50, 90, 99)},
                "repeats": len(timing.seconds),
                "questions/s": timing.questions_per_second,
            }
            for timing in timings
        ]
    )


def write_timings(timings: list[Timing], path: Path) -> None:
    """Every raw value as parquet: work, batch_size, length, repeat, seconds."""
    frames = [
        pd.DataFrame(
            {
                "work": timing.work,
                "batch_size": timing.batch_size,
                "length": timing.length,
                "repeat": range(len(timing.seconds)),
                "seconds": timing.seconds,
            }
        )
        for timing in timings
    ]
    with written_atomically(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary)


def timing_rows(timings: list[Timing], network: Any, precision: str, seed: int) -> list[dict[str, Any]]:
    """Record rows: the median of each timing with its interval over repeats, and the conditions it holds under."""
    rng = np.random.default_rng(seed)
    rows = []
    for timing in timings:
        interval = bootstrap_median(timing.seconds, rng)
        rows.append(
            {
                "metric": f"{timing.work}_seconds",
                "value": float(np.median(timing.seconds)),
                "unit": "s per call",
                "n": len(timing.seconds),
                "interval": {"low": interval.low, "high": interval.high, "level": interval.level, "over": "repeats"},
                "conditions": {
                    "batch_size": timing.batch_size,
                    "length": timing.length,
                    "precision": precision,
                    "attention": attention(network),
                    "dropout": _dropout(network) if timing.work == "training_step" else 0.0,
                    "inputs": "random tokens, no padding",
                    "weights": "untrained",
                },
            }
        )
    return rows


def _check_lengths(network: Any, plan: Profile) -> None:
    limit = getattr(network.config, "max_position_embeddings", math.inf)
    for name, grid in (("forward", plan.forward), ("training_step", plan.training_step)):
        if (longest := max(grid.lengths)) > limit:
            raise StudyError(
                f"profile.{name}.lengths: {longest} tokens, but the network takes {limit} (its config's "
                "max_position_embeddings); give lengths up to that"
            )


def _dropout(network: Any) -> float:
    """The highest probability of the network's dropouts."""
    return max((module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)), default=0.0)


def _autocast(network: Any, precision: str) -> torch.autocast:
    """Mixed precision where bf16 was asked for."""
    return torch.autocast(network.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
