"""A/A test: how often one of three equal networks is called faster: python -m benchmarks.aa [--runs N] [--output F]

The new way is interleaved, as in notebook 4; in the old way each name is timed in a separate process, one after the
other, and called faster if the intervals of two medians do not overlap. Both are tried on a quiet machine and while two
other processes compute.
"""

import argparse
import copy
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import Benchmarks, write
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.pareto import pace
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import allocator, devices, networks
from qa_tradeoffs.profiling import latency, memory, side_by_side, workloads
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.side_by_side import Contestant, Work
from qa_tradeoffs.profiling.workloads import Setting, Subject
from qa_tradeoffs.runs import results
from qa_tradeoffs.study.config import Model, Profile

CPU = torch.device("cpu")
STORED = ROOT / "benchmarks" / "results" / "aa.json"
NAMES = ("A", "B", "C")
# Runs of three pairs each. The old way errs so often that 42 pairs show it; the new one so rarely that it takes 120.
RUNS = {"one after the other": 14, "side by side": 40}
_SIZES = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256}  # the demo's
_QUESTIONS, _PASSES = 10, 10
_GRID: dict[str, Any] = {"batch_sizes": [8], "lengths": [128]}
_PROFILE = {"forward": _GRID, "training_step": _GRID, "warmup": 1, "min_repeats": 5, "min_seconds": 0.05}

_BUSY = "while True: pass"
LOADS = {"quiet": "none", "busy": "two"}


def side_by_side_faster(seed: int) -> int:
    """In how many of the three pairs one interleaved comparison of question times calls one network faster."""
    network, setting = _network(), Setting(CPU, ("fp32",), seed)
    contestants = {name: Contestant(_calls(copy.deepcopy(network), setting)) for name in NAMES}
    work = Work("single_stream", "study", {}, contestants, _PASSES)
    (found,) = side_by_side.measure([work], setting, repeats=0.5)
    seconds = {name: [attempt.outcome.seconds[name] for attempt in found.counting] for name in NAMES}
    return sum(pace(ratio) != "not significant" for ratio in timing.ratios(seconds).values())


def one_after_the_other_faster(seed: int) -> int:
    """The same for the old way: one process per name, a bootstrap over its five passes, and overlap of intervals."""
    measured = partial(_alone, torch.get_num_threads())
    with multiprocessing.get_context("forkserver").Pool(1, maxtasksperchild=1) as pool:
        bounds = pool.map(measured, [seed] * len(NAMES), chunksize=1)
    return sum(one[1] < other[0] or other[1] < one[0] for one, other in combinations(bounds, 2))


METHODS = {"one after the other": one_after_the_other_faster, "side by side": side_by_side_faster}


def measure(runs: Mapping[str, int]) -> list[Record]:
    """One record of false "faster" verdicts per way and load; ``runs`` by way."""
    memory.prepare()  # otherwise each process of the old way would take seconds to load torch
    records = []
    for load in LOADS:
        with _loaded(load):
            for method, faster in METHODS.items():
                false, pairs = sum(map(faster, range(runs[method]))), runs[method] * 3
                conditions = {"method": method, "load": load, "runs": runs[method]}
                print(f"{method}, {load}: {false} of {pairs} pairs called faster", flush=True)
                records.append(Record.of("false_faster", false, "pairs", pairs, conditions=conditions))
    return records


def _network() -> Any:
    return networks.load_network(Model(label="A", architecture="bert", config=_SIZES), None, 1500, seed=0)


def _calls(network: Any, setting: Setting) -> list[Call]:
    """One call per question, of 40 to 120 tokens as in the demo."""
    lengths = np.random.default_rng(0).integers(40, 120, size=_QUESTIONS)
    batches = [workloads.random_batch(network, 1, int(length), setting) for length in lengths]
    return [workloads.forward_pass(network, batch, "fp32") for batch in batches]


def _alone(threads: int, seed: int) -> tuple[float, float]:
    """The interval of the median time of a question, between passes over a grid, in a separate process."""
    torch.set_num_threads(threads)
    network, plan, setting = _network(), Profile.model_validate(_PROFILE), Setting(CPU, ("fp32",), seed)
    subject = Subject("study", network, "random")
    calls, turn = _calls(network, setting), iter(range(10**9))
    point = latency.Point(
        subject, "single_stream", subject.conditions(setting, "fp32"),
        lambda network: [lambda: calls[next(turn) % len(calls)]()], at_least=100, warmup=1,
    )  # fmt: skip
    timings, _ = latency.measure([*latency.grid(subject, plan, setting), point], plan, setting)
    seconds = timings[-1].seconds  # (passes, repeats), for the old percentile bootstrap of whole passes
    drawn = np.random.default_rng(seed).integers(len(seconds), size=(2000, len(seconds)))
    low, high = np.quantile(np.median(seconds[drawn].reshape(len(drawn), -1), axis=1), [0.025, 0.975])
    return float(low), float(high)


@contextmanager
def _loaded(load: str) -> Iterator[None]:
    """Two other processes compute within the block, unless ``load`` is quiet."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(0 if load == "quiet" else 2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def table(found: Benchmarks) -> str:
    """False "faster" verdicts among all pairs, in Markdown: a row per load, a column per way."""
    cells = {(r.conditions["load"], r.conditions["method"]): f"{r.value:.0f} of {r.n}" for r in found.records}
    lines = [f"| other busy processes | {' | '.join(METHODS)} |", f"|---|{'---|' * len(METHODS)}"]
    lines += [f"| {name} | {' | '.join(cells[load, method] for method in METHODS)} |" for load, name in LOADS.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aa", description=main.__doc__)
    parser.add_argument("--runs", type=int, help="runs per way, of three pairs each (old: 14, new: 40)")
    parser.add_argument("--output", type=Path, help="record file; benchmarks/results/aa.json for the usual runs")
    args = parser.parse_args()
    devices.use_all_cores()
    allocator.keep_freed_memory()
    records = measure(dict.fromkeys(RUNS, args.runs) if args.runs else RUNS)
    if output := args.output or (None if args.runs else STORED):
        origin = results.Origin(seed=0, device=devices.describe(CPU), **results.software())
        write(
            output, Benchmarks(data="one network, three names", data_sha256="", origin=origin, records=tuple(records))
        )


if __name__ == "__main__":
    exit_cleanly(main)
