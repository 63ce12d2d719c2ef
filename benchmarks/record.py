"""The result file of a run of the benchmarks: records, and where they came from."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.core.files import write_text
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Origin


class Benchmarks(Strict):
    """One run; all of its records come from one machine and one state of the code."""

    format: Literal[1] = 1
    experiment: Literal["benchmarks"] = "benchmarks"
    data: str = Field(description="the questions' name")
    data_sha256: str
    origin: Origin
    records: tuple[Record, ...] = Field(min_length=1)


def table(found: Benchmarks) -> str:
    """Each piece with both medians and how many times as fast ours is, in Markdown."""
    lines = ["| piece | plain | ours | times as fast |", "|---|---|---|---|"]
    ratios = [record for record in found.records if record.metric == "benchmark_ratio"]
    for ratio in ratios:
        sides = {
            record.conditions["side"]: f"{record.value:.3g} s"
            for record in found.records
            if record.metric == "benchmark_seconds" and record.conditions["piece"] == ratio.conditions["piece"]
        }
        spread = "{:.1f} to {:.1f}".format(*ratio.bounds)
        name = f"{ratio.conditions['piece']}: {ratio.conditions['size']}"
        lines.append(f"| {name} | {sides['plain']} | {sides['ours']} | {ratio.value:.1f} ({spread}) |")
    return "\n".join(lines)


def read(path: Path) -> Benchmarks:
    """A record file, checked."""
    return Benchmarks.model_validate_json(path.read_bytes())


def write(path: Path, content: Benchmarks) -> None:
    """Write a record file."""
    write_text(path, content.model_dump_json(indent=1) + "\n")
