"""Interleaved timings of full-size networks in every engine, and of training steps: python -m benchmarks.engines

As a command it measures torch only and prints the records as JSON, one per line: it runs again in a process in which
the matrix library may use fewer instructions (``ONEDNN_MAX_CPU_ISA``).
"""

import copy
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from transformers import AutoConfig

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.core.words import seconds
from qa_tradeoffs.engines import export, pytorch, registry
from qa_tradeoffs.engines.protocol import Engine, Trained
from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.models import allocator, devices, networks, squeezebert
from qa_tradeoffs.profiling import side_by_side
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.side_by_side import Contestant, Work
from qa_tradeoffs.profiling.workloads import Setting
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.study.engines import LABELS, REFERENCE
from qa_tradeoffs.training.step import updates

CPU = torch.device("cpu")
POINTS, STEP = ((1, 128), (8, 128), (8, 176)), (8, 176)  # rows × tokens
LIMITED_POINTS = ((1, 128), (8, 176))
THREADS, PASSES, LIMITED_PASSES = (1, 2), 7, 3
LIMIT, _LIMIT = "AVX2", "ONEDNN_MAX_CPU_ISA"
# Without native bf16, torch emulates it, which is measured as well.
TORCH = {"torch": "fp32", "torch-bf16": "bf16"}
ABOUT = {"data": "random tokens", "data_sha256": "", "encoder": "published sizes, random weights"}
_STOCK = "SqueezeBERT"
_BASE = ("BERT", REFERENCE)


class Contender(NamedTuple):
    """A model in an engine."""

    model: str
    engine: str


def built(settings: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The networks by label, of published size except for ``settings`` of their configs, with random weights."""
    torch.manual_seed(0)
    of = {
        label: networks.from_config(AutoConfig.for_model(kind, **(settings or {}).get(kind, {}))).eval()
        for label, kind in (("BERT", "bert"), ("DistilBERT", "distilbert"), (_STOCK, "squeezebert"))
    }
    return of | {"SqueezeBERT rewritten": squeezebert.to_matmul(copy.deepcopy(of[_STOCK]))}


def measure(
    of: Mapping[str, Any], engines: Sequence[str], threads: Sequence[int], passes: int,
    points: Sequence[tuple[int, int]] = POINTS, step: tuple[int, int] | None = STEP,
) -> list[Record]:  # fmt: skip
    """Every model in every engine at every point with each number of threads, and a training step with the last."""
    before, records = torch.get_num_threads(), []
    with tempfile.TemporaryDirectory() as folder:
        for count in threads:
            torch.set_num_threads(count)
            at = {"threads": count, "limited_to": os.environ.get(_LIMIT, "")}
            update = step if count == threads[-1] else None
            records += [record.under(at) for record in _in_turn(of, engines, Path(folder), passes, points, update)]
            allocator.give_back()
    torch.set_num_threads(before)
    return records


def _in_turn(
    of: Mapping[str, Any], engines: Sequence[str], folder: Path, passes: int, points: Sequence[tuple[int, int]],
    step: tuple[int, int] | None,
) -> list[Record]:  # fmt: skip
    ready, records = _prepared(of, engines, folder)
    works = [_forward(ready, of, *point, passes) for point in points]
    works += [_step(of, engines, *step, passes)] if step else []
    for found in side_by_side.measure(works, Setting(CPU, ("fp32",), seed=0), repeats=0.5):
        records += _records(found)
    return records


def everything() -> list[Record]:
    """All engines on this machine, and torch also as on a processor without the newest instructions."""
    command = [sys.executable, "-m", "benchmarks.engines"]
    done = subprocess.run(command, env=os.environ | {_LIMIT: LIMIT}, stdout=subprocess.PIPE, text=True, check=True,
                          cwd=ROOT)  # fmt: skip
    limited = [Record.model_validate_json(line) for line in done.stdout.splitlines() if line.startswith("{")]
    allocator.keep_freed_memory()
    return measure(built(), tuple(LABELS), THREADS, PASSES) + limited


def _prepared(
    of: Mapping[str, Any], engines: Sequence[str], folder: Path
) -> tuple[dict[Contender, Engine], list[Record]]:
    """The contenders that are ready to be timed, and a record with the reason for each that is not."""
    ready, unusable = dict[Contender, Engine](), list[Record]()
    for model, network in of.items():
        trained = Trained(network, 0, CPU, "fp32", folder / model)
        trained.folder.mkdir(exist_ok=True)
        file = trained.folder / "onnxruntime.onnx"
        if model == _STOCK and not TORCH.keys() >= {*engines} and not file.is_file():
            export.to_onnx(trained, file, separate_products=False)  # as published, since the engines would rewrite it
        for engine in engines:
            try:
                found = _torch(network, engine) if engine in TORCH else registry.prepare(engine, trained)
                ready[Contender(model, engine)] = found
            except StudyError as error:
                unusable += [record.under({"model": model}) for record in registry.missing({engine: str(error)})]
    return ready, unusable


def _torch(network: Any, engine: str) -> Engine:
    return pytorch.Engine(network, 0, CPU, TORCH[engine])


def _forward(
    ready: Mapping[Contender, Engine], of: Mapping[str, Any], batch_size: int, length: int, passes: int
) -> Work:
    contestants = {}
    for who, engine in ready.items():
        network = of[who.model]
        windows = export.sample(network, [length] * batch_size)
        call = engine.call(windows, np.arange(batch_size))
        contestants[_name(who)] = Contestant([call], partial(network.train, False))
    return Work("forward", "full size", {"batch_size": batch_size, "length": length}, contestants, passes)


def _step(of: Mapping[str, Any], engines: Sequence[str], batch_size: int, length: int, passes: int) -> Work:
    """A whole update with AdamW, in both precisions, by the default recipe."""
    contestants = {}
    for model, network in of.items():
        windows, rows = export.sample(network, [length] * batch_size), [np.arange(batch_size)]
        for engine in (name for name in TORCH if name in engines):
            recipe = Training(precision=TORCH[engine])  # type: ignore[arg-type]
            calls: Sequence[Call] = updates(network, windows, recipe, 0, CPU, rows)
            contestants[_name(Contender(model, engine))] = Contestant(calls, partial(network.train, True))
    return Work("training_step", "full size", {"batch_size": batch_size, "length": length}, contestants, passes)


def _name(who: Contender) -> str:
    return ", ".join(who)


def _records(found: side_by_side.Measured) -> Iterator[Record]:
    """Seconds of each, its speed-up over the same model and over BERT in torch in fp32, and contended passes."""
    passes = found.counting
    at = {"work": found.work.work, **{key: found.work.conditions[key] for key in ("batch_size", "length")}}
    of = {who: np.array([one.outcome.seconds[who] for one in passes]) for who in found.work.contestants}
    for who, values in of.items():
        model, engine = who.split(", ")
        own = {**at, "model": model, "engine": engine}
        yield Record.of("bench_engine_seconds", float(np.median(values)), "s", len(values), conditions=own)
        for against, base in (("torch", Contender(model, REFERENCE)), ("BERT", Contender(*_BASE))):
            if _name(base) in of and _name(base) != who:
                ratio = timing.ratio(of[_name(base)], values)
                interval = Interval(low=ratio.low, high=ratio.high, over="passes")
                yield Record.of(
                    "bench_engine_times_as_fast", ratio.value, "1", len(values), interval=interval,
                    conditions=own | {"against": against},
                )  # fmt: skip
    contended = sum(bool(one.outcome.contended) for one in passes)
    yield Record.of("bench_contended", contended, "passes", len(passes), conditions=at)


def table(records: Sequence[Record]) -> str:
    """In Markdown, a row per model and engine: seconds, and the speed-up over that model in torch in fp32."""
    rows = pd.DataFrame(
        {**r.conditions, "metric": r.metric, "cell": _cell(r)} for r in records if r.metric.startswith("bench_engine")
    )
    rows = rows[(rows["metric"] == "bench_engine_seconds") | (rows["against"] == "torch")]
    rows = rows[rows["threads"] == max(THREADS)]
    work = rows["work"].map({"forward": "", "training_step": "training step, "})
    limit = rows["limited_to"].map(lambda name: f", {name} only" if name else "")
    rows["column"] = work + rows["batch_size"].astype(str) + " × " + rows["length"].astype(str) + limit
    cells = rows.groupby(["model", "engine", "column"], sort=False)["cell"].agg(": ".join).unstack(fill_value="")
    cells = cells[list(dict.fromkeys(rows["column"]))]
    lines = [f"| model | engine | {' | '.join(cells.columns)} |", f"|---|---|{'---|' * len(cells.columns)}"]
    order = dict.fromkeys(zip(rows["model"], rows["engine"], strict=True))
    lines += [f"| {model} | {LABELS[engine]} | {' | '.join(cells.loc[model, engine])} |" for model, engine in order]
    return "\n".join(lines)


def _cell(record: Record) -> str:
    if record.metric == "bench_engine_seconds":
        return seconds(record.value)
    return "{:.2f} ({:.2f} to {:.2f})".format(record.value, *record.bounds)


def main() -> None:
    """Measure torch only, with all cores, and print its records.

    Training steps are in fp32 only: with emulated bf16, one pass of steps takes minutes.
    """
    devices.use_all_cores()
    allocator.keep_freed_memory()
    of, threads = built(), (max(THREADS),)
    for record in measure(of, tuple(TORCH), threads, LIMITED_PASSES, LIMITED_POINTS, step=None):
        print(record.model_dump_json(), flush=True)
    for record in measure(of, (REFERENCE,), threads, LIMITED_PASSES, points=()):
        print(record.model_dump_json(), flush=True)


if __name__ == "__main__":
    exit_cleanly(main)
