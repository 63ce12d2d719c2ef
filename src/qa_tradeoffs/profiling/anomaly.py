"""Why SqueezeBERT takes longer to fine-tune than BERT with a third of its operations: one difference at a time, timed.

A round calls every variant once, in turn. Ratios are taken within a round, so that a machine whose speed drifts slows
both sides, and intervals are over rounds. A record has the conditions of the run; in what a variant departs from them,
as 'no dropout' does, its name says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.profiling import operators, variants
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.variants import BERT, DISTILBERT, EAGER_BERT, PUBLISHED, REWRITTEN, WATERFALL, Variant
from qa_tradeoffs.profiling.workloads import (
    Conditions,
    Setting,
    number_format,
    optimizer,
    phases,
    random_batch,
    together,
)

_WARMUP = 1  # rounds
_ATTRIBUTED = {
    "SqueezeBERT as published": PUBLISHED, "SqueezeBERT rewritten": REWRITTEN, "BERT": BERT, "DistilBERT": DISTILBERT
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is measured: at each of ``points``, (batch size, length), with each of ``dropouts``, ``rounds`` times."""

    points: tuple[tuple[int, int], ...]
    dropouts: tuple[float, ...]
    rounds: int


@dataclass(frozen=True)
class _Comparison:
    """Variants that are called in turn, in one kind of work at one point."""

    work: str
    precision: str
    batch_size: int
    length: int
    dropout: float
    variants: tuple[Variant, ...]

    @property
    def size(self) -> int:
        """Passes over tokens in a round, about what its time goes by: a backward pass is worth two."""
        return self.batch_size * self.length * len(self.variants) * (3 if self.work == "training_step" else 1)

    @property
    def conditions(self) -> Conditions:
        """What all of its variants are measured under."""
        return {key: value for key, value in vars(self).items() if key != "variants"}


def measure(network: Any, plan: Plan, setting: Setting, conditions: Conditions) -> list[Record]:
    """Forward pass and training step of all variants of ``network``, a SqueezeBERT, which stays as it is.

    All variants are compared in the forward pass and, at the highest dropout, in the training step; at the others only
    those that the aims are about. At the last point and the highest dropout, the time is also attributed to classes of
    operations. ``conditions`` go with every record. Raises StudyError for a length that the network does not take, and
    where memory does not suffice.
    """
    limit = network.config.max_position_embeddings
    if (longest := max(length for _, length in plan.points)) > limit:
        raise StudyError(f"points: {longest} tokens, but the network takes {limit}; give lengths up to that")
    originals, rng = variants.networks(network, setting.device, setting.seed), np.random.default_rng(setting.seed)
    conditions = conditions | setting.machine | {"inputs": "random tokens, no padding"}
    comparisons = list(_comparisons(plan, setting))
    total = (_WARMUP + plan.rounds) * sum(comparison.size for comparison in comparisons)
    reported, done = progress.Progress("token passes", total), 0
    records: list[Record] = []
    for comparison in comparisons:
        rounds = []
        size = f"{comparison.batch_size}x{comparison.length}"
        too_large = f"points: {size} takes more memory than this device has; give a smaller one"
        with devices.enough_memory(too_large), number_format(comparison.precision):
            calls = _calls(comparison, originals, setting)
            for _ in range(_WARMUP + plan.rounds):
                rounds.append(alternate(calls, setting.device, warmup=0, rounds=1))
                reported.update(done := done + comparison.size)
        seconds = {name: np.concatenate([one[name] for one in rounds[_WARMUP:]]) for name in calls}
        records += _records(comparison, seconds, conditions, rng)
    attributed = list(product(setting.formats, _ATTRIBUTED.items()))
    reported = progress.Progress("attribution", len(attributed))
    for done, (precision, (model, variant)) in enumerate(attributed, start=1):
        changed, at = variant.of(originals, max(plan.dropouts)), {**conditions, "model": model, "precision": precision}
        records += operators.measure(changed, *plan.points[-1], setting, at, rng)
        reported.update(done)
    return records


def _comparisons(plan: Plan, setting: Setting) -> Iterator[_Comparison]:
    works = [("forward", 0.0), *(("training_step", dropout) for dropout in plan.dropouts)]
    for precision, point, (work, dropout) in product(setting.formats, plan.points, works):
        compared: tuple[Variant, ...] = (PUBLISHED, REWRITTEN, BERT)
        if work == "forward" or dropout == max(plan.dropouts):
            compared = (*WATERFALL, *variants.others(setting.device, precision, dropout))
        yield _Comparison(work, precision, *point, dropout, compared)


def _calls(comparison: _Comparison, originals: Mapping[str, Any], setting: Setting) -> dict[str, Call]:
    """What a round calls, by the variant's name."""
    batch = random_batch(originals[PUBLISHED.network], comparison.batch_size, comparison.length, setting)
    optimizers = {name: optimizer(original) for name, original in originals.items()}
    calls = {}
    for variant in comparison.variants:
        network, precision = variant.of(originals, comparison.dropout), variant.precision or comparison.precision
        parts = phases(comparison.work, network, batch, precision, optimizers[variant.network])
        calls[variant.name] = variant.around(together(parts))
    return calls


def _records(
    comparison: _Comparison, seconds: Mapping[str, Floats], conditions: Conditions, rng: np.random.Generator
) -> Iterator[Record]:
    """Each variant's median, and its ratios to what is published, to BERT, and to the step before."""
    at = conditions | comparison.conditions
    steps = [v.name for v in WATERFALL] if {*WATERFALL} <= {*comparison.variants} else []
    for v in comparison.variants:
        position = steps.index(v.name) if v.name in steps else None
        place: Conditions = {"variant": v.name, "position": position, "step": v.step, "alone": v.alone}
        metric = f"variant_{comparison.work}_seconds"
        yield Record.median(metric, seconds[v.name], "s per call", rng, conditions=at | place)
    bases = [base.name for base in (PUBLISHED, BERT, EAGER_BERT) if base.name in seconds]
    pairs = [
        *zip(steps[1:], steps, strict=False),
        *((name, base) for base in bases for name in seconds if name != base),
    ]
    for name, over in dict.fromkeys(pairs):
        pair: Conditions = {"variant": name, "over": over}
        yield Record.median("variant_ratio", seconds[name] / seconds[over], "1", rng, conditions=at | pair)
