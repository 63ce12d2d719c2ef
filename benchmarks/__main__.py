"""A careful user's recipe and ours, interleaved: python -m benchmarks [ROW ...] [--rounds N] [--output FOLDER]

SQUAD names a file in SQuAD's format and ENCODER a folder with an encoder and its tokenizer; DEVICE is cpu or cuda.
Each row is written to a separate file as soon as it is measured: an interrupted run keeps its finished rows, and rows
can be measured again one by one.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import engines, growth, inputs
from benchmarks.comparison import Row
from benchmarks.record import STORED, Benchmarks, table, write
from benchmarks.tasks import Task
from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import make_folder
from qa_tradeoffs.data.example import fingerprint
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices, precisions
from qa_tradeoffs.runs import results

GROWTH, ENGINES, _ROW = "growth", "engines", re.compile(r"(features|postprocessing|training|evaluation)-(\d+)(-busy)?")
# The largest evaluation takes an hour in fp32 alone; fewer questions suffice for bf16.
ROWS = (
    "features-10570", "postprocessing-10570", "training-480", "evaluation-1", "evaluation-64", "evaluation-480",
    "training-480-busy", "evaluation-480-busy", "evaluation-10570", GROWTH, ENGINES,
)  # fmt: skip
_OTHERS: dict[str, Callable[[Task], list[Record]]] = {GROWTH: growth.measure, ENGINES: lambda _: engines.everything()}
_IN_BF16_TOO = ("training-480", "evaluation-1", "evaluation-64", "evaluation-480")


def main() -> None:
    """Time the named rows, by default all; after each one print its table and write its records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}, with any number")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of interleaved timings, at least 2")
    parser.add_argument("--output", type=Path, default=STORED, help="folder; a row's file there is replaced")
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error("--rounds: an interval needs at least 2")
    device = devices.choose(os.environ.get("DEVICE") or "cpu")
    bf16 = precisions.native_bf16(device.type)
    rows = {name: _row(name, bf16) for name in args.rows or ROWS}
    make_folder(args.output)  # before minutes of measurement
    data = os.environ.get("SQUAD", "")
    name, examples = inputs.questions(data)
    with tempfile.TemporaryDirectory() as folder:
        encoder = os.environ.get("ENCODER") or folder
        if encoder == folder:
            inputs.write_encoder(examples, Path(folder))
        like = Task("", "", 0, data, encoder, device=device.type)
        for row_name, row in rows.items():
            measured = row.run(like, args.rounds) if isinstance(row, Row) else row(like)
            origin = results.Origin(seed=0, device=devices.describe(device), **results.software())
            found = Benchmarks(
                data=name, data_sha256=fingerprint(examples), origin=origin, records=tuple(measured),
                encoder="random weights" if encoder == folder else Path(encoder).name,
            )  # fmt: skip
            if row_name == ENGINES:
                found = found.model_copy(update=engines.ABOUT)
            write(args.output / f"{row_name}.json", found)
            if row_name == GROWTH:
                growth.write(growth.chart(measured), args.output / f"{row_name}.svg")
            else:
                print(engines.table(measured) if row_name == ENGINES else table([found]), flush=True)


def _row(name: str, bf16: bool) -> Row | Callable[[Task], list[Record]]:
    """The row of this name, or the function that measures it."""
    if name in _OTHERS:
        return _OTHERS[name]
    if not (found := _ROW.fullmatch(name)):
        raise StudyError(f"ROWS: there is no row '{name}'; choose from {', '.join(ROWS)}, with any number")
    work, questions, busy = found.groups()
    return Row(work, int(questions), ("fp32", "bf16") if bf16 and name in _IN_BF16_TOO else ("fp32",), bool(busy))


if __name__ == "__main__":
    exit_cleanly(main)
