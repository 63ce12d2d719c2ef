"""Why SqueezeBERT, with a third of BERT's operations, takes longer to fine-tune: timing one difference at a time.

A round calls every variant once, in a new random order, since a call may depend on what the previous one left in caches
and in the allocator. Ratios are taken within a round, so that drift of the machine's speed slows both sides, and
intervals are over rounds. The published network is in every round twice: the ratio of the two shows the resolution of
the measurement. At the last point a round also profiles some of the variants, so that their time and its breakdown are
measured in the same state of the machine. A record has the conditions of the run; where a variant departs from them, as
'no dropout' does, its name says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.metrics.timing import ratio, typical
from qa_tradeoffs.models import devices
from qa_tradeoffs.profiling import operators, quiet, variants
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.traces import Reading
from qa_tradeoffs.profiling.variants import (
    BERT,
    CONTROL,
    DISTILBERT,
    EAGER_BERT,
    PUBLISHED,
    REWRITTEN,
    WATERFALL,
    Variant,
)
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
    PUBLISHED: "SqueezeBERT as published", REWRITTEN: "SqueezeBERT rewritten", BERT: "BERT", DISTILBERT: "DistilBERT"
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What to measure: ``rounds`` at each of ``points``, (batch size, length), with each of ``dropouts``."""

    points: tuple[tuple[int, int], ...]
    dropouts: tuple[float, ...]
    rounds: int


@dataclass(frozen=True)
class _Comparison:
    """Variants that are called in turn, in one kind of work at one point; those ``attributed`` are also profiled."""

    work: str
    precision: str
    batch_size: int
    length: int
    dropout: float
    variants: tuple[Variant, ...]
    attributed: tuple[Variant, ...]

    @property
    def size(self) -> int:
        """Passes over tokens in a round, roughly proportional to its time: a backward pass counts as two."""
        calls = len(self.variants) + len(self.attributed)
        return self.batch_size * self.length * calls * (3 if self.work == "training_step" else 1)

    @property
    def conditions(self) -> Conditions:
        """The conditions of all of its variants."""
        return {key: value for key, value in vars(self).items() if key not in ("variants", "attributed")}


def measure(network: Any, plan: Plan, setting: Setting, conditions: Conditions) -> list[Record]:
    """Forward pass and training step of all variants of ``network``, a SqueezeBERT, which is not modified.

    All variants are compared in the forward pass and, at the highest dropout, in the training step; at other dropouts
    only the main ones. At the last point the time of some is attributed to classes of operations, in the forward pass
    and in the training step at the highest dropout. ``conditions`` are added to every record.
    Raises StudyError for a length that the network does not support, and if memory runs out.
    """
    limit = network.config.max_position_embeddings
    if (longest := max(length for _, length in plan.points)) > limit:
        raise StudyError(f"points: {longest} tokens, but the network supports {limit}; give lengths up to that")
    originals = variants.networks(network, setting.device, setting.seed)
    conditions = conditions | setting.machine | {"inputs": "random tokens, no padding"}
    comparisons = list(_comparisons(plan, setting))
    total = (_WARMUP + plan.rounds) * sum(comparison.size for comparison in comparisons)
    reported, done = progress.Progress("token passes", total), 0
    records: list[Record] = []
    watch, watched = quiet.Watch(setting.device, setting.formats[0]), []
    generator = np.random.default_rng(setting.seed)
    for comparison in comparisons:
        rounds = []
        size = f"{comparison.batch_size}x{comparison.length}"
        too_large = f"points: {size} needs more memory than this device has; give a smaller one"
        with devices.enough_memory(too_large), number_format(comparison.precision):
            calls = _calls(comparison, originals, setting)
            profiles, readings = _profiles(comparison, calls, network.config.num_attention_heads, setting)
            in_a_round = [*(calls | profiles).items()]
            for number in range(_WARMUP + plan.rounds):
                generator.shuffle(in_a_round)
                watch.begin()
                rounds.append(alternate(dict(in_a_round), setting.device, warmup=0, rounds=1))
                surroundings = watch.end()
                if number >= _WARMUP:
                    watched.append((conditions | comparison.conditions | {"round": number}, surroundings))
                reported.update(done := done + comparison.size)
        seconds = {name: np.concatenate([one[name] for one in rounds[_WARMUP:]]) for name in calls}
        records += _records(comparison, seconds, conditions)
        for variant in comparison.attributed:
            at = conditions | comparison.conditions | {"model": _ATTRIBUTED[variant]}
            measured = readings[variant.name][_WARMUP:], seconds[variant.name]
            records += operators.records(*measured, setting.device, at)
    best = max(found.rate for _, found in watched)
    for at, found in watched:
        at = at | found.model_dump() | {"contended": ", ".join(quiet.contended(found, best))}
        records.append(Record.of("round_taken", found.steal + found.foreign, "1", conditions=at))
    return records


def _comparisons(plan: Plan, setting: Setting) -> Iterator[_Comparison]:
    works = [("forward", 0.0), *(("training_step", dropout) for dropout in plan.dropouts)]
    for precision, point, (work, dropout) in product(setting.formats, plan.points, works):
        compared: tuple[Variant, ...] = (PUBLISHED, CONTROL, REWRITTEN, BERT)
        attributed: tuple[Variant, ...] = ()
        if work == "forward" or dropout == max(plan.dropouts):
            compared = (*WATERFALL, CONTROL, *variants.others(setting.device, precision, dropout))
            if point == plan.points[-1]:
                compared, attributed = (*compared, DISTILBERT), tuple(_ATTRIBUTED)
        yield _Comparison(work, precision, *point, dropout, compared, attributed)


def _calls(comparison: _Comparison, originals: Mapping[str, Any], setting: Setting) -> dict[str, Call]:
    """The calls of a round, by the variant's name."""
    batch = random_batch(originals[PUBLISHED.network], comparison.batch_size, comparison.length, setting)
    optimizers = {name: optimizer(original) for name, original in originals.items()}
    calls = {}
    for variant in comparison.variants:
        network, precision = variant.of(originals, comparison.dropout), variant.precision or comparison.precision
        parts = phases(comparison.work, network, batch, precision, optimizers[variant.network])
        calls[variant.name] = variant.around(together(parts))
    return calls


def _profiles(
    comparison: _Comparison, calls: Mapping[str, Call], heads: int, setting: Setting
) -> tuple[dict[str, Call], dict[str, list[Reading]]]:
    """A profiled call of each attributed variant, and the readings by variant to which these calls append."""
    scores = comparison.batch_size, heads, comparison.length, comparison.length
    readings: dict[str, list[Reading]] = {variant.name: [] for variant in comparison.attributed}

    def profiled(name: str) -> None:
        readings[name].append(operators.profiled(calls[name], setting.device, scores))

    return {f"{name}, profiled": partial(profiled, name) for name in readings}, readings


def _records(comparison: _Comparison, seconds: Mapping[str, Floats], conditions: Conditions) -> Iterator[Record]:
    """Each variant's seconds, and its ratios to the published network, to BERT, and to the previous step."""
    at, n = conditions | comparison.conditions, len(seconds[PUBLISHED.name])
    steps = [v.name for v in WATERFALL] if {*WATERFALL} <= {*comparison.variants} else []
    for v in comparison.variants:
        position = steps.index(v.name) if v.name in steps else None
        place: Conditions = {"variant": v.name, "position": position, "step": v.step, "alone": v.alone}
        value, low, high = typical(seconds[v.name])
        interval = Interval(low=low, high=high, over="passes")
        metric = f"variant_{comparison.work}_seconds"
        yield Record.of(metric, value, "s per call", n, interval=interval, conditions=at | place)
    bases = [base.name for base in (PUBLISHED, BERT, EAGER_BERT) if base.name in seconds]
    pairs = [
        *zip(steps[1:], steps, strict=False),
        *((name, base) for base in bases for name in seconds if name != base),
    ]
    for name, over in dict.fromkeys(pairs):
        value, low, high, _ = ratio(seconds[name], seconds[over])
        pair, interval = {"variant": name, "over": over}, Interval(low=low, high=high, over="passes")
        yield Record.of("variant_ratio", value, "1", n, interval=interval, conditions=at | pair)
