"""Result files of the benchmarks: records, their origin, and their table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.core.files import ROOT, write_text
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Origin

STORED = ROOT / "benchmarks" / "results" / "speed"  # a file for each row
_PRECISIONS = {"fp32": "fp32", "bf16": "bf16", "defaults": "defaults of both: ours bf16, theirs fp32"}


class Benchmarks(Strict):
    """One run; all records come from one machine and one state of the code."""

    format: Literal[1] = 1
    experiment: Literal["benchmarks"] = "benchmarks"
    data: str = Field(description="the questions' name")
    data_sha256: str
    encoder: str = Field(default="", description="name of the network")
    origin: Origin
    records: tuple[Record, ...] = Field(min_length=1)


def table(found: Iterable[Benchmarks]) -> str:
    """One line per row and precision, in Markdown: seconds of all sides, our speed-up over each peer, the machine."""
    head = (
        "work", "precision", "padded", "dynamic", "ours", "times as fast as padded", "times as fast as dynamic",
        "memory, share of padded's", "memory, share of dynamic's", "processor",
    )  # fmt: skip
    lines = [_line(head), _line(["---"] * len(head))]
    return "\n".join(lines + [line for one in found for line in _lines(one)])


def _lines(found: Benchmarks) -> list[str]:
    records, lines = found.records, []
    values = {(r.metric, *(r.conditions.get(key) for key in ("row", "side", "peer", "precision"))): r for r in records}
    rows = dict.fromkeys(
        (r.conditions["row"], r.conditions["precision"]) for r in records if r.metric == "benchmark_ratio"
    )
    for row, precision in rows:
        of_peers, of_ours = ("fp32", "bf16") if precision == "defaults" else (precision, precision)
        sides = (("padded", of_peers), ("dynamic", of_peers), ("ours", of_ours))
        seconds = [_seconds(values["benchmark_seconds", row, side, None, of].value) for side, of in sides]
        ratios = [
            _ratio(values[metric, row, None, peer, precision])
            for metric in ("benchmark_ratio", "benchmark_memory_ratio")
            for peer in ("padded", "dynamic")
        ]
        some = values["benchmark_seconds", row, "ours", None, of_ours].conditions
        machine = str(found.origin.device["name"])
        lines.append(_line([_named(some), _PRECISIONS[str(precision)], *seconds, *ratios, machine]))
    return lines


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _named(at: dict[str, Any]) -> str:
    return f"{at['work']}, {counted(at['questions'], 'question')}{', one other process busy' if at['busy'] else ''}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _ratio(record: Record) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(record.value, *record.bounds)


def origins(found: Sequence[Benchmarks]) -> str:
    """What was measured on what, and at which states of the code."""
    codes = dict.fromkeys((one.origin.git_commit or "no git")[:10] for one in found)
    what = dict.fromkeys(f"{one.encoder} on {one.data}, {one.origin.device['threads']} threads" for one in found)
    return f"{'; '.join(what)}; code {', '.join(codes)}"


def read(path: Path) -> Benchmarks:
    """Read and check a record file."""
    return Benchmarks.model_validate_json(path.read_bytes())


def write(path: Path, content: Benchmarks) -> None:
    """Write a record file."""
    write_text(path, content.model_dump_json(indent=1) + "\n")
