"""Where the seconds of a finished study go, by model and notebook: python -m benchmarks.demo [runs/demo] [--write]"""

import argparse
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from benchmarks.record import Benchmarks, write
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import ROOT, RUNS
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.runs import results

STORED = ROOT / "benchmarks" / "results" / "demo.json"
_WHOLE, _OF_ALL = "from start to end", "all models"


def measure(run: Path) -> list[Record]:
    """Records from papermill's metadata in executed notebooks: seconds by notebook and model, and in total.

    A notebook's seconds include the start of its kernel; the total includes the time between notebooks.
    """
    found: dict[tuple[str, str], float] = {}
    begins, ends = [], []
    for notebook in sorted(run.rglob("[1-5]-*.ipynb")):
        noted = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["papermill"]
        model = notebook.relative_to(run).parts[0] if notebook.parent != run else _OF_ALL
        key = notebook.stem, model
        found[key] = found.get(key, 0.0) + noted["duration"]
        begins.append(datetime.fromisoformat(noted["start_time"]))
        ends.append(datetime.fromisoformat(noted["end_time"]))
    if not found:
        raise StudyError(f"{run}: has no executed notebooks; run make all first")
    found[_WHOLE, _OF_ALL] = (max(ends) - min(begins)).total_seconds()
    return [
        Record.of("notebook_seconds", value, "s", conditions={"notebook": notebook, "model": model})
        for (notebook, model), value in sorted(found.items())
    ]


def table(records: Iterable[Record]) -> str:
    """The table in Markdown: a row per notebook, a column per model, and sums."""
    seconds = {(str(r.conditions["notebook"]), str(r.conditions["model"])): r.value for r in records}
    models = [*dict.fromkeys(model for _, model in seconds if model != _OF_ALL), _OF_ALL]
    lines = [f"| notebook | {' | '.join(models)} | sum |", f"|---|{'---|' * (len(models) + 1)}"]
    for notebook in dict.fromkeys(notebook for notebook, _ in seconds if notebook != _WHOLE):
        cells = [f"{seconds[notebook, m]:.0f} s" if (notebook, m) in seconds else "" for m in models]
        total = sum(value for (of_notebook, _), value in seconds.items() if of_notebook == notebook)
        lines.append(f"| {notebook} | {' | '.join(cells)} | {total:.0f} s |")
    return "\n".join([*lines, f"| {_WHOLE} | {' | ' * (len(models) - 1)} | {seconds[_WHOLE, _OF_ALL]:.0f} s |"])


def main() -> None:
    """Print the table of a run; --write, on the machine where it ran, stores its records for the README."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=main.__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=RUNS / "demo")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    records = measure(args.run.resolve())
    print(table(records))
    if args.write:
        origin = results.Origin(seed=None, device=devices.describe(devices.choose("cpu")), **results.software())
        write(STORED, Benchmarks(data=args.run.name, data_sha256="", origin=origin, records=tuple(records)))


if __name__ == "__main__":
    exit_cleanly(main)
