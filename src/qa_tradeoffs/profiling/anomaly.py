"""Why SqueezeBERT takes longer to fine-tune than BERT with a third of its operations: one difference at a time, timed.

A round calls every variant once, in turn. Ratios are taken within a round, so that a machine whose speed drifts slows
both sides, and intervals are over rounds. A record has the conditions of the run; in what a variant departs from them,
as 'no dropout' does, its name says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.profiling import operators, variants
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.variants import BERT, DISTILBERT, EAGER_BERT, PUBLISHED, REWRITTEN, WATERFALL, Variant
from qa_tradeoffs.profiling.workloads import Conditions, Forward, Setting, TrainingStep, number_format, random_batch

_WARMUP = 1  # rounds
_PROFILES = 3  # of each call whose time is attributed; shares are steadier than seconds
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
    machine = devices.describe(setting.device)
    conditions = conditions | {
        "device": machine["name"], "threads": machine["threads"], "inputs": "random tokens, no padding"
    }  # fmt: skip
    comparisons = [
        comparison
        for precision in setting.formats
        for point in plan.points
        for comparison in _comparisons(precision, point, plan, setting)
    ]
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
    for precision in setting.formats:
        records += _attributed(originals, plan, precision, setting, conditions)
    return records


def _attributed(
    originals: Mapping[str, Any], plan: Plan, precision: str, setting: Setting, conditions: Conditions
) -> list[Record]:
    """Where the time of the published networks goes."""
    attributions = []
    reported = progress.Progress("attribution", len(_ATTRIBUTED))
    for done, (model, variant) in enumerate(_ATTRIBUTED.items(), start=1):
        attributions += operators.measure(
            variant.of(originals, max(plan.dropouts)), *plan.points[-1], precision=precision, repeats=_PROFILES,
            setting=setting, conditions=conditions | {"model": model},
        )  # fmt: skip
        reported.update(done)
    return operators.records(attributions, np.random.default_rng(setting.seed))


def _comparisons(precision: str, point: tuple[int, int], plan: Plan, setting: Setting) -> Iterator[_Comparison]:
    for work, dropout in (("forward", 0.0), *(("training_step", dropout) for dropout in plan.dropouts)):
        compared: tuple[Variant, ...] = (PUBLISHED, REWRITTEN, BERT)
        if work == "forward" or dropout == max(plan.dropouts):
            compared = (*WATERFALL, *variants.others(setting.device, precision, dropout))
        yield _Comparison(work, precision, *point, dropout, compared)


def _calls(comparison: _Comparison, originals: Mapping[str, Any], setting: Setting) -> dict[str, Call]:
    """What a round calls, by the variant's name."""
    published, size = originals[PUBLISHED.network], (comparison.batch_size, comparison.length)
    batch = random_batch(published, *size, setting.device, setting.seed)
    optimizers: dict[str, torch.optim.Optimizer] = {}
    calls = {}
    for variant in comparison.variants:
        network, precision = variant.of(originals, comparison.dropout), variant.precision or comparison.precision
        if comparison.work == "forward":
            calls[variant.name] = variant.around(Forward(network, batch, precision))
        else:
            step = TrainingStep(network, batch, precision, optimizers.get(variant.network))
            optimizers[variant.network] = step.updates
            calls[variant.name] = variant.around(step)
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
