"""Why SqueezeBERT takes longer to fine-tune than BERT with a third of its operations: one difference at a time, timed.

python -m qa_tradeoffs.profiling.anomaly --points 8x128 8x384 --dropout 0 0.1 --rounds 5

A round calls every variant once, in turn. Ratios are taken within a round, so that a machine whose speed drifts slows
both sides, and intervals are over rounds. A record has the conditions of the run; in what a variant departs from them,
as 'no dropout' does, its name says.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from qa_tradeoffs.analysis import attribution
from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import OWN_ANOMALY
from qa_tradeoffs.metrics.intervals import Floats, bootstrap_median
from qa_tradeoffs.metrics.records import Condition
from qa_tradeoffs.models import devices, networks
from qa_tradeoffs.profiling import operators, variants
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.variants import BERT, DISTILBERT, EAGER_BERT, PUBLISHED, REWRITTEN, WATERFALL, Variant
from qa_tradeoffs.profiling.workloads import Forward, TrainingStep, number_format, random_batch
from qa_tradeoffs.runs import results

_WARMUP = 1  # rounds
_PROFILES = 3  # of each call whose time is attributed; shares are steadier than seconds
_ATTRIBUTED = {
    "SqueezeBERT as published": PUBLISHED, "SqueezeBERT rewritten": REWRITTEN, "BERT": BERT, "DistilBERT": DISTILBERT
}  # fmt: skip
_TABLES = {
    "From SqueezeBERT as published to BERT, step by step (change and ratio: to the step before)": attribution.waterfall,
    "One change at a time (ratio: to what is published)": attribution.one_at_a_time,
    "All variants (ratio: to what is published)": attribution.summary,
    "What the rewriting is for": attribution.aims,
    "Where the seconds go, by class of operation": attribution.operators,
}


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


def measure(
    network: Any, points: Sequence[tuple[int, int]], /, *, dropouts: Sequence[float], rounds: int,
    device: torch.device, formats: Sequence[str] = ("fp32",), seed: int = 0, **conditions: Condition,
) -> list[dict[str, Any]]:  # fmt: skip
    """Record rows of forward pass and training step at each of ``points``, (batch size, length), in each precision.

    ``network``, a SqueezeBERT, stays as it is. All variants are compared in the forward pass and, at the highest of
    ``dropouts``, in the training step; at the others only those that the aims are about. At the last point and the
    highest dropout, the time is also attributed to classes of operations. ``conditions`` go with every row. Raises
    StudyError for a length that the network does not take, and where memory does not suffice.
    """
    limit = network.config.max_position_embeddings
    if (longest := max(length for _, length in points)) > limit:
        raise StudyError(f"points: {longest} tokens, but the network takes {limit}; give lengths up to that")
    originals, rng = variants.networks(network, device, seed), np.random.default_rng(seed)
    plan = [c for precision in formats for point in points for c in _comparisons(precision, point, dropouts, device)]
    told, done = progress.Progress("token passes", (_WARMUP + rounds) * sum(c.size for c in plan)), 0
    rows: list[dict[str, Any]] = []
    for comparison in plan:
        found = []
        with _enough_memory(comparison), number_format(comparison.precision):
            calls = _calls(comparison, originals, device, seed)
            for _ in range(_WARMUP + rounds):
                found.append(alternate(calls, device, warmup=0, rounds=1))
                told.update(done := done + comparison.size)
        seconds = {name: np.concatenate([one[name] for one in found[_WARMUP:]]) for name in calls}
        rows += _rows(comparison, seconds, conditions | _conditions(device), rng)
    for precision in formats:
        rows += _attributed(originals, points[-1], precision, max(dropouts), device, seed, conditions)
    return rows


def _attributed(
    originals: Mapping[str, Any], point: tuple[int, int], precision: str, dropout: float, device: torch.device,
    seed: int, conditions: Mapping[str, Condition],
) -> list[dict[str, Any]]:  # fmt: skip
    """Record rows of where the time of the published networks goes."""
    found = []
    told = progress.Progress("attribution", len(_ATTRIBUTED))
    for done, (model, variant) in enumerate(_ATTRIBUTED.items()):
        network = variant.of(originals, dropout)
        found += operators.measure(
            network, *point, device=device, precision=precision, repeats=_PROFILES, seed=seed,
            conditions={**conditions, **_conditions(device), "model": model},
        )  # fmt: skip
        told.update(done + 1)
    return operators.rows(found, np.random.default_rng(seed))


def _comparisons(
    precision: str, point: tuple[int, int], dropouts: Sequence[float], device: torch.device
) -> Iterator[_Comparison]:
    for work, dropout in (("forward", 0.0), *(("training_step", dropout) for dropout in dropouts)):
        chosen: tuple[Variant, ...] = (PUBLISHED, REWRITTEN, BERT)
        if work == "forward" or dropout == max(dropouts):
            chosen = (*WATERFALL, *variants.others(device, precision, dropout))
        yield _Comparison(work, precision, *point, dropout, chosen)


def _calls(comparison: _Comparison, originals: Mapping[str, Any], device: torch.device, seed: int) -> dict[str, Call]:
    """What a round calls, by the variant's name."""
    batch = random_batch(originals[PUBLISHED.network], comparison.batch_size, comparison.length, device, seed)
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


@contextmanager
def _enough_memory(comparison: _Comparison) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        size = f"{comparison.batch_size}x{comparison.length}"
        raise StudyError(f"points: {size} takes more memory than this device has; give a smaller one") from None


def _conditions(device: torch.device) -> dict[str, Condition]:
    machine = devices.describe(device)
    return {"device": machine["name"], "threads": machine["threads"], "inputs": "random tokens, no padding"}


def _rows(
    comparison: _Comparison, seconds: Mapping[str, Floats], conditions: Mapping[str, Any], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Record rows: each variant's median, and its ratios to what is published, to BERT, and to the step before."""
    at = {**conditions, **{key: value for key, value in vars(comparison).items() if key != "variants"}}
    steps = [v.name for v in WATERFALL] if {*WATERFALL} <= {*comparison.variants} else []
    for v in comparison.variants:
        position = steps.index(v.name) if v.name in steps else None
        place = {"variant": v.name, "position": position, "step": v.step, "alone": v.alone}
        yield _row(f"variant_{comparison.work}_seconds", seconds[v.name], "s per call", at | place, rng)
    bases = [base.name for base in (PUBLISHED, BERT, EAGER_BERT) if base.name in seconds]
    pairs = [
        *zip(steps[1:], steps, strict=False),
        *((name, base) for base in bases for name in seconds if name != base),
    ]
    for name, over in dict.fromkeys(pairs):
        yield _row("variant_ratio", seconds[name] / seconds[over], "1", at | {"variant": name, "over": over}, rng)


def _row(
    metric: str, values: Floats, unit: str, conditions: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    found = bootstrap_median(values, rng)
    interval = {"low": found.low, "high": found.high, "level": found.level, "over": "passes"}
    return {"metric": metric, "value": float(np.median(values)), "unit": unit, "n": len(values), "interval": interval,
            "conditions": conditions}  # fmt: skip


def _point(text: str) -> tuple[int, int]:
    batch, _, length = text.partition("x")
    if not (batch.isdecimal() and length.isdecimal() and int(batch) and int(length)):
        raise StudyError(f"--points: '{text}' is no batch size x length; give such as 8x384")
    return int(batch), int(length)


def _dropout(text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability < 1:
        raise StudyError(f"--dropout: '{text}' is no probability; give numbers from 0 to below 1")
    return probability


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise StudyError(f"--rounds: '{text}' is too few or no number; give 2 or more")
    return int(text)


def _formats(asked: Sequence[str] | None, device: torch.device) -> list[str]:
    has_others = devices.precision("auto", device) == "bf16"  # the GPUs with bf16 are those with tf32
    known = ["fp32", "bf16", "tf32"] if has_others else ["fp32"]
    for name in asked or []:
        if name not in known:
            raise StudyError(f"--precision: '{name}' is not to be had on this device; choose of {', '.join(known)}")
    return list(dict.fromkeys(asked)) if asked else known[:2]


@contextmanager
def _progress_shown() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[progress.VARIABLE] = str(Path(folder) / "progress")
        try:
            with progress.shown_on_terminal("anomaly", Path(folder) / "progress"):
                yield
        finally:
            del os.environ[progress.VARIABLE]


def _check_writable(file: Path) -> None:
    """Before minutes of measuring."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"--out: {file.parent} cannot be made ({error.strerror}); give another file") from None
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise StudyError(f"--out: {file} cannot be written; give another file")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Time SqueezeBERT's variants and BERT, at full size, in turn.")
    parser.add_argument("--points", nargs="+", type=_point, help="batch size x length (8x128 8x384; on CUDA 16x384)")
    parser.add_argument("--dropout", nargs="+", type=_dropout, default=[0.0, 0.1])
    parser.add_argument("--rounds", type=_rounds, help="calls of each variant after one to warm up (5; on CUDA 20)")
    parser.add_argument("--precision", nargs="+", help="fp32, bf16, tf32 (fp32; on CUDA fp32 and bf16)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--out", type=Path, default=OWN_ANOMALY, help="result file")
    options = parser.parse_args(arguments)
    device = devices.choose(options.device)
    devices.use_all_cores()
    formats = _formats(options.precision, device)
    usual = ([(16, 384)], 20) if device.type == "cuda" else ([(8, 128), (8, 384)], 5)
    points, rounds = dict.fromkeys(options.points or usual[0]), options.rounds or usual[1]
    _check_writable(options.out)
    torch.manual_seed(0)
    network = networks.from_config(AutoConfig.for_model("squeezebert"))
    with _progress_shown():
        rows = measure(network, list(points), dropouts=sorted(set(options.dropout)), rounds=rounds,
                       device=device, formats=formats, network="full size", weights="random")  # fmt: skip
    origin = results.Origin(seed=0, device=devices.describe(device), **results.software())
    results.write(options.out, results.Experiment(experiment="anomaly", origin=origin, records=results.records(rows)))
    print(f"Full size, random weights, {origin.device['name']}, {origin.device['threads']} threads.")
    print(f"Medians of {rounds} rounds; low and high bound the ratio, at 95 %, over rounds.")
    for title, table in _TABLES.items():
        print(f"\n{title}\n{table(rows).to_string(index=False, float_format='{:.3g}'.format, na_rep='')}")
    print(f"\n{options.out}")


if __name__ == "__main__":
    exit_cleanly(main)
