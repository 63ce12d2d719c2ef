"""Seconds and memory as the work grows, each point in a process of its own: features, answers from logits, scores.

Generated questions, and logits of noise alone, of which the plain recipe's loop passes over most candidates soon.

The process reads its point from standard input, as JSON, and prints what it found, as JSON.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import inputs, plain
from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.metrics.records import Record

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MAX_TOKENS = 16_384


@dataclass(frozen=True)
class Point:
    """Which side does how much: questions, and passages joined to one context."""

    side: str
    questions: int
    passages: int


QUESTIONS = [Point(side, n, 1) for n in (2500, 5000, 10_000, 20_000, 40_000) for side in ("plain", "ours")]
CONTEXTS = [Point(side, 500, k) for k in (1, 2, 5, 10, 20) for side in ("plain", "ours")]


def measure(points: Sequence[Point], rounds: int = 1) -> list[Record]:
    """Of each point the median seconds and the highest peak memory of so many processes."""
    records = []
    for point in points:
        found = [_in_own_process(point) for _ in range(rounds)]
        middle = sorted(one["seconds"] for one in found)[rounds // 2]
        at = {"piece": "growth", **asdict(point), "windows": found[0]["windows"]}
        records.append(Record.of("growth_seconds", middle, "s", rounds, conditions=at))
        if "bytes" in found[0]:
            peak = max(one["bytes"] for one in found)
            records.append(Record.of("growth_peak_memory", peak, "bytes", rounds, conditions=at))
    return records


def summary(records: Sequence[Record]) -> str:
    """A line per point for a reader."""
    lines = [f"{'side':<6}{'questions':>10}{'passages':>10}{'windows':>9}{'seconds':>9}{'MiB':>8}"]
    for record in records:
        at = record.conditions
        if record.metric == "growth_seconds":
            lines.append(
                f"{at['side']:<6}{at['questions']:>10,}{at['passages']:>10}{at['windows']:>9,}{record.value:>9.2f}"
            )
        else:
            lines[-1] += f"{record.value / 2**20:>8,.0f}"
    return "\n".join(lines)


def run(point: Point) -> dict[str, Any]:
    """Seconds, windows and, on Linux, bytes above what the process held before."""
    examples = inputs.generated(point.questions, point.passages)
    tokenizer = inputs.tokenizer(examples[:2500])
    call = {"plain": _plain, "ours": _ours}[point.side]
    call(examples[:10], tokenizer)  # loads what is loaded on first use
    gc.collect()
    before = _resident("VmRSS")
    measured = _reset_peak()
    began = time.perf_counter()
    windows = call(examples, tokenizer)
    found = {"seconds": time.perf_counter() - began, "windows": windows}
    return found | ({"bytes": _resident("VmHWM") - before} if measured else {})


def _plain(examples: Sequence[Example], tokenizer: Any) -> int:
    padded = plain.evaluation_features(examples, tokenizer)
    rows = np.arange(len(padded["example_id"]))
    # As the recipe does: the logits of all batches are kept until the last one is there.
    start, end = (
        np.concatenate(
            [inputs.noise(part, plain.MAX_LENGTH, side) for part in np.array_split(rows, len(rows) // 8 + 1)]
        )
        for side in (0, 1)
    )
    texts, _ = plain.answers(examples, padded, start, end)
    plain.score(texts, examples)
    return len(rows)


class _Noise:
    """An engine whose logits are noise; it counts the windows that it is given."""

    def __init__(self) -> None:
        self.windows = 0

    def logits(self, windows: Windows, rows: Any) -> tuple[inputs.Float32, inputs.Float32]:
        self.windows += len(rows)
        width = int(windows.lengths[rows].max())
        return inputs.noise(rows, width, 0), inputs.noise(rows, width, 1)

    def side_by_side(self) -> Any:
        return nullcontext(map)


def _ours(examples: Sequence[Example], tokenizer: Any) -> int:
    engine = _Noise()
    found = answers.answer(engine, tokenizer, examples, answers.Reading(batch_tokens=MAX_TOKENS))
    scoring.score(found, examples, v2=False, threshold=0.0)
    return engine.windows


def _in_own_process(point: Point) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.growth"]
    done = subprocess.run(
        command, input=json.dumps(asdict(point)), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _reset_peak() -> bool:
    """Set the high-water mark of this process's memory back; False where the system does not let it."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> int:
    """Bytes of a field of this process's status: VmRSS, resident now, or VmHWM, its high-water mark."""
    if not _STATUS.exists():
        return 0
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(run(Point(**json.load(sys.stdin)))))
